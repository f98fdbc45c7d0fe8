/* Signs that are asked for as words are ("the ? operator", "what does `->` mean?"). A tokenizer drops them, and they are all that
 * such a question is about. A sign is up to four marks of ASCII, by itself, or an option of a program ("-j", "--dry-run"), whose
 * marks tell it from the word. */
#ifndef TEXT_SIGN_H
#define TEXT_SIGN_H

#include "text/words.h"

enum { SIGNS_ASKED = 4 }; /* of one question, that count */

/* The signs that a question asks for, each once: pieces of it; at most max. Its own punctuation is none. */
size_t signs_asked(struct str question, struct str *out, size_t max);
/* Does the text have the sign between blanks, quotes, brackets, bars or its ends? */
bool sign_stands(struct str text, struct str sign);
/* Each sign of a document, as a word: without what only structures the text. */
void signs_each(struct str text, word_fn fn, void *arg);
uint64_t sign_hash(struct str sign); /* the h of its word */
bool sign_is_option(struct str sign);
bool sign_defined(struct str text,
                  struct str option); /* does a line begin with it, or with others of which it is one? */
/* Is the title a manual page's of a command that the question names: "set - change variables", "cargo-build(1)", "git commit"? */
bool sign_commands(struct str question, struct str title);
/* The h of a second word, which an option has where a line begins with it: what explains it stands there. */
uint64_t sign_defined_hash(struct str option);

#endif
