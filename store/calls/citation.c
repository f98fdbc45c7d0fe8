/* A citation and where its bytes stand now: of an answer of one's own session with some bytes of the document
 * around it, or for whoever shows its link with a part of the document. Of a document that is gone, or says
 * the cited bytes nowhere any more, nothing is shown. */
#include "store/calls/calls.h"

#include "common/text/text.h"

#define PART_MAX 1048576 /* bytes of a document in one reply */

/* Columns of both statements behind the citation's own. */
enum col { COL_COLLECTION = CITED_COLUMNS, COL_BYTES, COL_AT, COL_FROM, COL_TEXT, COL_SESSION };

void
citation_row(const struct tx *t, size_t row, int from, int page, struct citation *k)
{
    k->id = col_id(t, 0, row, from + CITED_ID);
    k->n = col_i64(t, 0, row, from + CITED_N);
    k->document_id = col_id(t, 0, row, from + CITED_DOCUMENT);
    k->chunk_id = col_id(t, 0, row, from + CITED_CHUNK);
    k->external_id = col_str(t, 0, row, from + CITED_EXTERNAL);
    k->title = col_str(t, 0, row, from + CITED_TITLE);
    k->chapter = col_str(t, 0, row, from + CITED_CHAPTER);
    k->section = col_str(t, 0, row, from + CITED_SECTION);
    k->url = col_str(t, 0, row, from + CITED_URL);
    k->excerpt = col_str(t, 0, row, from + CITED_EXCERPT);
    k->start = col_i64(t, 0, row, from + CITED_START);
    k->end = col_i64(t, 0, row, from + CITED_END);
    k->score = col_f64(t, 0, row, from + CITED_SCORE);
    k->page = col_i64(t, 0, row, page);
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

/* Without the beginning of a character at its end. */
static struct str
whole_end(struct str s)
{
    size_t n = s.n;

    while (n > 0 && s.n - n < 3 && ((unsigned char)s.p[n - 1] & 0xc0) == 0x80)
        n--;
    if (n > 0 && n - 1 + utf8_first((struct str){ s.p + n - 1, s.n - n + 1 }) != s.n)
        s.n = n - 1;
    return s;
}

static struct str
state_of(struct tx *t, const struct citation *k)
{
    if (!col_str(t, 0, 0, COL_AT).p)
        return STR("gone");
    return col_i64(t, 0, 0, COL_AT) == k->start ? STR("verified") : STR("moved");
}

/* The surroundings of the cited bytes in text, which begins at byte `from` of the document. */
static void
look_around(struct citation_rep *rep, const struct citation *k, struct str text, int64_t from)
{
    size_t at = (size_t)(rep->at - from), n = k->excerpt.n;

    if (rep->at < from || at + n > text.n || !str_eq((struct str){ text.p + at, n }, k->excerpt)) {
        rep->state = STR("gone");
        return;
    }
    rep->stands = str_is(rep->state, "verified");
    rep->before = whole_start((struct str){ text.p, at });
    rep->after = whole_end((struct str){ text.p + at + n, text.n - at - n });
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
    citation_row(t, 0, 0, CITED_PAGE, &k);
    rep.collection = col_str(t, 0, 0, COL_COLLECTION);
    rep.bytes = col_i64(t, 0, 0, COL_BYTES);
    rep.state = state_of(t, &k);
    rep.at = col_i64(t, 0, 0, COL_AT);
    if (!str_is(rep.state, "gone"))
        look_around(&rep, &k, col_str(t, 0, 0, COL_TEXT), col_i64(t, 0, 0, COL_FROM));
    worker_reply(t->call, &rep);
}

void
citation_get(struct delivery *c)
{
    const struct citation_req *r = c->req;
    struct owner who;
    struct tx *t = session_tx(c, r->session, on_citation, &who);

    if (!t)
        return;
    TX(t, CITATION, p_str(who.tenant), p_id(&who.session), p_id(&r->id),
       p_i64(r->around < 0 ? 0 : r->around));
    tx_run(t);
}

static void
on_passage(struct tx *t)
{
    struct citation k = { 0 };
    struct passage_rep rep = { .citation = { &k, 1 } };
    struct str text;

    if (tx_rows(t, 0) == 0) {
        worker_fail(t->call, ERR_NOT_FOUND, 0, NULL);
        return;
    }
    citation_row(t, 0, 0, CITED_PAGE, &k);
    rep.session = col_str(t, 0, 0, COL_SESSION);
    rep.collection = col_str(t, 0, 0, COL_COLLECTION);
    rep.state = state_of(t, &k);
    rep.at = col_i64(t, 0, 0, COL_AT);
    rep.bytes = col_i64(t, 0, 0, COL_BYTES);
    if (!str_is(rep.state, "gone")) {
        text = col_str(t, 0, 0, COL_TEXT);
        rep.text = whole_start(text);
        rep.from = col_i64(t, 0, 0, COL_FROM) + (int64_t)(text.n - rep.text.n);
        rep.text = whole_end(rep.text);
    }
    worker_reply(t->call, &rep);
}

static int64_t
within(int64_t v, int64_t max)
{
    return v < 0 ? 0 : v > max ? max : v;
}

void
passage_get(struct delivery *c)
{
    const struct passage_req *r = c->req;
    int64_t from = within(r->from, INT32_MAX - 1), till = within(r->till, INT32_MAX);
    struct tx *t = call_tx(c, on_passage);

    if (till > 0 && till < from)
        till = from;
    if (till > from + PART_MAX)
        till = from + PART_MAX;
    TX(t, PASSAGE, p_id(&r->id), p_i64(from), p_i64(till), p_i64(within(r->before, PART_MAX / 2)),
       p_i64(within(r->after, PART_MAX / 2)));
    tx_run(t);
}
