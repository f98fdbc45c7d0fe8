/* Strict request check (RFC 9112, RFC 9110 section 5). The HTTP library below is lenient; a request that
 * two programs in a row could read differently is refused here and the connection ends, so that no hidden
 * second request can run.
 * Pure: a parsed head goes in, a verdict and the body's framing come out. */

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/text/number.h"
#include "gateway/edge/check.h"
#include "gateway/edge/path.h"

const char *const method_names[] = { "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "OTHER" };

enum method
method_of(const char *name)
{
    for (int m = METHOD_GET; m < METHOD_OTHER; m++)
        if (strcmp(name, method_names[m]) == 0)
            return (enum method)m;
    return METHOD_OTHER;
}

const char *
head_get(const struct head *h, const char *name)
{
    for (int i = 0; i < h->n; i++)
        if (strcasecmp(h->h[i].name, name) == 0)
            return h->h[i].value;
    return NULL;
}

static int
count_of(const struct head *h, const char *name)
{
    int n = 0;

    for (int i = 0; i < h->n; i++)
        n += strcasecmp(h->h[i].name, name) == 0;
    return n;
}

static enum err
refuse(const char **why, enum err e, const char *text)
{
    *why = text;
    return e;
}

static bool
token_char(unsigned char c)
{
    return isalnum(c) || (c != 0 && strchr("!#$%&'*+-.^_`|~", c));
}

static bool
token_ok(const char *z)
{
    if (*z == 0)
        return false;
    for (; *z; z++)
        if (!token_char((unsigned char)*z))
            return false;
    return true;
}

/* Visible ASCII, spaces and tabs. */
static bool
value_ok(const char *z)
{
    for (; *z; z++)
        if ((*z < 32 && *z != '\t') || *z > 126)
            return false;
    return true;
}

static enum err
check_raw(const struct head *h, const char **why)
{
    switch (h->fault) {
    case HEAD_LINE_END: return refuse(why, ERR_BAD_REQUEST, "a header line does not end with CR LF");
    case HEAD_SPACE_COLON: return refuse(why, ERR_BAD_REQUEST, "white space before the colon of a header");
    case HEAD_SPACES:
        return refuse(why, ERR_BAD_REQUEST, "the request line is not three words with single spaces");
    case HEAD_LEADING: return refuse(why, ERR_BAD_REQUEST, "something stands before the request line");
    case HEAD_HIDDEN:
        return h->n >= HEAD_MAX ? refuse(why, ERR_HEADERS_LARGE, "more than 64 headers")
                                : refuse(why, ERR_BAD_REQUEST, "a folded or malformed header line");
    case HEAD_CLEAN: break;
    }
    return ERR_OK;
}

static enum err
check_line(const struct head *h, const char **why)
{
    if (strcmp(h->version, "1.1") != 0 && strcmp(h->version, "1.0") != 0)
        return refuse(why, ERR_BAD_REQUEST, "not HTTP/1.1 or HTTP/1.0");
    if (!token_ok(h->method))
        return refuse(why, ERR_BAD_REQUEST, "the method is malformed");
    if (h->target[0] != '/' || !value_ok(h->target) || strchr(h->target, '#'))
        return refuse(why, ERR_BAD_REQUEST, "the target is not a path");
    if (h->query && !query_valid(h->query))
        return refuse(why, ERR_BAD_REQUEST, "the query string is malformed");
    return ERR_OK;
}

/* Headers that decide who asks what must not be there twice: the next program might take the other one. */
static enum err
check_fields(const struct head *h, const char **why)
{
    static const char *const once[] = { "Content-Type", "Authorization",   "Origin", "X-Session-ID",
                                        "Expect",       "Idempotency-Key", NULL };
    const char *host = head_get(h, "Host");

    for (int i = 0; i < h->n; i++)
        if (!token_ok(h->h[i].name) || !value_ok(h->h[i].value))
            return refuse(why, ERR_BAD_REQUEST, "a header holds bytes that may not be there");
    if (count_of(h, "Host") != 1)
        return refuse(why, ERR_BAD_REQUEST, "exactly one Host header is needed");
    if (*host == 0 || strpbrk(host, " \t,/@?#\\"))
        return refuse(why, ERR_BAD_REQUEST, "the Host header is malformed");
    for (int i = 0; once[i] != NULL; i++)
        if (count_of(h, once[i]) > 1)
            return refuse(why, ERR_BAD_REQUEST, "a header that must be single is repeated");
    return ERR_OK;
}

static enum err
check_framing(const struct head *h, struct frame *out, const char **why)
{
    const char *te = head_get(h, "Transfer-Encoding");
    const char *cl = head_get(h, "Content-Length");

    if (te) {
        if (cl)
            return refuse(why, ERR_BAD_REQUEST, "both Transfer-Encoding and Content-Length");
        if (out->old || count_of(h, "Transfer-Encoding") > 1)
            return refuse(why, ERR_BAD_REQUEST, "more than one Transfer-Encoding, or one in HTTP/1.0");
        if (strcasecmp(te, "chunked") != 0)
            return refuse(why, ERR_TRANSFER_CODING, "only the transfer coding chunked is supported");
        out->chunked = true;
        out->length = -1;
        return ERR_OK;
    }
    if (count_of(h, "Content-Length") > 1)
        return refuse(why, ERR_BAD_REQUEST, "more than one Content-Length");
    if (cl && !number_parse(str_of(cl), 0, INT64_MAX, &out->length))
        return refuse(why, ERR_BAD_REQUEST, "Content-Length is not a number");
    return ERR_OK;
}

static bool
wants_close(const struct head *h)
{
    for (int i = 0; i < h->n; i++)
        if (strcasecmp(h->h[i].name, "Connection") == 0 && strcasestr(h->h[i].value, "close"))
            return true;
    return false;
}

enum err
edge_check(const struct head *h, struct frame *out, const char **why)
{
    enum err e;
    const char *expect = head_get(h, "Expect");

    *out = (struct frame){ .old = strcmp(h->version, "1.0") == 0 };
    if ((e = check_raw(h, why)) || (e = check_line(h, why)) || (e = check_fields(h, why)) ||
        (e = check_framing(h, out, why)))
        return e;
    if (expect && strcasecmp(expect, "100-continue") != 0)
        return refuse(why, ERR_BAD_REQUEST, "the only expectation that can be met is 100-continue");
    out->expect = expect && !out->old;
    out->keep = !out->old && !wants_close(h);
    return ERR_OK;
}
