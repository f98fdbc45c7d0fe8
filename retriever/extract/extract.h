/* Documents → the text that is stored, chunked and cited, with the blocks it consists of. Each format of
 * proto/format.tbl names its extractor; what belongs to one format stands in its file and nowhere else.
 *
 * The text is normalised UTF-8 (text/clean.h). Of a text format it is the document's own source (Markdown
 * stays Markdown) without what the rendered page does not show, line by line where it stood (markup.h), so
 * that byte offsets point into what its author wrote. */
#ifndef RETRIEVER_EXTRACT_EXTRACT_H
#define RETRIEVER_EXTRACT_EXTRACT_H

#include "common/mem.h"
#include "proto/extracted.h"
#include "proto/format.h"

#define EXTRACT_LEAD_MAX 1024 /* bytes of a table's head that goes with its rows */

enum block_kind {
    BLOCK_TEXT,  /* cut at sentences where it is too long */
    BLOCK_FENCE, /* cut at lines; whole up to 1.5 × the target */
    BLOCK_TABLE, /* cut at rows */
    BLOCK_HEADING
};

struct block {
    enum block_kind kind;
    size_t start,
        end;   /* bytes of the text; end is behind the last byte of its last line, without the newline */
    int level; /* of a heading, 1 … 6 */
    struct str heading; /* its words, borrowed from the text */
    struct str id;      /* that its author gave it, and an address may have; borrowed, or absent */
};

/* Of a document that could not be read: is it another time? */
enum passes { PASSES_NOT, PASSES_MAYBE, PASSES_SURELY };
/* The work of EXTRACT_URL at a document, as a statistic has it. */
enum converted { CONVERTED_OK, CONVERTED_REFUSED, CONVERTED_FAILED, CONVERTED_AWAY, CONVERTED_NOT };

struct extractor;
struct extracted {
    enum format format;
    const struct extractor *by;
    struct arena *arena; /* the caller's: strings and lists */
    struct buf text;     /* normalised; its maximum is the caller's */
    struct str title;    /* the document's own; absent: it has none */
    char reason[256];    /* where read may print one */
    enum passes passes;  /* with a reason, of a document that EXTRACT_URL reads */
    enum converted converted;
    bool later;                           /* not read: the host could not, the document may be fine */
    const struct extracted_block *blocks; /* that read found, if it keeps a list (blocks.h) */
    size_t n_blocks;
    const struct extracted_page *pages; /* of documents that have them, in order; the arena's */
    size_t n_pages;
};

/* Everything that reads strangers' bytes refuses with a reason and never asserts. Runs on a thread of makers. */
struct extractor {
    /* body → x->text, x->title. NULL, or why not, in words for the document's owner (static, or x->reason). */
    const char *(*read)(struct str body, struct extracted *x);
    /* The next block at or after byte *at; moves *at behind it. false: there is none. */
    bool (*next)(const struct extracted *x, size_t *at, struct block *out);
    /* A heading's words without marks, from the arena, on one line; NULL: they have none. */
    struct str (*heading)(struct str text, struct str heading, struct arena *a);
    /* The head of the table that begins before byte at and that the line there belongs to, or absent; NULL: there are no tables. */
    struct str (*table_head)(const struct extracted *x, size_t at);
};

extern const struct extractor extractor_child; /* what footnote-extract reads (child.c) */

/* Read a document of this media type. NULL, or why not, as read has it. */
const char *extract(struct str mime, struct str body, struct arena *a, size_t max_bytes,
                    struct extracted *out);
void extract_fini(struct extracted *x);
/* Does another process read it, so that a thread waits? */
bool extract_waits(struct str mime);

#endif
