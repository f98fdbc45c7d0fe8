/* Words of a text as 64-bit hashes of their stems: the same for documents and questions, for the index,
 * citations, answers and the built-in vector.
 *
 *   text ─▶ runs of letters, marks and digits ─▶ fold ─▶ class and stem of the text's language
 *
 * "wi-fi" also counts as "wifi", "1,024" as "1024"; a joiner (U+200C, U+200D, a soft hyphen) parts nothing.
 * Hangul: the word without its particle, as pairs of syllables. Scripts without spaces (Han, Kana, Thai, Lao,
 * Khmer, Burmese): pairs of neighbouring letters, each with its marks; a pair that touches a function word is
 * a stop word, and a single letter between function words stands alone. */
#ifndef TEXT_WORDS_H
#define TEXT_WORDS_H

#include "text/language.h"

struct word {
    uint64_t h;          /* hash of the stem */
    size_t start, end;   /* bytes of the text */
    enum word_class cls; /* how much it says */
    struct str folded;   /* until the callback returns */
    struct str stem;     /* likewise */
};

struct words; /* stemmers and buffers; not thread-safe: one for each thread or job */
typedef void (*word_fn)(void *arg, const struct word *w);

struct words *words_new(void); /* never NULL; of English */
void words_free(struct words **w);
/* The language of the texts that follow. Words of other scripts are read in the first language of their script. */
void words_language(struct words *w, enum language l);
/* Call fn for each word of valid UTF-8, in order (a joined word follows its parts). */
void words_each(struct words *w, struct str text, word_fn fn, void *arg);
/* The hash of a word; of several words that of the last. 0: it is a stop word, or none. */
uint64_t words_hash(struct words *w, struct str word);

#endif
