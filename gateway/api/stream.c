/* POST /chat/stream: the question path as server-sent events.
 *
 *   meta {message_id, conversation_id, session_id, model} → sources [passages found] → delta {text} …
 *     → citation {n, source_id, start, end} … → done {the query's answer}     or, any time: error {problem}
 *
 * Every event has the id <message_id>:<seq>; a comment line goes out when nothing came for 15 s. What fails before
 * the first event is an ordinary problem answer with its status. The whole stream has STREAM_TIMEOUT, unless the client asked
 * for less. */
#include <stdio.h>

#include "common/clock.h"
#include "gateway/api/api.h"
#include "gateway/ask/ask.h"
#include "gateway/request/render.h"

struct stream {
    struct question *q;
    bool begun;        /* headers are out */
    int seq;           /* of the next event */
};

static bool
send(struct stream *s, const char *event, struct buf *b)
{
    char id[64], message[37];
    bool ok;

    snprintf(id, sizeof id, "%s:%d", uuid_text(&s->q->message_id, message), s->seq++);
    ok = !b->failed && stream_event(s->q->r, event, id, buf_slice(b));
    buf_free(b);
    return ok;
}

static bool
on_begun(void *arg)
{
    struct stream *s = arg;
    struct question *q = s->q;
    struct buf b = BUF_MAX(65536);

    s->begun = true;
    if (!stream_begin(q->r))
        return false;
    buf_c(&b, '{');
    render_key_uuid(&b, "message_id", &q->message_id);
    render_key_uuid(&b, "conversation_id", &q->conversation_id);
    render_key_uuid(&b, "session_id", &q->session);
    buf_key_str(&b, "model", q->model.p ? q->model : q->settings ? q->settings->model : STR_NONE);
    buf_c(&b, '}');
    return send(s, "meta", &b);
}

static bool
on_found(void *arg)
{
    struct stream *s = arg;
    struct question *q = s->q;
    struct buf b = BUF_MAX(1048576);

    buf_z(&b, "{\"sources\":[");
    for (size_t i = 0; i < q->found->hits.n; i++) {
        struct uuid id = ask_citation_id(&q->message_id, (int64_t)i + 1);

        if (i > 0)
            buf_c(&b, ',');
        render_candidate(&b, &q->found->hits.v[i], (int64_t)i + 1, &id);
    }
    buf_z(&b, "]}");
    return send(s, "sources", &b);
}

static bool
on_text(void *arg, struct str piece)
{
    struct buf b = BUF_MAX(1048576);

    buf_c(&b, '{');
    buf_key_str(&b, "text", piece);
    buf_c(&b, '}');
    return send(arg, "delta", &b);
}

static bool
on_idle(void *arg)
{
    struct stream *s = arg;

    return stream_ping(s->q->r);
}

static bool
send_citations(struct stream *s)
{
    for (size_t i = 0; i < s->q->n_citations; i++) {
        const struct citation *c = &s->q->citations[i];
        struct buf b = BUF_MAX(4096);

        buf_c(&b, '{');
        buf_key_int(&b, "n", c->n);
        render_key_uuid(&b, "source_id", &c->id);
        render_place(&b, &c->document_id, c->start, c->end);
        buf_c(&b, '}');
        if (!send(s, "citation", &b))
            return false;
    }
    return true;
}

/* A cached answer goes through the same events. */
static void
send_cached(struct stream *s)
{
    struct question *q = s->q;
    struct buf b = BUF_MAX(1048576);

    if (!on_begun(s))
        return;
    buf_c(&b, '{');
    buf_key(&b, "sources");
    render_sources(&b, q->citations, q->n_citations);
    buf_c(&b, '}');
    if (send(s, "sources", &b))
        on_text(s, q->answer);
}

static void
send_failure(struct stream *s)
{
    struct question *q = s->q;
    struct buf b = BUF_MAX(65536);

    api_problem(q->r, q->failure.err, q->failure.text, &b);
    if (b.n > 0)
        b.n--; /* the closing brace: one member more */
    render_key_uuid(&b, "message_id", &q->message_id);
    buf_c(&b, '}');
    send(s, "error", &b);
}

static void
finish(struct stream *s, enum asked state)
{
    struct buf b = BUF_MAX(8388608);

    if (state == ASKED_ANSWERED && send_citations(s)) {
        ask_render(s->q, &b);
        idem_settle(s->q->r, 200, buf_slice(&b)); /* unless it was stored with its turn */
        send(s, "done", &b);
    } else if (state == ASKED_FAILED) {
        send_failure(s);
    }
    stream_end(s->q->r);
}

/* A stored answer: meta and done. What was stored is ours, and whole; anything else was not an answer. */
static void
replay(struct stream *s)
{
    struct question *q = s->q;
    struct buf b = BUF_MAX(8388608);
    enum json_fault fault;
    const char *why;
    json_t *o = q->stored.status == 200 ? json_read(q->stored.body, &fault, &why) : NULL;

    if (o == NULL) {
        idem_replay(q->r, &q->stored);
        return;
    }
    idem_replayed(q->r);
    uuid_parse(json_str(o, "message_id"), &q->message_id);
    uuid_parse(json_str(o, "conversation_id"), &q->conversation_id);
    q->model = json_str(json_object_get(o, "usage"), "model");
    buf_str(&b, q->stored.body);
    if (on_begun(s))
        send(s, "done", &b);
    stream_end(q->r);
    buf_free(&b);
    json_decref(o);
}

static void
set_deadline(struct request *r)
{
    int64_t asked;

    if (!digits(request_header(r, "X-Request-Timeout-Ms"), 60000, &asked))
        r->deadline_ms = clock_ms() + api_stream_ms(r);
}

void
route_chat_stream(struct request *r)
{
    struct question q;
    struct stream s = { .q = &q };
    const struct ask_sink sink = { &s, on_begun, on_found, on_text, on_idle };
    enum asked state = ASKED_ANSWERED;

    set_deadline(r);
    if (!ask_parse(r, "query", &q) || !ask_admit(&q)) {
        ask_fini(&q);
        return;
    }
    if (q.stored.status != 0) {
        replay(&s);
        ask_fini(&q);
        return;
    }
    if (q.from_cache) {
        ask_save_hit(&q);
        send_cached(&s);
    } else {
        state = ask_run(&q, &sink);
    }
    if (s.begun)
        finish(&s, state);
    else if (state == ASKED_FAILED)
        reply_answer_error(r, &q.failure);
    else
        reply_problem(r, ERR_CANCELLED, NULL);
    ask_fini(&q);
}
