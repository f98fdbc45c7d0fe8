/* The model that the embedder has at present. It is asked with one word, past every cache, which may be older than the model.
 * Ingestion and the second sets of vectors share the answer. */
#ifndef RETRIEVER_MODEL_H
#define RETRIEVER_MODEL_H

#include "retriever/retriever.h"

struct model *model_new(struct retriever *r);
void model_free(struct model **m);             /* after the worker: no answer comes any more */
const char *model_name(const struct model *m); /* as it was told last; "": never */
size_t model_dims(const struct model *m);      /* of its vectors */
bool model_known(const struct model *m);       /* … and nothing has spoken against it since */
int64_t model_age_ms(const struct model *m);   /* since it was told; a long time: never, or it is doubted */
/* The embedder failed, or answers with another one: who needs it asks first. */
void model_doubt(struct model *m);
/* Ask. fn(arg, reply) comes in the loop's thread, never from inside; who asks meanwhile shares the answer. A reply that names no
 * usable model is a failure. */
void model_ask(struct model *m, reply_fn fn, void *arg);

#endif
