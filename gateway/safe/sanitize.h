/* A model's text, made harmless for programs that render it as Markdown or put it into a page:
 *
 *   ![alt](address)           an address outside the rules: alt        [text](address)   text
 *   [label]: address          label: address, which defines nothing    <http://address>  address
 *   http://address, www.…     without http://, https://, ftp://, www.: nothing that a reader's program makes a link of
 *   <tag>                     &lt;tag>
 *
 * Code keeps its bytes: fenced blocks, and spans within a line. Code is told from text as CommonMark 0.31
 * does, and where its rules need more than a look at the line (a fence that its list may have ended, a span
 * that another line may have begun) the text is taken for text. Indented code is text. An address is left to
 * the eye, not to the mouse, so that nothing is lost that a document says.
 *
 * Pieces of any length give the same as the whole; no more is held back than an open construct needs, at most some 3 KB.
 * Pure: no clocks, no sockets. The proof is tests/unit/gateway/sanitize_test.c and
 * tests/fuzz/sanitize_fuzz.c, which asks cmark-gfm. */
#ifndef GATEWAY_SAFE_SANITIZE_H
#define GATEWAY_SAFE_SANITIZE_H

#include "common/mem.h"
#include "gateway/safe/link_rule.h"

enum removed { REMOVED_LINK, REMOVED_IMAGE, REMOVED_URL, REMOVED_TAG, REMOVED_KINDS };
extern const char *const removed_labels[]; /* by enum removed, NULL */

struct sanitizer {
    const struct link_rules *rules;
    struct buf hold;         /* bytes that are not decided yet */
    size_t at;               /* of hold: how far it is */
    size_t n[REMOVED_KINDS]; /* things that were taken away */
    unsigned char prev;      /* last byte that went out */
    bool line_start, lead;   /* a line begins here; only its indentation and markers went out */
    bool bracket;            /* the line began with a bracket */
    bool was_blank, blank;   /* the line before; this one so far */
    bool after_return;       /* the last byte taken in was a carriage return */
    bool verbatim;           /* within a line of a fenced block */
    bool in_url;             /* an address goes on, and swallows backticks */
    bool open_span;          /* this paragraph has backticks without a partner: no spans in it any more */
    bool unsure;             /* nothing is code any more */
    char fence;              /* '`' or '~': within a fenced block; 0 */
    size_t fence_run, fence_indent;
    size_t item, item_indent; /* column of the innermost list item's text, and of its marker; 0: none */
};

void sanitizer_init(struct sanitizer *s, const struct link_rules *rules);
/* Add a piece; what is decided goes to out. */
void sanitizer_feed(struct sanitizer *s, struct str piece, struct buf *out);
/* The text ends: the rest goes to out. Also releases what s holds. */
void sanitizer_end(struct sanitizer *s, struct buf *out);
/* A whole text at once; the counts are added to n when it is not NULL. */
void sanitize(const struct link_rules *rules, struct str text, struct buf *out, size_t n[REMOVED_KINDS]);

/* Between sanitize.c (bytes) and sanitize_line.c (lines). At a line's beginning: true, when it is known what the line is; then
 * *take is how many bytes of it go out as they are (0: they are text). false: more must come first. */
bool sanitize_line(struct sanitizer *s, struct str rest, bool end, size_t *take);

#endif
