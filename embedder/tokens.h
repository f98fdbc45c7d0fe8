/* Tokens: the words of a text, one after the other, as the index counts them (text/words.h). */
#ifndef EMBEDDER_TOKENS_H
#define EMBEDDER_TOKENS_H

#include "text/words.h"

struct token {
    uint64_t h;          /* of the stem: what is compared */
    enum word_class cls; /* how much it says */
    struct str folded;   /* not stemmed; until tokens_set */
};
struct tokens;
struct tokens *tokens_new(void); /* one for each thread */
void tokens_free(struct tokens **t);
/* The words of valid UTF-8 in a language; the previous text is forgotten. */
void tokens_set(struct tokens *t, enum language l, struct str text);
size_t tokens_count(const struct tokens *t); /* of all of them */
bool tokens_next(struct tokens *t, struct token *out);
enum language tokens_language(struct str text, enum language otherwise); /* that a text is written in */

#endif
