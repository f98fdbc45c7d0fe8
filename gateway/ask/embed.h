/* A question's vector, by the model that its collection's vectors are of (embed.c). */
#ifndef GATEWAY_ASK_EMBED_H
#define GATEWAY_ASK_EMBED_H

#include "gateway/ask/ask.h"

/* Fills vector, model and after of *req. settings may be NULL: the deployment's own model then. ERR_OK with
 * *by_words: the collection's model cannot be asked, and there is no vector. */
enum err embed_question(struct request *r, struct held *held, const struct collection *settings,
                        struct str text, int64_t deadline_ms, struct search_req *req, struct outcome *a,
                        bool *by_words);
/* The same for a question whose turn may be being begun: until that is known nothing is paid for (begin.h). */
enum err embed_asked(struct question *q, struct str text, int64_t deadline_ms, struct search_req *req,
                     struct outcome *a, bool *by_words);
/* Did a collection's model fail to be asked in the last minute? */
bool embed_model_away(void);

#endif
