/* Citations: the [n] marks of an answer → the passages it was given, with the bytes that support it. */
#ifndef CITE_CITE_H
#define CITE_CITE_H

#include "text/words.h"
#include "proto/msg.h"

enum { CITE_EXCERPT_CHARS = 300 };

struct mark_support { /* how far a passage says what the sentence before its mark says */
    long n;
    double share; /* of the sentence's weight, 0 … 1; a quote: 1 */
};
struct cite_counts {
    size_t marks;                 /* that point to a passage */
    size_t added;                 /* of them: put in by evidence, the answer had none */
    size_t dropped;               /* that point nowhere */
    size_t own;                   /* brackets that are the documents' own, or an index: text */
    size_t unsupported;           /* whose passage says nothing of what they stand behind: removed */
    size_t verbatim;              /* citations whose sentence quotes the passage */
    struct mark_support *support; /* of the marks that stand, in order, in the arena; at most 400 */
    size_t n_support;
};

/* Resolve the marks of req->answer (mark_form.c: in every common form), or those that req->marks lists when
 * req->marked. Brackets of code, links and the documents' own stay as text. Marks outside 1 … hits go from
 * the answer. An answer without marks gets one at each sentence that nearly repeats one passage; a sentence
 * that stands word for word in a passage which nothing cites gets its own. A mark whose passage has no word
 * of what it stands behind goes, where answer and passage are clearly in one language (cite_check.c).
 * One citation for each cited n, its excerpt exactly the bytes [start, end) of the stored document, at most
 * 300 characters. Everything of rep is in the arena or borrowed from req. ERR_INTERNAL: the arena is full. */
enum err cite_answer(const struct cite_req *req, struct words *w, struct arena *a, struct cite_rep *rep,
                     struct cite_counts *counts);

#endif
