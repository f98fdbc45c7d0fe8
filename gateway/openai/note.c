/* Annotations: the citations of an answer as the OpenAI API has them. Offsets count code points of the text
 * that the client has. One for each source that the text cites, at its first mark; a mark that only came at
 * the end of a stream stands behind it.
 *
 *   chat      {type: url_citation, url_citation: {url, title, start_index, end_index}}
 *   response  {type: url_citation, url, title, start_index, end_index}, of a page that readers can open
 *             {type: file_citation, file_id, filename, index}, of a document without one */
#include "cite/marks.h"
#include "gateway/gateway.h"
#include "gateway/openai/openai.h"
#include "gateway/request/page_link.h"
#include "proto/selection.h"

enum { TEXTS_MAX = 64, EVIDENCE_BYTES = 1 << 20 };

/* Where the first mark of each number stands, in bytes. */
struct places {
    struct {
        uint32_t at, end;
    } v[MARK_NUMBER_MAX + 1];
};

static void
note_group(struct places *p, const struct mark_group *g)
{
    for (size_t i = 0; i < g->count; i++)
        if (g->n[i] >= 1 && g->n[i] <= MARK_NUMBER_MAX && p->v[g->n[i]].end == 0)
            p->v[g->n[i]].at = (uint32_t)g->start, p->v[g->n[i]].end = (uint32_t)g->end;
}

/* A bracket that a passage has behind the same words is its own, and no mark. Of a cached answer only what it cites is at hand. */
static void
find_places(const struct question *q, struct str text, struct places *p)
{
    struct str texts[TEXTS_MAX];
    struct evidence e = { .text = texts, .budget = EVIDENCE_BYTES };
    size_t gave_up = 0, i = 0;

    memset(p, 0, sizeof *p);
    for (size_t k = 0; k < q->n_citations && e.n < TEXTS_MAX; k++)
        texts[e.n++] = q->citations[k].excerpt;
    for (size_t k = 0; q->found && k < q->found->hits.n && e.n < TEXTS_MAX; k++)
        texts[e.n++] = q->found->hits.v[k].text;
    while (i < text.n) {
        struct mark_group g = { 0 };
        size_t behind = mark_skip(text, i, &gave_up);

        if (behind > i) {
            i = behind;
        } else if (mark_group_at(text, i, &g) && g.end > i) {
            if (!mark_is_own(text, &g, &e))
                note_group(p, &g);
            i = g.end;
        } else {
            i++;
        }
    }
}

static void
render_url(const struct question *q, const struct citation *c, size_t at, size_t end, struct buf *b)
{
    struct buf url = BUF_MAX(8192);

    source_url(q, c, &url);
    buf_key_str(b, "url", buf_slice(&url));
    buf_key_str(b, "title", source_title(c));
    buf_key_int(b, "start_index", (int64_t)at);
    buf_key_int(b, "end_index", (int64_t)end);
    buf_free(&url);
}

static void
render_file(const struct citation *c, size_t at, struct buf *b)
{
    char id[37];

    buf_key_str(b, "file_id", str_of(uuid_text(&c->document_id, id)));
    buf_key_str(b, "filename", c->external_id.n > 0 ? c->external_id : source_title(c));
    buf_key_int(b, "index", (int64_t)at);
}

static void
render_one(const struct question *q, const struct citation *c, size_t at, size_t end, enum note_style style,
           struct buf *b)
{
    bool file = style == NOTE_RESPONSE && !page_opens(q->r->gw->opt->public_url, c->url) &&
                !is_selection(&c->document_id);

    buf_c(b, '{');
    buf_key_str(b, "type", file ? STR("file_citation") : STR("url_citation"));
    if (style == NOTE_CHAT) {
        buf_key(b, "url_citation");
        buf_c(b, '{');
        render_url(q, c, at, end, b);
        buf_c(b, '}');
    } else if (file) {
        render_file(c, at, b);
    } else {
        render_url(q, c, at, end, b);
    }
    buf_c(b, '}');
}

static void
render_in(const struct question *q, struct str text, const struct places *p, enum note_style style,
          const struct citation *c, struct buf *b)
{
    bool marked = c->n >= 1 && c->n <= MARK_NUMBER_MAX && p->v[c->n].end > 0;
    size_t at = marked ? p->v[c->n].at : text.n, end = marked ? p->v[c->n].end : text.n;

    render_one(q, c, utf8_count((struct str){ text.p, at }), utf8_count((struct str){ text.p, end }), style,
               b);
}

void
notes_render(const struct question *q, struct str text, enum note_style style, struct buf *b)
{
    struct places p;

    find_places(q, text, &p);
    buf_c(b, '[');
    for (size_t i = 0; i < q->n_citations; i++) {
        if (i > 0)
            buf_c(b, ',');
        render_in(q, text, &p, style, &q->citations[i], b);
    }
    buf_c(b, ']');
}
