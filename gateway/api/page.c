/* GET /: the page where one can ask and read the sources; and what all pages share. They are part of
 * the program (assembled in from web/, so that no file has to be found at run time) and load nothing
 * from anywhere else: their Content-Security-Policy allows their own style and script by a nonce that
 * every answer has anew. */
#include "gateway/api/page.h"

#include <stdio.h>

#include "gateway/api/api.h"

FILE_IN(web_page, "gateway/web/index.html");
FILE_IN(web_source, "gateway/web/source.html");
FILE_IN(web_docs, "gateway/web/docs.html");

static struct str
page_home(void)
{
    return (struct str){ web_page, (size_t)(web_page_end - web_page) };
}

struct str
page_source(void)
{
    return (struct str){ web_source, (size_t)(web_source_end - web_source) };
}

struct str
page_docs(void)
{
    return (struct str){ web_docs, (size_t)(web_docs_end - web_docs) };
}

void
html_add(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        switch (s.p[i]) {
        case '&': buf_z(b, "&amp;"); break;
        case '<': buf_z(b, "&lt;"); break;
        case '>': buf_z(b, "&gt;"); break;
        case '"': buf_z(b, "&quot;"); break;
        case '\'': buf_z(b, "&#39;"); break;
        default: buf_c(b, s.p[i]);
        }
}

/* The slot that begins at p. */
static const struct slot *
slot_at(const char *p, size_t left, const struct slot *slots, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(slots[i].name) <= left && memcmp(p, slots[i].name, strlen(slots[i].name)) == 0)
            return &slots[i];
    return NULL;
}

static void
fill(struct buf *b, struct str page, const char *nonce, const struct slot *slots, size_t n)
{
    const struct slot own = { "@NONCE@", str_of(nonce) };
    const char *p = page.p, *end = page.p + page.n;

    while (p < end) {
        const char *at = memchr(p, '@', (size_t)(end - p));

        buf_add(b, p, (size_t)((at ? at : end) - p));
        if (!at)
            break;
        const struct slot *s = slot_at(at, (size_t)(end - at), &own, 1);

        s = s ? s : slot_at(at, (size_t)(end - at), slots, n);
        if (s)
            buf_str(b, s->value);
        else
            buf_c(b, '@');
        p = at + (s ? strlen(s->name) : 1);
    }
}

void
page_reply(struct request *r, int status, struct str page, const struct slot *slots, size_t n, bool script)
{
    char nonce[33], script_src[192] = "", policy[400];
    struct buf b = BUF_MAX(8388608);

    hex_random(16, nonce);
    if (script)
        snprintf(
            script_src, sizeof script_src,
            "script-src 'nonce-%s'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'; ",
            nonce);
    snprintf(
        policy, sizeof policy,
        "default-src 'none'; style-src 'nonce-%s'; %simg-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
        nonce, script_src);
    request_header_add(r, "Content-Security-Policy", policy);
    request_header_add(r, "Referrer-Policy", "no-referrer");
    fill(&b, page, nonce, slots, n);
    if (b.failed)
        reply_problem(r, ERR_INTERNAL, NULL);
    else
        reply_bytes(r, status, "text/html; charset=utf-8", buf_slice(&b));
    buf_free(&b);
}

void
route_page(struct request *r)
{
    page_reply(r, 200, page_home(), &(struct slot){ "@WIDGET@", str_of(widget_version()) }, 1, true);
}
