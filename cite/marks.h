/* Marks like [1] in an answer: finding them, telling them from the brackets of the documents, and the answer without those
 * that point nowhere. */
#ifndef CITE_MARKS_H
#define CITE_MARKS_H

#include "common/mem.h"

enum { MARKS_MAX = 4096, MARK_NUMBER_MAX = 200, MARK_GROUP_MAX = 64 };

struct mark {
    long n;    /* 1 … hits */
    size_t at; /* byte of the cleaned answer where its bracket begins */
};

struct marks {
    struct mark *v; /* in order of place */
    size_t n;
    size_t dropped; /* numbers that pointed nowhere */
    size_t own;     /* brackets that are text: the documents' own notes, indices, intervals, years */
};

/* The texts that a model was given: their brackets may come back in the answer. */
struct evidence {
    const struct str *text; /* passages, their headings, the question, the selection */
    size_t n;
    size_t budget; /* bytes that may still be compared; at 0 nothing is found any more */
};

/* A bracket that holds only numbers, as it stands in the answer. */
struct mark_group {
    size_t start, end;      /* bytes [start, end) of the answer */
    long n[MARK_GROUP_MAX]; /* its numbers, ranges written out */
    size_t count;
    bool plain; /* written "[n]", as clients look for it: copied as it stands */
};

struct marks_in {
    struct str answer;
    size_t hits;               /* how many passages the model was given: nothing else can be cited */
    struct evidence *evidence; /* NULL: none */
    const bool
        *refused;     /* of the marks that stand without it, by their order: true takes it out; NULL: none */
    size_t n_refused; /* how many are said */
    /* where the marks stand, by whoever wrote the answer; then all other brackets are text */
    const struct mark *given;
    size_t n_given;
    bool have_given;
};

/* Copy the answer to out with marks outside 1 … hits removed (and what they would leave behind); list the others.
 * False: no room. */
bool marks_find(const struct marks_in *in, struct buf *out, struct arena *a, struct marks *marks);

/* ---- mark_form.c: every common way to write a mark. Pure. */
/* Does a group begin at byte i? */
bool mark_group_at(struct str s, size_t i, struct mark_group *g);

/* Bytes of a label with its number that s begins with, "source 1", "Passage: 2"; 0: none. */
size_t mark_label(struct str s);

/* ---- mark_likely.c: forms that are marks only where words prove them. Pure. */
struct likely {
    long n;
    size_t start, end; /* its bytes, with blanks in front */
};
/* Does one end at byte `end` of s, behind words that begin at from? */
bool mark_likely(struct str s, size_t from, size_t end, struct likely *out);
/* Bytes of "According to source 1," that a sentence begins with; 0: none. */
size_t mark_lead(struct str s);

/* ---- mark_skip.c */
/* Behind code, a formula or a link that begins at i, in which no mark stands; i: none begins. *gave_up: caller's, begins 0. */
size_t mark_skip(struct str s, size_t i, size_t *gave_up);

/* ---- mark_gap.c */
/* Nothing was written of the group that ends at byte `end` of s: take away what it would leave in out. Returns where s goes on. */
size_t mark_gap_close(struct buf *out, struct str s, size_t end);

/* ---- mark_own.c */
/* Does the bracket belong to the documents? It does where the text around it is copied from a place that carries the same
 * bracket, and from no place that continues otherwise. */
bool mark_is_own(struct str answer, const struct mark_group *g, struct evidence *e);

#endif
