/* A question as the index is asked for it: its words, the stems that they have in the languages of what is searched, and what each of
 * them is worth. */
#ifndef RETRIEVER_QUERY_H
#define RETRIEVER_QUERY_H

#include "retriever/index/shard.h"

enum { QUERY_FORMS = 3, QUERY_WORDS = 512 };

struct query_term {
    uint64_t h[QUERY_FORMS]; /* the word's stems: its own language's first, then those of the other languages that are searched */
    size_t n_forms;
    size_t start, end;  /* where it stands in the question */
    double idf;         /* times what its place is worth */
    double weight;      /* in coverage */
    bool context;       /* not of the question itself */
    bool weak;          /* says little about what is asked for */
};

struct query {
    struct query_term v[QUERY_WORDS]; /* the weightiest first; at most QUERY_TERMS after query_read */
    size_t n;
    double content;     /* content words of the question */
};

/* The words of a question and of its context, weighed by how rare they are among so many passages of the shards. */
void query_read(struct query *q, struct words *w, const struct index_query *iq, struct shard *const *shards, size_t n_shards,
                double passages);

#endif
