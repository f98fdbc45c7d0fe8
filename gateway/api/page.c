/* GET /: the page where one can ask and read the sources. It is part of the program (assembled in from web/index.html,
 * so that no file has to be found at run time) and loads nothing from anywhere else: its Content-Security-Policy allows
 * its own style and script by a nonce that every answer has anew. */
#include <stdio.h>

#include "gateway/api/api.h"
#include "gateway/request/handler.h"

__asm__(".section .rodata\n"
        ".global web_page\n"
        "web_page:\n"
        ".incbin \"gateway/web/index.html\"\n"
        ".global web_page_end\n"
        "web_page_end:\n"
        ".byte 0\n"
        ".previous\n");
extern const char web_page[];
extern const char web_page_end[];

#define MARK "@NONCE@"

static void
fill(struct buf *b, const char *nonce)
{
    const char *p = web_page;

    while (p < web_page_end) {
        const char *at = memmem(p, (size_t)(web_page_end - p), MARK, sizeof MARK - 1);

        buf_add(b, p, (size_t)((at ? at : web_page_end) - p));
        if (!at)
            break;
        buf_z(b, nonce);
        p = at + sizeof MARK - 1;
    }
}

void
route_page(struct request *r)
{
    uint8_t bits[16];
    char nonce[33], policy[320];
    struct buf b = BUF_MAX(1048576);

    random_bytes(bits, sizeof bits);
    hex_text(bits, sizeof bits, nonce);
    snprintf(policy, sizeof policy,
             "default-src 'none'; style-src 'nonce-%s'; script-src 'nonce-%s'; connect-src 'self'; img-src data:; "
             "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
             nonce, nonce);
    request_header_add(r, "Content-Security-Policy", policy);
    request_header_add(r, "Referrer-Policy", "no-referrer");
    fill(&b, nonce);
    reply_bytes(r, 200, "text/html; charset=utf-8", buf_slice(&b));
    buf_free(&b);
}
