/* Pages that are part of the program (gateway/web/): HTML with slots, @NAME@, which are filled here. */
#ifndef GATEWAY_API_PAGE_H
#define GATEWAY_API_PAGE_H

#include "gateway/request/request.h"

struct slot {
    const char *name; /* "@TITLE@" */
    struct str value; /* HTML: what comes from outside is escaped with html_add */
};

/* A file as part of the program: its first byte, and the one behind its last. */
#define FILE_IN(symbol, file) \
    __asm__(".section .rodata\n" \
            ".global " #symbol "\n" #symbol ":\n" \
            ".incbin \"" file "\"\n" \
            ".global " #symbol "_end\n" #symbol "_end:\n" \
            ".byte 0\n" \
            ".previous\n"); \
    extern const char symbol[]; \
    extern const char symbol##_end[]

/* The text of a page, assembled into the program. */
struct str page_source(void), page_docs(void);
/* The digest of this build's widget: what its address is told apart by. */
const char *widget_version(void);
/* Answer with a page, its slots filled; @NONCE@ is what its own style (and script, when it has one) goes by. It loads nothing. */
void page_reply(struct request *r, int status, struct str page, const struct slot *slots, size_t n,
                bool script);
/* Append text so that it is text in HTML, in a value between double quotes, too. */
void html_add(struct buf *b, struct str s);

#endif
