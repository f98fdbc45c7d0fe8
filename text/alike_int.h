/* A question as it is compared: alike_read.c makes it, alike.c compares it. */
#ifndef TEXT_ALIKE_INT_H
#define TEXT_ALIKE_INT_H

#include "text/alike.h"

enum { ALIKE_WORDS_MAX = 64, ALIKE_WORD_MAX = 48 };

/* Prepositions, by what they say of the words behind them. */
enum alike_case {
    CASE_NONE,
    CASE_OF,
    CASE_FOR,
    CASE_LOC,
    CASE_AT,
    CASE_TO,
    CASE_FROM,
    CASE_WITH,
    CASE_BY,
    CASE_THAN,
    CASE_ABOUT,
    CASES
};

struct alike_word {
    char z[ALIKE_WORD_MAX]; /* lower case, unless its case says something */
    bool exact;  /* a sign, a number, a name of files or programs, quoted: no other form of it is the same */
    bool name;   /* it has a capital within the sentence */
    bool broken; /* a sentence or a part of one ends behind it */
    enum alike_case in; /* the preposition that it belongs to */
    int phrase;         /* number of that preposition in the text */
    int group;          /* of words that mean the same; -1: none */
};

#define ALIKE_YES_OR_NO (1u << 31)

struct alike_text {
    enum language l;
    uint32_t marks; /* what is asked for: how, who, can, past … (bits of alike.tbl) */
    size_t n;
    bool over; /* more words, or longer ones, than are compared */
    struct alike_word v[ALIKE_WORDS_MAX];
};

/* alike_form.c. Are these two forms of one English word: its plural, its -ing? */
bool alike_inflected(const char *a, const char *b);
/* The group of words that mean the same as this one; -1: none. */
int alike_group(const char *word);
bool alike_is_number(int group);
/* Is one of them the other one mistyped? */
bool alike_mistyped(const char *a, const char *b);

#endif
