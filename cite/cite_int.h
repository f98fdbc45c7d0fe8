/* Shared by cite.c and cite_evidence.c: one answer in the making, and the search for a
 * statement in a passage. */
#ifndef CITE_CITE_INT_H
#define CITE_CITE_INT_H

#include "cite/cite.h"
#include "cite/marks.h"
#include "text/sentence.h"

enum { QUOTE_MIN = 12, STATEMENT_WORDS = 256, SENTENCES_MAX = 512, CITED_MAX = 200, LOOKED_MAX = 400 };

struct bag { /* distinct words of a statement */
    uint64_t h[STATEMENT_WORDS];
    double weight[STATEMENT_WORDS];
    size_t n;
};

struct support {      /* the best place found for one n */
    struct span span; /* in hit.text */
    double overlap;   /* 0 … 1 */
    bool verbatim;
    bool set;
};

struct citer {
    const struct cite_req *req;
    struct words *words;
    struct arena *arena;
    struct str answer; /* cleaned */
    struct bag bag;
    struct span sentences[SENTENCES_MAX]; /* of the passage at hand */
    struct support best[CITED_MAX];       /* by n − 1 */
    bool leads[LOOKED_MAX];               /* by the marks' order: it stands in front of its claim */
    struct span row;                      /* marks in a row that were passed last (cite_claim.c) */
};

/* ---- cite.c */
struct str cite_slice(struct str s, struct span x);
void cite_bag(struct citer *c, struct str statement);      /* c->bag: its words */
void cite_bag_more(struct citer *c, struct str statement); /* its words, too */
size_t cite_split(struct str text, struct span *v);        /* sentences, at most SENTENCES_MAX */
bool cite_usable(const struct hit *h);                     /* is its text the bytes [start, end)? */
/* The sentences of a passage that share most with c->bag. */
struct support cite_best_sentences(struct citer *c, struct str text, const struct span *v, size_t n);

/* How many words of c->bag the text has. */
double cite_common(struct citer *c, struct str text);

/* ---- cite_verbatim.c */
/* A quoted piece, or the whole statement, where it stands in the passage: word for word, whatever its white space, emphasis and quotes. */
bool cite_verbatim(struct str text, struct str statement, struct span *out);

/* ---- cite_claim.c */
size_t cite_mark_end(struct str answer, size_t at);      /* behind the bracket of the mark at that byte */
void cite_leads(struct citer *c, const struct marks *m); /* c->leads */
/* c->bag: the words that the mark stands for, on both sides where both may be meant. Returns how many of them are surely meant. */
size_t cite_claim(struct citer *c, const struct marks *m, size_t i);
/* The sentence that the mark stands for, without marks. */
struct str cite_statement(struct citer *c, const struct marks *m, size_t i);

/* ---- cite_check.c */
/* Marks whose passage says nothing of what they stand behind: refused[i] of the LOOKED_MAX first; how many. */
size_t cite_unsupported(struct citer *c, const struct marks *m, bool *refused);

/* ---- cite_evidence.c */
/* Marks where the passages give evidence: c->answer and *m with them, *added of them. out: scratch. False: no room. */
bool cite_by_evidence(struct citer *c, struct buf *out, struct marks *m, size_t *added);

#endif
