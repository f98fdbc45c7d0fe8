/* GET /s/{citation}: the stored document, scrolled to the quoted bytes, as a page of HTML without any script.
 * Everybody who has the link that an answer gave may see it (request/viewer.h); everybody else gets the page of a
 * link that leads nowhere.
 *
 * Of a long document a window is shown, [from, till) in bytes, that grows by STEP at either end with a click,
 * up to WINDOW; then it moves. Who may not read documents sees what stands around the citation, as from GET
 * /api/v1/citations/{id}. */
#include "gateway/api/page.h"

#include "common/clock.h"
#include "common/text/number.h"
#include "gateway/admit/auth.h"
#include "gateway/api/api.h"
#include "gateway/request/viewer.h"

#define BEFORE 4000
#define AFTER 8000
#define STEP 16384
#define WINDOW 262144

static bool
is_whole(const struct proof *p)
{
    return p->kind == 'd';
}

static void
reply_missing(struct request *r)
{
    static const struct slot slots[] = {
        { "@TITLE@", { "No such source", 14 } },
        { "@STATE@", { "missing", 7 } },
        { "@PLACE@", { "", 0 } },
        { "@ABOVE@", { "", 0 } },
        { "@BELOW@", { "", 0 } },
        { "@BACK@", { "", 0 } },
        { "@BEFORE@", { "", 0 } },
        { "@BEFORE2@", { "", 0 } },
        { "@QUOTED@", { "", 0 } },
        { "@AFTER@", { "", 0 } },
        { "@AFTER2@", { "", 0 } },
        { "@FACTS@", { "", 0 } },
    };

    page_reply(r, 404, page_source(), slots, sizeof slots / sizeof *slots, false);
}

/* The shown part of a text that begins at byte `from`: bytes [a, b) of the document, as HTML from the arena. */
static struct str
part(struct request *r, const struct passage_rep *p, int64_t a, int64_t b)
{
    int64_t end = p->from + (int64_t)p->text.n;
    struct buf out = BUF_MAX(8388608);
    struct str html = STR("");

    a = a < p->from ? p->from : a;
    b = b > end ? end : b;
    if (a < b)
        html_add(&out, (struct str){ p->text.p + (a - p->from), (size_t)(b - a) });
    if (out.n > 0)
        html = arena_str(r->arena, buf_slice(&out));
    buf_free(&out);
    return html.p ? html : STR("");
}

static struct str
escaped(struct request *r, struct str s)
{
    struct buf out = BUF_MAX(65536);
    struct str html;

    html_add(&out, s);
    html = arena_str(r->arena, buf_slice(&out));
    buf_free(&out);
    return html.p ? html : STR("");
}

/* The same page with another window; edge: its old end, to which the browser scrolls. */
static struct str
link_to(struct request *r, int64_t from, int64_t till, int64_t edge, const char *fragment)
{
    struct str t = request_param(r, "t");

    return str_of(arena_printf(r->arena, "?t=" STR_FMT "&amp;from=%lld&amp;till=%lld&amp;edge=%lld#%s",
                               STR_ARG(t), (long long)from, (long long)till, (long long)edge, fragment));
}

static struct str
title_of(const struct citation *k)
{
    return k->title.n > 0 ? k->title : k->external_id.n > 0 ? k->external_id : STR("Untitled document");
}

static struct str
place_of(struct request *r, const struct citation *k)
{
    bool chapter = k->chapter.n > 0 && !str_eq(k->chapter, title_of(k));
    const char *between = chapter && k->section.n > 0 ? " \xe2\x80\xba " : "";

    return escaped(r, str_of(arena_printf(r->arena, STR_FMT "%s" STR_FMT,
                                          STR_ARG(chapter ? k->chapter : STR("")), between,
                                          STR_ARG(k->section))));
}

