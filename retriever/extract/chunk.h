/* Text → chunks: passages of some CHUNK_BYTES that begin and end at headings, paragraphs and sentences. */
#ifndef RETRIEVER_CHUNK_H
#define RETRIEVER_CHUNK_H

#include "common/mem.h"
#include "retriever/extract/extract.h"

struct piece {
    size_t start, end;   /* bytes of the text; never inside a character, never empty */
    struct str chapter;  /* the document's chapter, else the level-1 heading above */
    struct str section;  /* headings below that, "A > B", after the document's own section */
};

struct chunk_rules {
    size_t target;       /* bytes aimed at; a fence or sentence may reach 1.5 × this */
    size_t overlap;      /* bytes of the text before that are repeated where a long paragraph is cut */
    struct str chapter;  /* the client's; absent: from the headings */
    struct str section;  /* the client's */
};

struct pieces {
    struct piece *v;
    size_t n;
};

/* Cut valid UTF-8. Lists and strings come from the arena; false when it is full. */
bool chunk_text(struct str text, enum doc_format format, const struct chunk_rules *rules, struct arena *a,
                struct pieces *out);
/* What is embedded and indexed for a passage: title, chapter, section, the head of the
 * table that it begins in the middle of (md_table_head), and text, a line each; appended to out. */
void chunk_passage(struct buf *out, struct str title, struct str chapter, struct str section, struct str lead, struct str text);

#endif
