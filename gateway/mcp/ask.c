/* The tool ask: a question through the question path, with the limits, the cache and the history of any
 * other. Its session is the key's and the question's, as in the OpenAI dialect: nothing of another question
 * comes into its answer. */
#include "gateway/ask/ask.h"
#include "gateway/mcp/mcp.h"

static void
render_cited(struct tool *t, const struct question *q, struct buf *shown)
{
    buf_str(shown, q->answer);
    if (q->n_citations > 0)
        buf_z(shown, "\n\nSources:");
    buf_key(&t->out, "sources");
    buf_c(&t->out, '[');
    for (size_t i = 0; i < q->n_citations; i++) {
        const struct citation *c = &q->citations[i];
        struct str title = document_title(c->title, c->external_id);
        struct str url = document_url(t->c->r, c->url, c->section, c->page, &c->document_id);
        char id[37];

        buf_printf(shown, "\n[%lld] " STR_FMT " " STR_FMT, (long long)c->n, STR_ARG(title), STR_ARG(url));
        buf_z(&t->out, i ? ",{" : "{");
        buf_key_int(&t->out, "n", c->n);
        buf_key_str(&t->out, "id", str_of(uuid_text(&c->document_id, id)));
        buf_key_str(&t->out, "title", title);
        buf_key_str(&t->out, "section", c->section);
        buf_key_str(&t->out, "url", url);
        buf_key_str(&t->out, "text", c->excerpt);
        buf_key_int(&t->out, "start", c->start);
        buf_key_int(&t->out, "end", c->end);
        buf_c(&t->out, '}');
    }
    buf_c(&t->out, ']');
}

static void
render(struct tool *t, const struct question *q)
{
    struct buf shown = BUF_MAX(1048576);

    buf_c(&t->out, '{');
    buf_key_str(&t->out, "answer", q->answer);
    render_cited(t, q, &shown);
    buf_key_bool(&t->out, "grounded", q->grounded);
    buf_key_num(&t->out, "confidence", q->confidence);
    buf_c(&t->out, '}');
    t->text = arena_str(t->c->r->arena, buf_slice(&shown));
    buf_free(&shown);
}

static void
run(struct tool *t, struct question *q)
{
    enum asked state = ask_whole(q);

    if (state == ASKED_ANSWERED)
        render(t, q);
    else if (state == ASKED_FAILED)
        tool_fail_call(t, &q->failure);
    else
        reply_problem(t->c->r, ERR_CANCELLED, NULL);
}

/* The store is asked for the collection after the limits. False: it failed, or the HTTP request was answered. */
static bool
let_in(struct tool *t, struct question *q)
{
    if (!q->settled && (!rpc_admit(t->c) || !tool_settle(t, ask_settle(q))))
        return false;
    q->charged = t->c->charged;
    t->c->charged = ask_admit(q);
    return t->c->charged;
}

void
mcp_ask(struct tool *t)
{
    struct given given = { .told = true };
    struct question q = { 0 };

    if (!tool_text(t, "question", &given.text) || !tool_collection(t, &given.collection))
        return;
    given.session = given_session(t->c->r, "mcp session", STR(""), "", given.text);
    if (ask_given(t->c->r, &given, &q) && let_in(t, &q))
        run(t, &q);
    ask_fini(&q);
}
