/* Does an answer give away the system prompt? A canary, random for each process, stands at its end; an answer
 * that repeats it, or a large part of the prompt's words, is not an answer. A prompt holds no secrets, but
 * its rules tell an attacker what to get around. A model that says the same in other words is not seen. */
#ifndef EMBEDDER_LEAK_H
#define EMBEDDER_LEAK_H

#include "common/str.h"

enum { LEAK_CANARY = 16, LEAK_WINDOW = 12, LEAK_WINDOWS = 4096 };

struct leak {
    uint64_t window[LEAK_WINDOWS]; /* of each twelve words in a row of the prompt: their hash, sorted */
    size_t n;
    size_t most;                 /* words of the prompt that an answer may have in such rows */
    uint64_t words[LEAK_WINDOW]; /* the answer's last twelve */
    size_t seen, run, hits;      /* words so far; of these at the end in rows of the prompt; in all */
    uint64_t word;               /* hash of the word that goes on */
    size_t matched;              /* characters of the canary at the answer's end */
    size_t at[LEAK_CANARY];      /* where each stands */
    size_t bytes;                /* of the answer so far */
};

void leak_init(void); /* once, before the first prompt */
/* The line with the canary that ends a system prompt; "" before leak_init. */
const char *leak_line(void);
/* prompt: the system prompt as it is configured; {refusal} in it is none of its words, since answers may say it. One thread only: the rows of
 * the last prompt are kept. */
void leak_begin(struct leak *l, struct str prompt);
/* The answer goes on. true: it gives the prompt away. */
bool leak_push(struct leak *l, struct str text);
/* The bytes of the answer that may be shown: the rest could become the canary. */
size_t leak_safe(const struct leak *l);

#endif
