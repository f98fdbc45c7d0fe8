/* A response as server-sent events, in the order that the API documents:
 *
 *   response.created, .in_progress ─▶ the search: output_item.added, file_search_call.in_progress, .searching, .completed,
 *   output_item.done ─▶ the message: output_item.added, content_part.added, output_text.delta …, output_text.annotation.added …,
 *   output_text.done, content_part.done, output_item.done ─▶ response.completed (.incomplete, .failed)
 *
 * The stream opens when the search is done: what fails before is an ordinary answer with its status. The
 * text of output_text.done is the answer: marks that point nowhere may be gone from it, and where there was
 * none may stand one. */
#include "gateway/openai/openai.h"

struct flow {
    struct question *q;
    bool open;
    int seq; /* of the next event */
};

/* {"type":…,"sequence_number":… */
static void
event_begin(struct flow *f, const char *type, struct buf *b)
{
    buf_printf(b, "{\"type\":\"%s\",\"sequence_number\":%d", type, f->seq++);
}

static bool
event_send(struct flow *f, const char *type, struct buf *b)
{
    bool good;

    buf_c(b, '}');
    good = !b->failed && stream_data(f->q->r, type, buf_slice(b));
    buf_free(b);
    return good;
}

static bool
send_object(struct flow *f, const char *type, enum response_state state)
{
    struct buf b = BUF_MAX(8388608);

    event_begin(f, type, &b);
    buf_key(&b, "response");
    response_object(f->q, state, &b);
    return event_send(f, type, &b);
}

static int
message_at(const struct flow *f)
{
    return f->q->raw ? 0 : 1;
}

/* item_id, output_index and, within the message, content_index */
static void
add_place(const struct flow *f, bool message, struct buf *b)
{
    char hex[33];

    buf_printf(b, ",\"item_id\":\"%s_%s\",\"output_index\":%d", message ? "msg" : "fs",
               hex_text(f->q->message_id.b, 16, hex), message ? message_at(f) : 0);
    if (message)
        buf_z(b, ",\"content_index\":0");
}

static bool
send_item(struct flow *f, bool message, struct str notes, bool done)
{
    const char *type = done ? "response.output_item.done" : "response.output_item.added";
    struct buf b = BUF_MAX(8388608);

    event_begin(f, type, &b);
    buf_key_int(&b, "output_index", message ? message_at(f) : 0);
    buf_key(&b, "item");
    if (message)
        response_message(f->q, notes, done, &b);
    else
        response_search(f->q, done, &b);
    return event_send(f, type, &b);
}

static bool
send_step(struct flow *f, const char *type)
{
    struct buf b = BUF_MAX(1024);

    event_begin(f, type, &b);
    add_place(f, false, &b);
    return event_send(f, type, &b);
}

static bool
send_part(struct flow *f, const char *type, struct str text, struct str notes)
{
    struct buf b = BUF_MAX(8388608);

    event_begin(f, type, &b);
    add_place(f, true, &b);
    buf_key(&b, "part");
    response_part(text, notes, &b);
    return event_send(f, type, &b);
}

static bool
flow_open(struct flow *f)
{
    bool search = !f->q->raw;

    f->open = true;
    return stream_open(f->q->r) && send_object(f, "response.created", RESPONSE_BEGUN) &&
           send_object(f, "response.in_progress", RESPONSE_BEGUN) &&
           (!search ||
            (send_item(f, false, STR_NONE, false) && send_step(f, "response.file_search_call.in_progress") &&
             send_step(f, "response.file_search_call.searching") &&
             send_step(f, "response.file_search_call.completed") && send_item(f, false, STR_NONE, true))) &&
           send_item(f, true, STR_NONE, false) &&
           send_part(f, "response.content_part.added", STR(""), STR("[]"));
}

static bool
on_begun(void *arg)
{
    (void)arg;
    return true;
}

static bool
on_found(void *arg)
{
    return flow_open(arg);
}

static bool
on_text(void *arg, struct str piece)
{
    static const char type[] = "response.output_text.delta";
    struct flow *f = arg;
    struct buf b = BUF_MAX(1048576);

    event_begin(f, type, &b);
    add_place(f, true, &b);
    buf_key_str(&b, "delta", piece);
    buf_z(&b, ",\"logprobs\":[]");
    return event_send(f, type, &b);
}

static bool
on_idle(void *arg)
{
    struct flow *f = arg;

    return stream_ping(f->q->r);
}

