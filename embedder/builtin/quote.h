/* Inside of the built-in answers: passages → blocks → units → the few that answer. Only quote_*.c and chat.c include this. */
#ifndef EMBEDDER_BUILTIN_QUOTE_H
#define EMBEDDER_BUILTIN_QUOTE_H

#include "text/sign.h"
#include "text/support.h"
#include "embedder/builtin/builtin.h"
#include "embedder/embed.h"
#include "embedder/builtin/quote_sentence.h"

enum {
    QUOTE_TERMS = 32,         /* of the question */
    QUOTE_UNITS = 1536,       /* that are looked at */
    QUOTE_BLOCKS = 512,       /* of one passage */
    QUOTE_BYTES = 700,        /* of a sentence */
    QUOTE_BLOCK_BYTES = 1500, /* of a lead-in with what it leads in */
    QUOTES = 3                /* in one answer */
};

/* ---- quote_block.c: the lines of a passage (Markdown or plain) as blocks */
enum block_kind { BLOCK_TEXT, BLOCK_HEADING, BLOCK_ITEM, BLOCK_TABLE, BLOCK_CODE, BLOCK_FORMULA, BLOCK_IDLE };
struct block {
    enum block_kind kind; /* BLOCK_IDLE: pictures, tags, check boxes: never quoted */
    struct str text;      /* its lines, without white space around them */
    int level;            /* HEADING: 1 … 6 */
    size_t indent;        /* ITEM: columns before it */
    bool whole;           /* CODE, FORMULA: it has its end; ITEM: of a list that goes on is no matter */
    bool apart;           /* an empty line stands before it */
    bool quoted;          /* its lines begin with the mark of a quote, which is no part of what they say */
};
/* lead: of the passage; a fence that it begins in the middle of is a block without its end and its beginning. */
size_t quote_blocks(struct str passage, struct str lead, struct block *out, size_t max);

/* ---- quote_rst.c: a block of reStructuredText that Markdown does not have at byte at: its end; 0: none. before: the block before, or
 * NULL. Sets b->kind, and b->text where that is not all of it. */
size_t quote_rst(struct str passage, size_t at, const struct block *before, struct block *b);

/* ---- quote_cut.c: blocks as units */
struct asking {
    bool in_full; /* the question has all content words, two or more, of the heading: a pasted error */
    bool of_all;  /* the heading has all words of the question that say something, two or more */
    double alike; /* 0 … 1 */
};
enum unit_kind { UNIT_SENTENCE, UNIT_ITEM, UNIT_BLOCK, UNIT_ROW, UNIT_CODE };
struct unit {
    /* BLOCK: a lead-in with its code, list, table or formula; CODE: a line of a fence that is too long */
    enum unit_kind kind;
    struct str head;     /* ROW: the lines of the table's head, quoted before it */
    struct str text;     /* the quote: a slice of its passage */
    struct str key;      /* the sentence or line in it that says it: its mark goes behind that */
    struct str rest;     /* SENTENCE directly under a heading: from it to the end of its paragraph */
    struct str above;    /* the heading above */
    struct asking asked; /* what the question has in common with it */
    size_t hit;          /* 0, 1, … */
    size_t ord;          /* within the hit */
    uint32_t own;        /* bit i: what is quoted has term i */
    uint32_t under;      /* … the heading or question that it stands directly under has it */
    uint32_t near;       /* … a neighbour, or what it leads in */
    uint32_t context;    /* … a heading or title above */
    uint32_t first;      /* ROW: … its first cell, which names it */
    uint32_t column;     /* ROW: … the head of its table alone, which names a column */
    size_t words;
    bool quoted;       /* stands in a quote: the marks of its further lines are not written */
    bool pointer;      /* "See …", a title, labels: it says where, not what */
    bool digits, name; /* name: has a capital that no sentence begins with */
    double direct;     /* share of the question's weight that its own words have */
    double coverage;   /* … with what stands around it */
    double score;      /* order among units */
};

