/* Reranking: passages in the order in which a cross-encoder finds that they answer, by a server of RERANK_URL.
 *
 *   KIND_RERANK → POST …/rerank → scores. One attempt of RERANK_TIMEOUT ms; the caller goes on without it when it fails. */
#ifndef EMBEDDER_OPENAI_RERANK_H
#define EMBEDDER_OPENAI_RERANK_H

#include "embedder/embedder.h"

/* NULL after logging why RERANK_URL cannot be used. */
struct rerank *rerank_new(struct embedder *e);
void rerank_free(struct rerank **k);
void rerank_on_call(struct delivery *c);       /* handler of KIND_RERANK */
void rerank_quote_on_call(struct delivery *c); /* handler of KIND_RERANK_QUOTE */
void rerank_sample(struct rerank *k);          /* gauges */

/* ---- rerank_reply.c: pure */
/* Two shapes are in use. DOCUMENTS (Cohere, Jina, vLLM, LiteLLM): {"model", "query", "documents": […], "top_n"} →
 * {"results": [{"index", "relevance_score"}]}. TEXTS (text-embeddings-inference): {"query", "texts": […]} →
 * [{"index", "score"}]. */
enum rerank_shape { RERANK_DOCUMENTS, RERANK_TEXTS };
/* A call's shape, the members that its server did not take, and which of the texts it has. */
enum { RERANK_NO_TOP = 1, RERANK_NO_RETURN = 2, RERANK_NO_TRUNCATE = 4 };
struct rerank_form {
    enum rerank_shape shape;
    unsigned without; /* RERANK_NO_ bits */
    size_t first, n;  /* texts */
};
/* The request as JSON, appended to out. model "": left out. */
void rerank_body(const struct rerank_form *form, const char *model, const struct rerank_req *req,
                 struct buf *out);
/* Scores of n texts out of either reply: each index in range and at most once, numbers finite; a
 * text that is left out gets NAN. *tokens: as the server counted them; 0: it did not say. False: unusable. */
bool rerank_parse(struct str body, size_t n, float *scores, int64_t *tokens);
/* Scores of all texts → 0 … 1. Scores that leave it are logits: all go through the logistic function. NAN becomes 0. */
void rerank_shares(float *scores, size_t n);
/* The most tokens that it may count: the question stands before each passage. */
int64_t rerank_most(const struct rerank_req *req);

#endif