static void
reply_source(struct request *r, const struct proof *proof, const struct passage_rep *p)
{
    const struct citation *k = &p->citation.v[0];
    bool gone = str_is(p->state, "gone");
    int64_t from = p->from, till = p->from + (int64_t)p->text.n, at = p->at,
            end = p->at + (int64_t)k->excerpt.n;
    bool away = !gone && (end > till || at < from), above = !gone && is_whole(proof) && from > 0;
    bool below = !gone && is_whole(proof) && till < p->bytes;
    int64_t up = from > STEP ? from - STEP : 0, down = till + STEP < p->bytes ? till + STEP : p->bytes;
    int64_t edge = -1;
    struct str s = request_param(r, "edge"), title = escaped(r, title_of(k));

    if (!s.p || !number_parse(s, 0, p->bytes, &edge))
        edge = -1;
    if (away)
        at = end = till;
    const struct slot slots[] = {
        { "@TITLE@", title },
        { "@PLACE@", place_of(r, k) },
        { "@STATE@",
          str_of(arena_printf(r->arena, STR_FMT "%s%s%s",
                              STR_ARG(gone && k->end <= k->start ? STR("imported") : p->state),
                              away ? " away" : "", above ? " has-above" : "", below ? " has-below" : "")) },
        { "@ABOVE@", above ? link_to(r, up, till < up + WINDOW ? till : up + WINDOW, from, "up") : STR("") },
        { "@BELOW@",
          below ? link_to(r, from > down - WINDOW ? from : down - WINDOW, down, till, "down") : STR("") },
        { "@BACK@", str_of(arena_printf(r->arena, "?t=" STR_FMT "#quote", STR_ARG(request_param(r, "t")))) },
        { "@BEFORE@", gone ? STR("") : part(r, p, from, edge >= 0 && edge < at ? edge : from) },
        { "@BEFORE2@", gone ? STR("") : part(r, p, edge >= 0 && edge < at ? edge : from, at) },
        { "@QUOTED@", gone || !away ? escaped(r, k->excerpt) : STR("") },
        { "@AFTER@", gone ? STR("") : part(r, p, end, edge > end ? edge : end) },
        { "@AFTER2@", gone ? STR("") : part(r, p, edge > end ? edge : end, till) },
        { "@FACTS@",
          gone ? STR("")
               : str_of(arena_printf(r->arena, "Bytes %lld to %lld of %lld", (long long)p->at,
                                     (long long)(p->at + (int64_t)k->excerpt.n), (long long)p->bytes)) },
    };

    request_header_add(r, "X-Robots-Tag", "noindex");
    page_reply(r, 200, page_source(), slots, sizeof slots / sizeof *slots, false);
}

/* The window that is asked for. Of a malformed one the usual one is shown. */
static void
window_of(struct request *r, const struct proof *proof, struct passage_req *req)
{
    struct str from = request_param(r, "from"), till = request_param(r, "till");
    int64_t a, b;

    req->before = is_whole(proof) ? BEFORE : API_AROUND;
    req->after = is_whole(proof) ? AFTER : API_AROUND;
    if (!is_whole(proof) || !from.p || !till.p || !number_parse(from, 0, INT32_MAX, &a) ||
        !number_parse(till, 0, INT32_MAX, &b) || a >= b)
        return;
    req->from = a;
    req->till = b > a + WINDOW ? a + WINDOW : b;
}

void
route_source(struct request *r)
{
    struct str t = request_param(r, "t");
    struct passage_req req = { 0 };
    const struct passage_rep *rep;
    struct held held = { 0 };
    struct proof proof;
    struct outcome a;

    if (!uuid_parse(r->arg, &req.id) || !proof_read(t, clock_wall_ms() / 1000, &proof)) {
        reply_missing(r);
        return;
    }
    window_of(r, &proof, &req);
    if (api_call(r, &held, KIND_PASSAGE, &req, r->deadline_ms, &a) == ERR_OK) {
        rep = a.msg;
        if (rep->citation.n != 1 || !proof_holds(&proof, rep->session, &req.id) ||
            (proof.kind == 'c' && rep->collection.n > 0 && !collection_allowed(r, rep->collection)))
            reply_missing(r);
        else
            reply_source(r, &proof, rep);
    } else if (a.err == ERR_NOT_FOUND) {
        reply_missing(r);
    } else {
        reply_outcome(r, &a);
    }
    held_free(&held);
}
