/* Text → chunks: passages of some CHUNK_BYTES that begin and end at headings, paragraphs and sentences. */
#ifndef RETRIEVER_EXTRACT_CHUNK_H
#define RETRIEVER_EXTRACT_CHUNK_H

#include "common/mem.h"
#include "retriever/extract/extract.h"

struct piece {
    size_t start, end;  /* bytes of the text; never inside a character, never empty */
    struct str chapter; /* the document's chapter, else the level-1 heading above */
    struct str section; /* headings below that, "A > B", after the document's own section */
    int64_t page;       /* that it stands on, from 1; 0: the document has none */
    struct str
        lead; /* the head of the table, or the first line of the fence, that it begins in the middle of, or absent */
    struct str
        anchor; /* of the heading above, where it is not what the section's last heading usually gets; else absent */
};

struct chunk_rules {
    size_t target;      /* bytes aimed at; a fence or sentence may reach 1.5 × this */
    size_t overlap;     /* bytes of the text before that are repeated where a long paragraph is cut */
    struct str chapter; /* the client's; absent: from the headings */
    struct str section; /* the client's */
    struct str url;     /* of the document: does it want anchors, and whose (text/anchor.h) */
};

struct pieces {
    struct piece *v;
    size_t n;
};

/* Cut the text of a document into its pieces. Lists and strings come from the arena or borrow from the text;
 * false when it is full. */
bool chunk_text(const struct extracted *x, const struct chunk_rules *rules, struct arena *a,
                struct pieces *out);
/* The text that is embedded and indexed for a passage: title, chapter, section, lead and text, a line
 * each; appended to out. */
void chunk_passage(struct buf *out, struct str title, struct str chapter, struct str section, struct str lead,
                   struct str text);

#endif
