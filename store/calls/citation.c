/* A citation in its surroundings: of an answer of one's own session, with some bytes of the document around it. A document that is
 * gone, or that says something else there by now, shows nothing around it. */
#include "store/store.h"

#include "common/text/text.h"

static void
read_one(struct tx *t, struct citation *k)
{
    k->id = col_id(t, 0, 0, 2);
    k->n = col_i64(t, 0, 0, 3);
    k->document_id = col_id(t, 0, 0, 4);
    k->chunk_id = col_id(t, 0, 0, 5);
    k->external_id = col_str(t, 0, 0, 6);
    k->title = col_str(t, 0, 0, 7);
    k->chapter = col_str(t, 0, 0, 8);
    k->section = col_str(t, 0, 0, 9);
    k->url = col_str(t, 0, 0, 10);
    k->excerpt = col_str(t, 0, 0, 11);
    k->start = col_i64(t, 0, 0, 12);
    k->end = col_i64(t, 0, 0, 13);
    k->score = col_f64(t, 0, 0, 14);
}

/* Without the rest of a character at its beginning. */
static struct str
whole_start(struct str s)
{
    while (s.n > 0 && ((unsigned char)s.p[0] & 0xc0) == 0x80) {
        s.p++;
        s.n--;
    }
    return s;
}

static void
look_around(struct citation_rep *rep, const struct citation *k, struct str text, int64_t from)
{
    size_t at = (size_t)(k->start - from), n = (size_t)(k->end - k->start);

    if (k->start < from || k->end <= k->start || at + n > text.n || !str_eq((struct str){ text.p + at, n }, k->excerpt))
        return;
    struct str after = { text.p + at + n, text.n - at - n };

    rep->stands = true;
    rep->before = whole_start((struct str){ text.p, at });
    rep->after = utf8_cut(after, after.n);
}

static void
on_citation(struct tx *t)
{
    struct citation k = { 0 };
    struct citation_rep rep = { .citation = { &k, 1 } };

    if (tx_rows(t, 0) == 0) {
        worker_fail(t->call, ERR_NOT_FOUND, 0, NULL);
        return;
    }
    read_one(t, &k);
    rep.collection = col_str(t, 0, 0, 15);
    rep.bytes = col_i64(t, 0, 0, 16);
    look_around(&rep, &k, col_str(t, 0, 0, 18), col_i64(t, 0, 0, 17));
    worker_reply(t->call, &rep);
}

void
citation_get(struct call *c)
{
    const struct citation_req *r = c->req;
    struct owner who;
    struct tx *t = session_tx(c, r->session, on_citation, &who);

    if (!t)
        return;
    TX(t, CITATION, p_str(who.tenant), p_id(&who.session), p_id(&r->id), p_i64(r->around < 0 ? 0 : r->around));
    tx_run(t);
}
