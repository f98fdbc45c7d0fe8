/* Where a passage stands in its document: the headings above it, from the outermost on, as "Chapter > Section > Heading". */
#ifndef TEXT_SECTION_H
#define TEXT_SECTION_H

#include "common/str.h"

struct str section_last(struct str path); /* the innermost; the path itself when it is one */

/* A paragraph that is a question and stands above its answer, as a heading does. It is marked: "(11)", "3.", "Q:", "**". Its words
 * without the marks; absent: it is none. *end: behind it. The answer may begin on the next line of the paragraph. */
struct str section_question(struct str paragraph, size_t *end);
/* The same of a question that has an answer below it. below: the next text; absent: there is none, or a heading. Of a list of questions only
 * the last has one. */
struct str section_over_answer(struct str paragraph, struct str below, size_t *end);
struct str
section_answer(struct str text); /* what stands under a question, without "A:", "Answer:" and ":" before it */

#endif