static bool
send_notes(struct flow *f, struct str notes)
{
    static const char type[] = "response.output_text.annotation.added";
    enum json_fault fault;
    const char *why;
    json_t *list = json_read(notes, &fault, &why);
    bool good = true;

    for (size_t i = 0; good && i < json_array_size(list); i++) {
        struct buf b = BUF_MAX(65536);

        event_begin(f, type, &b);
        add_place(f, true, &b);
        buf_key_int(&b, "annotation_index", (int64_t)i);
        buf_key(&b, "annotation");
        value_render(json_array_get(list, i), &b);
        good = event_send(f, type, &b);
    }
    json_decref(list);
    return good;
}

static bool
send_text(struct flow *f)
{
    static const char type[] = "response.output_text.done";
    struct buf b = BUF_MAX(1048576);

    event_begin(f, type, &b);
    add_place(f, true, &b);
    buf_key_str(&b, "text", said_of(f->q));
    buf_z(&b, ",\"logprobs\":[]");
    return event_send(f, type, &b);
}

/* From the end of the text on. whole: the response. */
static void
send_end(struct flow *f, struct str notes, struct str whole)
{
    const char *type = ask_cut(f->q) ? "response.incomplete" : "response.completed";
    struct buf b = BUF_MAX(8388608);

    if (!send_notes(f, notes) || !send_text(f) ||
        !send_part(f, "response.content_part.done", said_of(f->q), notes) || !send_item(f, true, notes, true))
        return;
    event_begin(f, type, &b);
    buf_key(&b, "response");
    buf_str(&b, whole);
    event_send(f, type, &b);
}

static void
finish(struct flow *f)
{
    struct question *q = f->q;
    struct buf whole = BUF_MAX(8388608), notes = BUF_MAX(1048576);
    struct str list = sources_list(q);

    response_object(q, RESPONSE_WHOLE, &whole);
    idem_settle(q->r, 200, buf_slice(&whole)); /* unless it was stored with its turn */
    notes_render(q, q->answer, NOTE_RESPONSE, &notes);
    if (list.n == 0 || on_text(f, list))
        send_end(f, buf_slice(&notes), buf_slice(&whole));
    buf_free(&whole);
    buf_free(&notes);
}

/* The message of a stored response is the last of its output. */
static const json_t *
stored_part(const json_t *o)
{
    const json_t *output = json_object_get(o, "output");
    size_t n = json_array_size(output);

    return n > 0 ? json_array_get(json_object_get(json_array_get(output, n - 1), "content"), 0) : NULL;
}

/* A stored response through the same events. The stored one is ours, and whole. */
static void
replay(struct flow *f)
{
    struct question *q = f->q;
    struct wish *w = q->dialect;
    enum json_fault fault;
    const char *why;
    json_t *o = q->stored.status == 200 ? json_read(q->stored.body, &fault, &why) : NULL;
    const json_t *part = stored_part(o), *rag = json_object_get(o, "rag");
    struct buf notes = BUF_MAX(1048576);

    if (!part) {
        idem_replay(q->r, &q->stored);
    } else {
        idem_replayed(q->r);
        uuid_parse(json_str(rag, "message_id"), &q->message_id);
        w->id = arena_dup(q->r->arena, json_str(o, "id"));
        q->answer = json_str(part, "text");
        value_render(json_object_get(part, "annotations"), &notes);
        if (flow_open(f) && on_text(f, q->answer))
            send_end(f, buf_slice(&notes), q->stored.body);
    }
    buf_free(&notes);
    json_decref(o);
}

void
response_stream(struct question *q)
{
    struct flow f = { .q = q };
    const struct ask_sink sink = { &f, on_begun, on_found, on_text, on_idle, NULL };
    enum asked state = ASKED_ANSWERED;

    if (q->stored.status != 0) {
        replay(&f);
        stream_end(q->r);
        return;
    }
    if (q->from_cache) {
        ask_save_hit(q);
        if (!flow_open(&f) || !on_text(&f, q->answer))
            state = ASKED_GONE;
    } else {
        state = ask_run(q, &sink);
    }
    if (state == ASKED_ANSWERED)
        finish(&f);
    else if (state == ASKED_FAILED && f.open)
        send_object(&f, "response.failed", RESPONSE_FAILED);
    else if (state == ASKED_FAILED)
        reply_outcome(q->r, &q->failure);
    else if (!f.open)
        reply_problem(q->r, ERR_CANCELLED, NULL);
    stream_end(q->r);
}
