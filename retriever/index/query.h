/* A question as the index is asked for it: its words, the stems that they have in the languages of what is
 * searched, and what each of them is worth. */
#ifndef RETRIEVER_INDEX_QUERY_H
#define RETRIEVER_INDEX_QUERY_H

#include "retriever/index/shard.h"

enum { QUERY_FORMS = 3, QUERY_WORDS = 512 };

struct query_term {
    uint64_t h
        [QUERY_FORMS]; /* the word's stems: its own language's first, then those of the other languages that are searched */
    size_t n_forms;
    uint64_t joined[2]; /* the word written together with the one before and the one behind it; 0: none */
    size_t start, end;  /* where it stands in the question */
    double idf;         /* times what its place is worth */
    double weight;      /* in coverage */
    bool context;       /* not of the question itself */
    bool weak;          /* says little about what is asked for */
};

struct query {
    struct query_term v[QUERY_WORDS]; /* the weightiest first; at most QUERY_TERMS after query_read */
    size_t n;
    double content; /* content words of the question */
    double full;    /* what BM25 gives a passage that has each of its words once */
};

struct corpus { /* what is searched, as far as words are weighed against it */
    double passages;
    uint64_t languages[LANGUAGES]; /* documents, or passages, of each */
    double (*with)(void *arg,
                   uint64_t h); /* passages that have the word; 0: none, or it was never looked up */
    /* An engine that has to ask somebody: these words are weighed next. NULL: it has them at hand. */
    void (*look_up)(void *arg, const uint64_t *h, size_t n);
    void *arg;
};

/* How many passages have which words, as engines are told whose index is elsewhere. All zero: nothing is known yet. */
struct word_counts {
    struct counted *v;
    size_t n;
};
void counts_add(struct word_counts *c, uint64_t h, double df); /* those over some thousands are left out */
void counts_sort(struct word_counts *c);                       /* after the last one, before counts_of */
double counts_of(const struct word_counts *c, uint64_t h);     /* 0: none, or it was never added */
void counts_free(struct word_counts *c);

/* The words of a question and of its context, weighed by how rare they are among the passages. */
void query_read(struct query *q, struct words *w, const struct engine_query *iq, const struct corpus *c);

#endif
