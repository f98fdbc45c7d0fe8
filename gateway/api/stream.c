/* POST /chat/stream: the question path as server-sent events; GET /chat/stream/{message_id}: one of them, from where its client has it.
 *
 *   meta {message_id, conversation_id, session_id, model, resumable} → sources [passages found] → delta {text} …
 *     → citation {n, source_id, start, end} … → done {the query's answer}     or, any time: error {problem}
 *
 * Ids of events: ask/events.c; a comment line goes out when nothing came for 15 s. A failure before the first event is an
 * ordinary problem answer with its status. The whole stream has STREAM_TIMEOUT, unless the client asked for less.
 *
 * With "resumable" the first two events wait for the search, and stand in Redis before the client sees them; the last ones stand there
 * before it sees those; the text is written there by who writes it (proto/frames.h). Any gateway can go on from any number. */
#include "common/text/number.h"
#include "gateway/admit/auth.h"
#include "gateway/api/api.h"
#include "gateway/ask/follow.h"
#include "gateway/request/render.h"

struct stream {
    struct question *q;
    struct events e;
    bool begun; /* headers are out */
};

static bool
send(struct stream *s, const char *event, struct buf *b)
{
    bool ok = !b->failed && events_send(&s->e, event, buf_slice(b));

    buf_free(b);
    return ok;
}

static void
render_meta(const struct question *q, bool resumable, struct buf *b)
{
    buf_c(b, '{');
    render_key_uuid(b, "message_id", &q->message_id);
    render_key_uuid(b, "conversation_id", &q->conversation_id);
    render_key_uuid(b, "session_id", &q->session);
    buf_key_str(b, "model", q->model.p ? q->model : q->settings ? q->settings->model : STR_NONE);
    buf_key_bool(b, "resumable", resumable);
    buf_c(b, '}');
}

static bool
begin(struct stream *s, bool resumable)
{
    struct buf b = BUF_MAX(65536);

    s->begun = true;
    if (!stream_begin(s->q->r))
        return false;
    render_meta(s->q, resumable, &b);
    return send(s, "meta", &b);
}

static bool
on_begun(void *arg)
{
    struct stream *s = arg;

    return s->q->resumable || begin(s, false);
}

/* The passages are there: the stream is kept, if it can be, before anything of it is seen. */
static bool
send_sources(struct stream *s, struct buf *sources)
{
    struct question *q = s->q;
    struct buf meta = BUF_MAX(65536);
    bool good = true;

    if (q->resumable) {
        render_meta(q, true, &meta);
        s->e.owns = !meta.failed && !sources->failed &&
                    ask_keep_frames(q, buf_slice(&meta), buf_slice(sources));
        buf_free(&meta);
        good = begin(s, s->e.owns) || s->e.owns;
    }
    if (good)
        return send(s, "sources", sources);
    buf_free(sources);
    return false;
}

/* Of a cached answer those that it cites. */
static bool
send_cited(struct stream *s)
{
    struct question *q = s->q;
    struct viewer viewer = viewer_of(q->r, q->session_hash);
    struct buf b = BUF_MAX(1048576);

    buf_c(&b, '{');
    buf_key(&b, "sources");
    render_sources(&b, q->citations, q->n_citations, &viewer);
    buf_c(&b, '}');
    return send_sources(s, &b);
}

static bool
on_found(void *arg)
{
    struct stream *s = arg;
    struct question *q = s->q;
    struct buf b = BUF_MAX(1048576);

    if (q->from_cache)
        return send_cited(s);
    buf_z(&b, "{\"sources\":[");
    for (size_t i = 0; i < q->found->hits.n; i++) {
        struct uuid id = ask_citation_id(&q->message_id, (int64_t)i + 1);

        if (i > 0)
            buf_c(&b, ',');
        render_candidate(&b, &q->found->hits.v[i], (int64_t)i + 1, &id);
    }
    buf_z(&b, "]}");
    return send_sources(s, &b);
}

static bool
on_text(void *arg, struct str piece)
{
    struct stream *s = arg;

    return events_text(&s->e, piece);
}

static bool
on_idle(void *arg)
{
    struct stream *s = arg;

    return events_idle(&s->e);
}

