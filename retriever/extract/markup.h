/* Markdown, HTML and MDX as the page shows them: text that no reader sees becomes blank, in place. */
#ifndef RETRIEVER_EXTRACT_MARKUP_H
#define RETRIEVER_EXTRACT_MARKUP_H

#include <stdbool.h>
#include <stddef.h>

/* Take out of the n bytes of UTF-8 at s (lines end in \n) what the rendered page does not show: comments,
 * scripts and styles, tags with their attributes, imports, exports and expressions of MDX, the marks of
 * admonitions and tabs. Their text stays. Tables, headings, lists and preformatted text of HTML become those
 * of Markdown; entities become their letters. Code, autolinks, and what only looks like a tag ("<name>",
 * "List<T>") stay as they are.
 *
 * The length stays: every line begins at the byte where it began, shortened lines end in blanks. from: where
 * to begin (behind front matter). mdx: braces are expressions, nothing is code by its indentation. Never
 * fails; takes time in proportion to n. */
void markup_hide(char *s, size_t n, size_t from, bool mdx);

#endif
