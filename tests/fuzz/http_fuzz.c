/* A request's head, as lines, into the edge's check, then its path and query.
 * Properties: what passes has one Host, names and values without bytes that may not be there, and one
 * framing; a path that is decoded is a path, stays itself when it is decoded again without percent signs, and
 * leads to a route only with a method that the route allows. */
#include "common/text/text.h"
#include "gateway/edge/check.h"
#include "gateway/edge/path.h"
#include "gateway/router.h"
#include "tests/fuzz/fuzz.h"

/* Nobody answers here: the router alone is asked. */
#define ROUTE(id, method, path, who, body, flags, handler, summary) \
    void handler(struct request *r) \
    { \
        (void)r; \
    }
#include "gateway/route.tbl"
#undef ROUTE

static char *
word(struct arena *a, struct str s)
{
    const char *nul = s.n ? memchr(s.p, 0, s.n) : NULL;

    return arena_dup(a, (struct str){ s.p, nul ? (size_t)(nul - s.p) : s.n });
}

static void
fill(struct str in, struct arena *a, struct head *h)
{
    struct str line = take_until(&in, '\n'), target;

    h->fault = HEAD_CLEAN;
    h->method = word(a, take_until(&line, ' '));
    target = take_until(&line, ' ');
    h->target = word(a, take_until(&target, '?'));
    h->query = target.n ? word(a, target) : NULL;
    h->version = word(a, line);
    while (in.n > 0 && h->n < HEAD_MAX) {
        line = take_until(&in, '\n');
        h->h[h->n].name = word(a, take_until(&line, ':'));
        h->h[h->n++].value = word(a, line);
    }
}

static void
judge_head(const struct head *h, const struct frame *f)
{
    int hosts = 0;

    for (int i = 0; i < h->n; i++) {
        hosts += strcasecmp(h->h[i].name, "host") == 0;
        require(h->h[i].name[0] && !strpbrk(h->h[i].name, " \t:\r\n") && !strpbrk(h->h[i].value, "\r\n"));
    }
    require(hosts == 1 && h->target[0] == '/');
    require(f->chunked ? f->length == -1 && !head_get(h, "Content-Length") : f->length >= 0);
    require(!(f->old && (f->keep || f->chunked || f->expect)));
}

static void
judge_path(const char *raw, struct arena *a)
{
    char *path = arena_alloc(a, strlen(raw) + 1), *again, allow[64];
    bool known;
    struct str arg = STR_NONE;

    if (!path_decode(raw, path))
        return;
    require(path[0] == '/' && utf8_valid(str_of(path)) && !strstr(path, "//") && !strstr(path, "/../"));
    for (const char *p = path; *p; p++)
        require((unsigned char)*p >= 32 && *p != 127 && *p != '\\');
    again = arena_alloc(a, strlen(path) + 1);
    if (!strchr(path, '%'))
        require(path_decode(path, again) && strcmp(path, again) == 0);
    for (int m = METHOD_GET; m <= METHOD_OTHER; m++) {
        const struct route *r = router_find((enum method)m, str_of(path), &arg, &known, allow);

        require(strlen(allow) < sizeof allow &&
                (!r || (known && (r->method == (enum method)m || m == METHOD_HEAD))));
        require(!r || inside(arg, str_of(path)));
    }
}

static void
judge_query(const char *query, struct arena *a)
{
    static const char *const names[] = { "", "page", "collection", "wait" };
    char *out = arena_alloc(a, strlen(query) + 1);

    for (size_t i = 0; i < 4; i++)
        if (query_get(query, names[i], out) == 1)
            require(strlen(out) <= strlen(query) && utf8_valid(str_of(out)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena *a = arena_new(1u << 22);
    struct head h = { .n = 0 };
    struct frame f;
    const char *why = NULL;

    fill((struct str){ (const char *)data, n < 20000 ? n : 20000 }, a, &h);
    if (edge_check(&h, &f, &why) == ERR_OK)
        judge_head(&h, &f);
    else
        require(why && *why);
    judge_path(h.target, a);
    if (h.query)
        judge_query(h.query, a);
    for (int i = 0; i < h.n; i++) {
        if (request_id_valid(h.h[i].value))
            require(strlen(h.h[i].value) <= 128 && !strpbrk(h.h[i].value, "\"\\<> \r\n"));
        if (traceparent_valid(h.h[i].value))
            require(strlen(h.h[i].value) >= 55);
    }
    arena_free(&a);
    return 0;
}
