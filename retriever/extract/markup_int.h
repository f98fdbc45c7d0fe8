/* Shared by the parts of the markup reader: the scan (markup.c), tags (markup_tag.c), lines
 * (markup_line.c). */
#ifndef RETRIEVER_EXTRACT_MARKUP_INT_H
#define RETRIEVER_EXTRACT_MARKUP_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"

enum { MARKUP_TAG_MAX = 8192, MARKUP_ESM_MAX = 32768, MARKUP_NAMES = 65536 };

enum element {
    ELEMENT_NONE, /* no element of HTML */
    ELEMENT_INLINE,
    ELEMENT_BLOCK,
    ELEMENT_BREAK,
    ELEMENT_ITEM,
    ELEMENT_TERM,
    ELEMENT_DEFINITION,
    ELEMENT_HEADING,
    ELEMENT_TABLE,
    ELEMENT_ROW,
    ELEMENT_CELL,
    ELEMENT_PRE,
    ELEMENT_HIDDEN,   /* with all that is in it */
    ELEMENT_COMPONENT /* of MDX, or an element that the document defines */
};

struct tag {
    enum element kind;
    struct str name;
    struct str label; /* the shown text of a component: its title or label */
    size_t end;       /* behind its ">" */
    bool closing;     /* </x> */
    bool single;      /* <x/> */
    bool attributes;  /* has one with a value */
};

struct page {
    char *s; /* the text; [0, w) is written, [i, n) is to be read; w <= i */
    size_t n, i, w;
    size_t line;   /* where the line begins that is being written */
    int64_t spare; /* bytes that may yet be looked at in vain: bounds the time of hostile input */
    bool mdx;
    bool no_comment; /* no comment ends any more */
    /* of the line */
    char fence;      /* character of the fence that is open; 0: none */
    size_t fence_n;  /* its length */
    bool blank;      /* the line before was empty */
    bool indented;   /* … was code by its indentation */
    bool list, note; /* within a list, an admonition of MkDocs: indentation is no code */
    int boxes;       /* components and boxes that are open */
    bool flat;       /* the line is a heading or a row: it cannot be broken */
    /* of HTML */
    bool table;                       /* a table is open: empty lines between its rows go */
    bool joined;                      /* a heading or a row is open: line ends are blanks */
    bool row, head;                   /* a row is open; it is the table's head */
    size_t cells;                     /* of it */
    uint8_t closed[MARKUP_NAMES / 8]; /* names that some closing tag has, hashed */
};

/* ---- markup_tag.c */
void tag_note_closed(struct page *p, size_t from); /* fill p->closed */
bool tag_read(struct page *p, struct tag *t);      /* the tag that begins at p->i; false: it is text */
size_t tag_expression(struct page *p,
                      size_t at); /* behind the brace that closes the one at `at`; 0: none does */

/* ---- markup_line.c: lines that are marks. True: the line at p->i shows only *shown (which may be empty). */
bool line_mark(const struct page *p, struct str line, struct str *shown);
size_t line_module(struct page *p); /* behind the import or export at p->i; 0: there is none */
bool markup_autolink(struct str s); /* markup_tag.c: does s begin with <https://…> or <name@host>? */

static inline size_t
page_line_end(const struct page *p, size_t i)
{
    const char *nl = i < p->n ? memchr(p->s + i, '\n', p->n - i) : NULL;

    return nl ? (size_t)(nl - p->s) : p->n;
}

static inline bool
letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool
alnum(char c)
{
    return letter(c) || (c >= '0' && c <= '9');
}

#endif
