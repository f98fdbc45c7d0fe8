/* Inside of the built-in answers: passages → blocks → units that can be quoted → the few that answer. Only quote_*.c and chat.c
 * include this. Everything is a slice of the request. */
#ifndef EMBEDDER_QUOTE_H
#define EMBEDDER_QUOTE_H

#include "text/words.h"
#include "embedder/chat.h"

enum {
    QUOTE_TERMS = 32,            /* of the question */
    QUOTE_UNITS = 1536,          /* that are looked at */
    QUOTE_BLOCKS = 512,          /* of one passage */
    QUOTE_BYTES = 700,           /* of a sentence */
    QUOTE_BLOCK_BYTES = 1500,    /* of a lead-in with what it leads in */
    QUOTES = 3                   /* in one answer */
};

/* ---- quote_block.c: the lines of a passage (Markdown or plain) as blocks */
enum block_kind { BLOCK_TEXT, BLOCK_HEADING, BLOCK_ITEM, BLOCK_TABLE, BLOCK_CODE, BLOCK_FORMULA, BLOCK_IDLE };
struct block {
    enum block_kind kind;        /* BLOCK_IDLE: pictures, tags, check boxes: never quoted */
    struct str text;             /* its lines, without white space around them */
    int level;                   /* HEADING: 1 … 6 */
    size_t indent;               /* ITEM: columns before it */
    bool whole;                  /* CODE, FORMULA: it has its end; ITEM: of a list that goes on is no matter */
    bool apart;                  /* an empty line stands before it */
};
size_t quote_blocks(struct str passage, struct block *out, size_t max);

/* ---- quote_cut.c: blocks as units */
enum unit_kind { UNIT_SENTENCE, UNIT_ITEM, UNIT_BLOCK, UNIT_ROW, UNIT_CODE };
struct unit {
    enum unit_kind kind;         /* BLOCK: a lead-in with its code, list, table or formula; CODE: a line of a fence that is too long */
    struct str head;             /* ROW: the lines of the table's head, quoted before it */
    struct str text;             /* what is quoted: a slice of its passage */
    struct str key;              /* the sentence or line in it that says it: its mark goes behind that */
    struct str rest;             /* SENTENCE directly under a heading: from it to the end of its paragraph */
    bool asked;                  /* the question has all words of the heading above */
    size_t hit;                  /* 0, 1, … */
    size_t ord;                  /* within the hit */
    uint32_t own;                /* bit i: what is quoted has term i */
    uint32_t under;              /* … the heading or question that it stands directly under has it */
    uint32_t near;               /* … a neighbour, or what it leads in */
    uint32_t context;            /* … a heading or title above */
    uint32_t first;              /* ROW: … its first cell, which names it */
    size_t words;
    bool digits;
    bool name;                   /* has a capital that no sentence begins with */
    double direct;               /* share of the question's weight that its own words have */
    double coverage;             /* … with what stands around it */
    double score;                /* order among units */
};

enum wish { WISH_ANY, WISH_NUMBER, WISH_NAME };
struct term {
    uint64_t h;
    char written[24];            /* folded; n 0: longer */
    size_t n;
    bool weak;                   /* common in questions ("explain") */
    bool code;                   /* a name of digits and letters ("E150"), which says which one is meant */
    unsigned seen;               /* units that have it */
    double weight;
};
struct digest {
    const struct chat_req *req;
    struct words *words;
    struct term terms[QUOTE_TERMS];
    size_t n_terms, n_strong;    /* all; those that are not weak */
    enum language asked_in;      /* of the question */
    enum wish wish;              /* what the question wants to hear */
    struct unit *u;              /* QUOTE_UNITS */
    size_t n;
    bool all;                    /* weak units, too (to calibrate) */
    bool about;                  /* the terms are the selection's: the question says nothing but what is to be done with it */
};

/* The terms of the question: at least one unless it has no word. */
void quote_terms(struct digest *d);
/* Terms of a text until there are max; least: the class that says least of those that are taken. */
void quote_read(struct digest *d, struct str text, enum word_class least, size_t max);
uint32_t quote_bits(struct digest *d, struct str text, size_t *words);
/* Does the question have all content words, two or more, of a heading? An error that was pasted has those of its heading. */
bool quote_asks(struct digest *d, struct str heading);
/* Every unit of the passages that a model would be shown. */
void quote_cut(struct digest *d);

/* ---- quote_pick.c: the units that answer, best first; 0: none does */
size_t quote_pick(struct digest *d, const struct unit **out);
bool quote_is_news(const struct unit *u, const struct unit *const *have, size_t n); /* nothing of it is quoted already */

/* ---- quote_select.c: a question about a text that the reader selected (hit 0) */
/* Does it ask for nothing but an explanation, a summary, a translation, an example, a reason of it? */
bool quote_is_about(const struct chat_req *req);
void quote_about(struct digest *d);                              /* terms and units for that */
/* The sentences that the selection is about, and what other passages say of its words; at least one. */
size_t quote_essence(struct digest *d, const struct unit **out);

struct str quote_trim(struct str s); /* without ASCII white space at both ends */

#endif
