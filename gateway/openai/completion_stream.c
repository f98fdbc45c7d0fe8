/* A completion as server-sent events:
 *
 *   role → content … → (the list of sources as content) → annotations → finish_reason → (usage, with choices: []) → [DONE]
 *
 * The stream opens with the first word, or when it has been long in coming: what fails before is an ordinary
 * answer with its status, which clients try again. A failure in mid-stream is an error object and the end,
 * without [DONE]. Annotations count in the words that were sent. */
#include "gateway/openai/openai.h"

struct flow {
    struct question *q;
    bool open;        /* the role is out */
    bool usage;       /* every chunk has the member */
    bool text;        /* of a prompt: no role, no annotations */
    struct buf shown; /* all words so far */
    struct buf rag;   /* the member rag of a stored answer */
};

/* Up to where the members of the delta begin. */
static void
chunk_begin(const struct flow *f, struct buf *b)
{
    completion_head(f->q, true, b);
    buf_key(b, "choices");
    buf_z(b, f->text ? "[{\"index\":0" : "[{\"index\":0,\"delta\":{");
}

static bool
chunk_send(struct flow *f, struct buf *b, const char *finish)
{
    bool good;

    buf_z(b, f->text ? ",\"logprobs\":null" : "},\"logprobs\":null");
    buf_key_str(b, "finish_reason", str_of(finish));
    buf_z(b, "}]");
    if (f->usage)
        buf_z(b, ",\"usage\":null");
    if (finish && f->rag.n > 0) {
        buf_key(b, "rag");
        buf_str(b, buf_slice(&f->rag));
    } else if (finish) {
        rag_render(f->q, b);
    }
    buf_c(b, '}');
    good = !b->failed && stream_data(f->q->r, NULL, buf_slice(b));
    buf_free(b);
    return good;
}

static bool
flow_open(struct flow *f)
{
    struct buf b = BUF_MAX(4096);

    if (f->open)
        return true;
    f->open = true;
    if (!stream_open(f->q->r))
        return false;
    if (f->text)
        return true;
    chunk_begin(f, &b);
    buf_key_str(&b, "role", STR("assistant"));
    buf_key_str(&b, "content", STR(""));
    buf_key_str(&b, "refusal", STR_NONE);
    return chunk_send(f, &b, NULL);
}

static bool
on_step(void *arg)
{
    (void)arg;
    return true;
}

static bool
send_text(struct flow *f, struct str piece)
{
    struct buf b = BUF_MAX(1048576);

    if (!flow_open(f))
        return false;
    chunk_begin(f, &b);
    buf_key_str(&b, f->text ? "text" : "content", piece);
    return chunk_send(f, &b, NULL);
}

static bool
on_text(void *arg, struct str piece)
{
    struct flow *f = arg;

    buf_str(&f->shown, piece);
    return send_text(f, piece);
}

static bool
on_idle(void *arg)
{
    struct flow *f = arg;

    return flow_open(f) && stream_ping(f->q->r);
}

static bool
send_notes(struct flow *f, struct str notes)
{
    struct buf b = BUF_MAX(1048576);

    if (notes.n <= 2 || f->text)
        return true;
    chunk_begin(f, &b);
    buf_key(&b, "annotations");
    buf_str(&b, notes);
    return chunk_send(f, &b, NULL);
}

static void
send_end(struct flow *f, const char *finish, struct str usage)
{
    struct request *r = f->q->r;
    struct buf b = BUF_MAX(1048576); /* sources are some kilobytes each */

    chunk_begin(f, &b);
    if (f->text)
        buf_key_str(&b, "text", STR(""));
    if (!chunk_send(f, &b, finish))
        return;
    if (f->usage) {
        completion_head(f->q, true, &b);
        buf_z(&b, ",\"choices\":[],\"usage\":");
        buf_str(&b, usage);
        buf_c(&b, '}');
        stream_data(r, NULL, buf_slice(&b));
        buf_free(&b);
    }
    stream_data(r, NULL, STR("[DONE]"));
}

/* The answer for a repetition, unless it was stored with its turn. */
static void
settle(struct question *q)
{
    struct buf whole = BUF_MAX(8388608);

    if (!idem_running(q->r))
        return;
    completion_render(q, &whole);
    idem_settle(q->r, 200, buf_slice(&whole));
    buf_free(&whole);
}

static void
finish(struct flow *f)
{
    struct question *q = f->q;
    struct buf notes = BUF_MAX(1048576), usage = BUF_MAX(1024);
    struct str list = sources_list(q);

    settle(q);
    notes_render(q, buf_slice(&f->shown), NOTE_CHAT, &notes);
    usage_render(q, &usage);
    if ((list.n == 0 || send_text(f, list)) && send_notes(f, buf_slice(&notes)))
        send_end(f, finish_name(q), buf_slice(&usage));
    buf_free(&notes);
    buf_free(&usage);
}

/* A stored answer through the same chunks. The stored one is ours, and whole. */
static void
replay(struct flow *f)
{
    struct question *q = f->q;
    enum json_fault fault;
    const char *why;
    json_t *o = q->stored.status == 200 ? json_read(q->stored.body, &fault, &why) : NULL;
    const json_t *choice = json_array_get(json_object_get(o, "choices"), 0),
                 *said = json_object_get(choice, "message"), *rag = json_object_get(o, "rag");
    struct buf notes = BUF_MAX(1048576), usage = BUF_MAX(1024);

    value_render(json_object_get(said, "annotations"), &notes);
    value_render(json_object_get(o, "usage"), &usage);
    if (!choice) {
        idem_replay(q->r, &q->stored);
    } else {
        idem_replayed(q->r);
        uuid_parse(json_str(rag, "message_id"), &q->message_id);
        value_render(rag, &f->rag);
        if (on_text(f, f->text ? json_str(choice, "text") : json_str(said, "content")) &&
            send_notes(f, buf_slice(&notes)))
            send_end(f, arena_dup(q->r->arena, json_str(choice, "finish_reason")), buf_slice(&usage));
    }
    buf_free(&notes);
    buf_free(&usage);
    json_decref(o);
}

void
completion_stream(struct question *q)
{
    const struct wish *w = q->dialect;
    struct flow f = {
        .q = q, .usage = w->usage, .text = w->text, .shown = BUF_MAX(1048576), .rag = BUF_MAX(1048576)
    };
    const struct ask_sink sink = { &f, on_step, on_step, on_text, on_idle, NULL };
    enum asked state = ASKED_ANSWERED;

    if (q->stored.status != 0) {
        replay(&f);
    } else if (q->from_cache) {
        ask_save_hit(q);
        on_text(&f, q->answer);
    } else {
        state = ask_run(q, &sink);
    }
    if (q->stored.status == 0 && state == ASKED_ANSWERED)
        finish(&f);
    else if (state == ASKED_FAILED)
        reply_outcome(q->r, &q->failure);
    else if (!f.open && q->stored.status == 0)
        reply_problem(q->r, ERR_CANCELLED, NULL);
    stream_end(q->r);
    buf_free(&f.shown);
    buf_free(&f.rag);
}
