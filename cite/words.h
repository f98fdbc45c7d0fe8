/* Words of a text as 64-bit hashes of their stems: the same for documents and questions.
 * Folding: Unicode case folding, compatibility forms, accents stripped (utf8proc); English stems (libstemmer, ASCII words
 * only); "wi-fi" also counts as "wifi", "1,024" as "1024"; scripts without spaces give pairs of characters. */
#ifndef CITE_WORDS_H
#define CITE_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/str.h"

enum word_class {
    WORD_CONTENT, /* says what the text is about */
    WORD_WEAK,    /* common in questions ("explain", "difference"): counts little when it is missing */
    WORD_STOP     /* "the", "is", "who": never indexed */
};

struct word {
    uint64_t h;            /* hash of the stem */
    size_t start, end;     /* bytes of the text */
    enum word_class cls;   /* how much it says */
};

struct words;              /* a stemmer and its buffers; not thread-safe: one for each thread or job */
typedef void (*word_fn)(void *arg, const struct word *w);

struct words *words_new(void);                /* never NULL */
void words_free(struct words **w);
/* Call fn for each word of valid UTF-8, in order (a joined word follows its parts). */
void words_each(struct words *w, struct str text, word_fn fn, void *arg);

#endif