static bool
on_gone(void *arg)
{
    struct stream *s = arg;

    return events_gone(&s->e);
}

/* A cached answer goes through the same events. */
static void
send_cached(struct stream *s)
{
    if (on_begun(s) && send_cited(s))
        events_text(&s->e, s->q->answer);
}

/* ---- the end */

static void
tail_add(struct buf *tail, const char *event, struct buf *json)
{
    buf_printf(tail, "%s\t", event);
    buf_str(tail, buf_slice(json));
    buf_c(tail, '\n');
    tail->failed = tail->failed || json->failed;
    buf_free(json);
}

static void
tail_citations(const struct question *q, struct buf *tail)
{
    for (size_t i = 0; i < q->n_citations; i++) {
        const struct citation *c = &q->citations[i];
        struct buf b = BUF_MAX(4096);

        buf_c(&b, '{');
        buf_key_int(&b, "n", c->n);
        render_key_uuid(&b, "source_id", &c->id);
        render_place(&b, &c->document_id, c->start, c->end);
        buf_c(&b, '}');
        tail_add(tail, "citation", &b);
    }
}

static void
tail_failure(struct question *q, struct buf *tail)
{
    struct buf b = BUF_MAX(65536);

    api_problem(q->r, q->failure.err, q->failure.text, &b);
    if (b.n > 0)
        b.n--; /* the closing brace: one member more */
    render_key_uuid(&b, "message_id", &q->message_id);
    buf_c(&b, '}');
    tail_add(tail, "error", &b);
}

/* Before the client sees the end, whoever comes back for it finds it. */
static void
keep_end(struct stream *s, struct str tail)
{
    struct question *q = s->q;

    if (!q->frames || !s->e.owns)
        return;
    if (s->e.shown.failed || tail.n == 0)
        frames_drop(q->r, q->frames);
    else
        frames_close(q->r, q->frames, tail, buf_slice(&s->e.shown));
    if (tail.n == 0)
        ask_stream_event(STREAM_ABANDONED);
}

static void
finish(struct stream *s, enum asked state)
{
    struct buf tail = BUF_MAX(8650752), b = BUF_MAX(8388608);

    if (state == ASKED_ANSWERED) {
        tail_citations(s->q, &tail);
        ask_render(s->q, &b);
        idem_settle(s->q->r, 200, buf_slice(&b)); /* unless it was stored with its turn */
        tail_add(&tail, "done", &b);
    } else if (state == ASKED_FAILED) {
        tail_failure(s->q, &tail);
    }
    if (!tail.failed) {
        keep_end(s, buf_slice(&tail));
        events_tail(&s->e, buf_slice(&tail));
    }
    buf_free(&tail);
    stream_end(s->q->r);
}

/* A stored answer: meta and done. The stored text is ours, and whole; anything else was not an answer. */
static void
replay(struct stream *s)
{
    struct question *q = s->q;
    struct buf b = BUF_MAX(8388608);
    enum json_fault fault;
    const char *why;
    json_t *o = q->stored.status == 200 ? json_read(q->stored.body, &fault, &why) : NULL;

    if (!o) {
        idem_replay(q->r, &q->stored);
        return;
    }
    idem_replayed(q->r);
    uuid_parse(json_str(o, "message_id"), &q->message_id);
    uuid_parse(json_str(o, "conversation_id"), &q->conversation_id);
    q->model = json_str(json_object_get(o, "usage"), "model");
    buf_str(&b, q->stored.body);
    if (begin(s, false))
        send(s, "done", &b);
    stream_end(q->r);
    buf_free(&b);
    json_decref(o);
}

static void
answer(struct stream *s)
{
    const struct ask_sink sink = { s, on_begun, on_found, on_text, on_idle, on_gone };
    struct question *q = s->q;
    enum asked state = ASKED_ANSWERED;

    if (q->stored.status != 0) {
        replay(s);
        return;
    }
    if (q->from_cache) {
        ask_save_hit(q);
        send_cached(s);
    } else {
        state = ask_run(q, &sink);
    }
    if (s->begun)
        finish(s, state);
    else if (state == ASKED_FAILED)
        reply_outcome(q->r, &q->failure);
    else
        reply_problem(q->r, ERR_CANCELLED, NULL);
}

