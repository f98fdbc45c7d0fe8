/* Kinds of sentences, lines and passages, by how they begin and end. Pure functions over borrowed bytes. */
#ifndef EMBEDDER_BUILTIN_QUOTE_SENTENCE_H
#define EMBEDDER_BUILTIN_QUOTE_SENTENCE_H

#include "common/text/text.h"

struct str quote_skip_marks(struct str s); /* without "- ", "3. ", "> " before it */
/* The end of the mark of a footnote of the document at byte at, "[12]", "[^a]"; at: there is none. A link's text is none. */
size_t quote_note_end(struct str s, size_t at);
struct str
quote_skip_notes(struct str s);       /* of a sentence behind another one: without the marks of that one */
bool quote_is_sign(struct str s);     /* has no letter and no digit */
bool quote_is_lead_in(struct str s);  /* ends with a colon */
bool quote_is_open(struct str s);     /* ends without a stop: code or a table says the rest */
bool quote_is_exercise(struct str s); /* tells its reader what to do with a text */
bool quote_is_exercise_heading(struct str s);
bool quote_leans_back(struct str s);   /* its first words point to what was said before */
bool quote_points(struct str s);       /* "See …": it says where something stands, and not what */
bool quote_is_label(struct str s);     /* a title, or labels with their values: no sentence */
bool quote_is_condition(struct str s); /* "If …", "For …": it is not about its first words */
struct str
quote_skip_comment(struct str line);        /* of code: what stands before its comment; empty: it is one */
bool quote_is_contents(struct str passage); /* half of its lines are entries of a table of contents */
bool quote_compares(struct str question);   /* has a word such as "difference" */
bool quote_asks_what(struct str question);  /* "What is …?" */

#endif
