/* The chance that a quoted text answers a question: what retrieval found out, and what the question says
 * that the text does not. */
#ifndef TEXT_SUPPORT_H
#define TEXT_SUPPORT_H

#include "text/words.h"
#include "proto/msg.h"

/* The way the passage was found: each has a curve of its own. */
enum support_by {
    SUPPORT_FOUND,  /* nobody looked further than at its score */
    SUPPORT_WORDS,  /* by words, without a vector that knows meanings */
    SUPPORT_MEANING /* by the local sentence model: near, few, lacks and kind were looked at */
};
struct support {
    enum support_by by;
    double found; /* score of the passage, 0 … 1 */
    double near;  /* cosine of passage and question */
    /* share of the question's weight that the quote's own words have; 1 where nobody measured it */
    double said;
    double few;    /* 1: the question has few words that say something; less the more it has */
    bool lacks;    /* the quote lacks one of them */
    bool kind;     /* … it lacks the word for the kind of answer ("what country"), which few answers repeat */
    bool name;     /* a name of the question stands neither in the quote nor in its headings */
    bool number;   /* a number of the question stands nowhere in the passage */
    bool denial;   /* the question denies ("not", "never"), the quote does not */
    bool unlike;   /* the question wants a number, the quote has none; false where nobody looked */
    bool contrary; /* the question says "least" where the quote says "most", and the like */
};

/* Compare a question with a quote out of a passage (hit). No single word of a long question, or of a pasted
 * line, has to be there. The words are left in the passage's language. */
void support_read(struct words *w, struct str question, const struct hit *h, struct str quote,
                  struct support *out);
/* 0 … 1. */
double support_chance(const struct support *s);
#define SUPPORT_LEAST 0.434 /* below this chance the built-in answers say nothing */
/* Confidence in an answer: the best chance of its citations, each as far as the answer repeats what it cites. */
double support_confidence(struct words *w, const struct cite_req *req, const struct cite_rep *rep);

#endif