void
route_chat_stream(struct request *r)
{
    struct question q;
    struct stream s = { .q = &q };

    ask_stream_time(r);
    events_init(&s.e, &q);
    if (ask_parse(r, "stream", &q) && ask_admit(&q))
        answer(&s);
    events_free(&s.e);
    ask_fini(&q);
}

/* ---- from where the client has it */

/* Last-Event-ID: <message_id>:<number>, or nothing. */
static bool
read_have(struct request *r, const struct uuid *message, int64_t *have)
{
    struct str id = request_header(r, "Last-Event-ID");
    struct uuid of;

    *have = -1;
    if (!id.p || id.n == 0)
        return true;
    if (id.n > 37 && id.p[36] == ':' && uuid_parse((struct str){ id.p, 36 }, &of) && uuid_eq(&of, message) &&
        number_parse((struct str){ id.p + 37, id.n - 37 }, 0, 1000000000, have))
        return true;
    reply_problem(r, ERR_BAD_REQUEST, "Last-Event-ID is none of this stream's");
    return false;
}

/* The client has all of it. */
static bool
has_all(const struct stream *s, const struct frames_view *v)
{
    int64_t text = v->base > 0 ? v->base + 1 : 2;

    return v->tail.p && s->e.have >= text + (int64_t)v->shown.n + tail_count(v->tail) - 1;
}

static void
tell(struct stream *s, const struct frames_view *v)
{
    struct question *q = s->q;
    enum asked state = ASKED_GONE;
    bool ended = false;

    if (stream_begin(q->r) && events_send(&s->e, "meta", v->meta) &&
        events_send(&s->e, "sources", v->sources))
        state = ask_follow(q, &s->e, &ended);
    if (ended)
        stream_end(q->r);
    else
        finish(s, state);
}

static void
resume(struct stream *s)
{
    struct question *q = s->q;
    struct request *r = q->r;
    struct frames_view v;

    q->frames = arena_alloc(r->arena, sizeof *q->frames);
    frames_name(r, &q->message_id, q->session_hash, q->frames);
    switch (frames_look(r, q->frames, 0, true, r->arena, &v)) {
    case FRAMES_AWAY:
        request_retry_after(r, 1000);
        reply_problem(r, ERR_BUSY, "streams cannot be resumed just now");
        return;
    case FRAMES_MISSING: reply_problem(r, ERR_NOT_FOUND, NULL); return;
    case FRAMES_THERE: break;
    }
    if ((ask_restore(q, v.state) && !collection_allowed(r, q->collection)) || !v.meta.p || !v.sources.p) {
        reply_problem(r, ERR_NOT_FOUND, NULL);
    } else if (has_all(s, &v)) {
        reply_empty(r, 204);
    } else {
        ask_stream_event(STREAM_RESUMED);
        tell(s, &v);
    }
}

/* Its gateway finds it gone, within a second of the client's leaving. */
void
route_chat_stream_stop(struct request *r)
{
    struct uuid id;
    uint8_t session[32];
    struct frames f;
    struct frames_view v;

    if (!api_path_own(r, &id, session))
        return;
    frames_name(r, &id, session, &f);
    switch (frames_look(r, &f, 0, true, r->arena, &v)) {
    case FRAMES_AWAY:
        request_retry_after(r, 1000);
        reply_problem(r, ERR_BUSY, "streams cannot be stopped just now");
        break;
    case FRAMES_MISSING: reply_problem(r, ERR_NOT_FOUND, NULL); break;
    case FRAMES_THERE:
        frames_drop(r, &f);
        reply_empty(r, 204);
        break;
    }
}

void
route_chat_stream_resume(struct request *r)
{
    struct question q;
    struct stream s = { .q = &q };

    ask_stream_time(r);
    ask_begin(r, "query", &q);
    events_init(&s.e, &q);
    if (api_path_own(r, &q.message_id, q.session_hash) && read_have(r, &q.message_id, &s.e.have)) {
        struct str given = request_param(r, "session_id");

        uuid_parse(given.p ? given : request_header(r, "X-Session-ID"), &q.session);
        resume(&s);
    }
    events_free(&s.e);
    ask_fini(&q);
}
