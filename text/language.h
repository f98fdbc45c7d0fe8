/* Languages: which one a text is written in, its function words, its stemmer's name and its refusal (language.tbl).
 * Pure after the first use; thread-safe. */
#ifndef TEXT_LANGUAGE_H
#define TEXT_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/str.h"
#include "text/script.h"

enum language {
#define LANGUAGE(id, code, stemmer, script, refusal, letters, stop, weak) LANG_##id,
#include "text/language.tbl"
#undef LANGUAGE
    LANGUAGES
};

enum word_class {
    WORD_CONTENT, /* says what the text is about */
    WORD_WEAK,    /* common in questions ("explain", "difference"): counts little when it is missing */
    WORD_STOP     /* "the", "is", "who": never indexed */
};

const char *language_code(enum language l); /* BCP 47: "de" */
/* "de", "DE", "de-AT", "pt_BR": the first part counts. False: none of ours. */
bool language_parse(struct str code, enum language *out);
const char *language_stemmer(enum language l); /* libstemmer's name; NULL: it has none */
struct str language_refusal(enum language l);  /* text of an answer when the documents do not answer */
/* The language that a text is written in, by its script, its function words and its letters. among: bits (1
 * << language) of those that are expected, 0: all; another comes out where the text clearly is in it.
 * otherwise: the answer when the text does not say, as a name or a number does not. */
enum language language_of(struct str text, uint64_t among, enum language otherwise);
/* The language that a collection sets by its code, else (absent, or not known) that of the text. */
enum language language_given(struct str code, struct str text, enum language otherwise);

/* The language of a word of that script in a text of language l. */
enum language language_of_word(enum script s, enum language l);
/* A folded word's class in a language. */
enum word_class language_class(enum language l, struct str folded);
/* The bytes of s, which begins in a run of a dense script, that are one of its function words:
 * the longest; 0: none. */
size_t language_function_word(struct str s);

#endif