enum wish { WISH_ANY, WISH_NUMBER, WISH_NAME };
struct term {
    uint64_t h, joined; /* joined: with the word beside it, as passages write it ("log in": "login"); 0 */
    char written[24];   /* folded; n 0: longer */
    size_t n;
    bool weak;   /* common in questions ("explain") */
    bool code;   /* a name of digits and letters ("E150"), or a sign ("->"), which says which one is meant */
    bool sign;   /* written in signs alone, which are no words */
    bool member; /* "final" of "pino.final", or an option: without it the question is about something else */
    size_t start, end; /* where it stands in the text that it was read from */
    unsigned seen;     /* units that have it */
    double weight;
};
struct digest {
    const struct chat_req *req;
    struct words *words;
    struct term terms[QUOTE_TERMS];
    size_t n_terms, n;      /* of terms; of u */
    uint32_t strong, kinds; /* bits: not weak; name the kind of answer, as "what country" */
    enum language asked_in; /* of the question */
    enum language read_in;  /* of the passages: all words are read in it */
    enum wish wish;         /* the kind of answer that the question wants */
    struct unit *u;         /* QUOTE_UNITS */
    bool all;               /* weak units, too (to calibrate) */
    enum support_by by;     /* SUPPORT_WORDS: no sentence model found the passages */
    bool compares;          /* the question asks how things differ: each of them has its own sentence */
    bool asks_what;         /* the question asks what a thing is */
    bool about; /* the terms are the selection's: the question only says what is to be done with it */
};

/* ---- quote_terms.c: the terms of the question, at least one unless it has no word */
void quote_terms(struct digest *d);
bool quote_is_foreign(const struct digest *d, const struct hit *h); /* clearly in another language than it */
/* Terms of a text until there are max; least: the class that says least of those that are taken. */
void quote_read(struct digest *d, struct str text, enum word_class least, size_t max);
uint32_t quote_bits(struct digest *d, struct str text, size_t *words);
struct asking quote_asks(struct digest *d, struct str heading); /* what the question has in common with it */
/* ---- quote_cut.c: every unit of the passages that a model would be shown */
void quote_cut(struct digest *d);
/* ---- quote_define.c: how far it says what is asked for, 0 … 1: in a sentence about it, or behind its name */
double quote_defines(struct digest *d, const struct unit *u);
struct str quote_term_above(struct str text); /* that it explains, on its first line; or absent */

/* ---- quote_pick.c: the units that answer, best first; 0: none does */
size_t quote_pick(struct digest *d, const struct unit **out);
bool quote_is_news(const struct unit *u, const struct unit *const *have,
                   size_t n); /* nothing of it is quoted already */

/* ---- quote_near.c: the units that are near to the question, after quote_pick has found none that has its words */
#define QUOTE_LEAST_COVERAGE 0.30 /* below this nothing is quoted for its words, however likely */
enum { NEAR_UNITS = 48, NEAR_HITS = 4 };
struct near_unit {
    const struct unit *u;
    float cosine;
};
struct near_set {
    struct near_unit v[NEAR_UNITS];
    size_t n;
    struct str texts[NEAR_UNITS + 1]; /* what to embed: each unit under its heading, the question last */
    struct buf all;                   /* holds them */
};
/* The units to measure; false: there are none, or the words say enough. near_set_free in either case. */
bool quote_near_texts(const struct digest *d, struct near_set *s);
/* vectors: (s->n + 1) × dims, of length 1. local: of the sentence model, whose cosines were calibrated. */
size_t quote_near_choose(struct digest *d, struct near_set *s, const float *vectors, size_t dims, bool local,
                         const struct unit **out);
void near_set_free(struct near_set *s);
/* Both, by a model of this process. */
size_t quote_near(struct digest *d, const struct embed_near *m, const struct unit **out);

/* ---- quote_select.c: a question about a text that the reader selected (hit 0) */
/* Does it ask for nothing but an explanation, a summary, a translation, an example, a reason of it? */
bool quote_is_about(const struct chat_req *req);
void quote_about(struct digest *d); /* terms and units for that */
/* The sentences that the selection is about, and what other passages say of its words; at least one. */
size_t quote_essence(struct digest *d, const struct unit **out);
struct str quote_trim(struct str s); /* without ASCII white space at both ends */

#endif
