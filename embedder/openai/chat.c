/* Answers of an OpenAI-compatible server: POST /chat/completions with stream on.
 *
 *   prompt ─▶ upstream ─▶ sse ─▶ chunk ─▶ think ─▶ chat_emit      the end: [DONE], or a finish_reason and a clean end
 *                     └▶ a plain completion, though a stream was asked ─▶ chunk
 *
 * A reply is whole only then; anything less after the first token is ERR_UPSTREAM_CUT. A parameter that the server refuses by
 * name is left out from then on, for that model, and the call is made again at once. Sizes beyond the model's context are halved,
 * for this call only: the limit of the answer, then the passages too. The server's words in errors are never passed on. */
#include <ctype.h>

#include "common/clock.h"
#include "common/text/json.h"
#include "common/log.h"
#include "embedder/chat.h"
#include "embedder/openai/mend.h"
#include "embedder/openai/param.h"
#include "embedder/span.h"
#include "embedder/openai/stream.h"
#include "embedder/openai/upstream.h"
#include "text/sse.h"

#define EVENT_MAX (1 << 20)
#define REPLY_MAX (16 << 20) /* of all events together */
#define COMPLAINT_MAX 16384  /* of an error inside of a 200 */
#define STRAY_MAX 65536      /* of lines that belong to no event */
#define DONE_MS 500          /* so long a server may take to end its reply after [DONE] */
#define ENDED_MS 5000        /* and after a finish_reason, behind which the usage may come */
#define TOO_LONG "the question with its passages is too long for the model"

struct stream {
    struct chat_run *run;
    struct transfer *transfer;
    struct sse sse;
    struct think think;
    struct mend mend;     /* a letter of which only the beginning has come */
    struct buf joined;    /* the text of a chunk whose letters were put together */
    struct buf stray;     /* lines that belong to no event: an error that a server throws into its stream */
    struct buf plain;     /* a completion that is no event stream */
    struct buf raw;       /* its text so far, thoughts and all */
    struct buf complaint; /* an error inside of a 200 */
    enum { FORM_UNKNOWN, FORM_EVENTS, FORM_PLAIN } form;
    struct chat_terms terms; /* what this call was sent with */
    uint64_t timer;          /* the end is not waited for any longer; 0: it is not near */
    size_t bytes;            /* of the reply so far */
    int64_t sent_us;         /* when it went out */
    struct span *span;       /* of this call of the server, or NULL */
    char model[129];
    bool done;     /* [DONE] came */
    bool full;     /* the answer is as long as it may be */
    bool junk;     /* an event that is no chunk */
    bool error;    /* an error object came */
    bool by_delta; /* text came in deltas */
    bool ending;   /* the stream ended well: a piece of an event is nothing */
    bool thought;  /* the model thought */
    bool tool;     /* the model called a tool */
    bool several;  /* more than one answer came: only the index 0 counts */
    bool talks_on; /* text came behind a finish_reason, which says nothing of the end then */
    long status;   /* of the error object; 0: it has none */
    char code[64]; /* its code, cleaned */
};

static void send_off(struct stream *s);

static void
stream_fini(struct stream *s)
{
    loop_cancel(s->run->e->loop, &s->timer);
    sse_fini(&s->sse);
    think_fini(&s->think);
    buf_free(&s->joined);
    buf_free(&s->stray);
    buf_free(&s->plain);
    buf_free(&s->raw);
    buf_free(&s->complaint);
}

static void
stream_free(struct stream *s)
{
    model_span_end(&s->span, s->run, ERR_CANCELLED);
    s->run->impl = NULL;
    stream_fini(s);
    mem_free(&s);
}

static void
keep(char *out, size_t cap, struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n && n + 1 < cap; i++)
        if (s.p[i] > ' ' && s.p[i] < 0x7f && s.p[i] != '"')
            out[n++] = s.p[i];
    out[n] = 0;
}

/* ---- reading */

static bool
emit(void *arg, struct str text)
{
    struct stream *s = arg;

    return chat_emit(s->run, text);
}

static void
forget(void *arg)
{
    struct stream *s = arg;

    chat_forget(s->run);
    *chat_refused_by(s->model) |= THINKS_FIRST; /* the next answers are not shown before they begin */
}

/* The new text of a chunk. A message may be a piece, or all so far, or, behind deltas, all of
 * it once more. */
static struct str
news(struct stream *s, const struct chat_chunk *c)
{
    size_t have = s->raw.n;
    struct str text = c->text;

    if (!c->message)
        s->by_delta |= text.n > 0;
    else if (text.n >= have && str_eq((struct str){ text.p, have }, buf_slice(&s->raw)))
        text = (struct str){ text.p + have, text.n - have };
    else if (s->by_delta)
        return STR_NONE;
    buf_str(&s->raw, text);
    return text;
}

/* The same with whole letters. */
static struct str
whole_letters(struct stream *s, struct str text)
{
    if (s->mend.n == 0 && !str_has_byte(text, '\xf4')) /* no mark of mend.c */
        return text;
    buf_reset(&s->joined);
    mend_join(&s->mend, text, &s->joined);
    return buf_slice(&s->joined);
}

static void
give_text(struct stream *s, struct str text)
{
    if (text.n > 0 && !s->full && !think_push(&s->think, text)) {
        s->full = true;
        keep(s->run->finish, sizeof s->run->finish, STR("length"));
    }
}

static void
take_chunk(struct stream *s, const struct chat_chunk *c)
{
    struct chat_run *r = s->run;
    struct str text;

    s->several |= c->several;
    if (s->several && c->index != 0)
        return;
    text = news(s, c);
    s->thought |= c->thought;
    s->tool |= c->tool;
    s->talks_on |= text.n > 0 && r->finish[0] != 0;
    if (c->finish.n > 0) {
        keep(r->finish, sizeof r->finish, str_of(chat_finish_name(c->finish)));
        s->error |= strcmp(r->finish, "error") == 0;
    }
    if (c->prompt_tokens >= 0) {
        r->prompt_tokens = c->prompt_tokens;
        r->completion_tokens = c->completion_tokens;
    }
    give_text(s, whole_letters(s, text));
}

static void
take_error(struct stream *s, const struct upstream_told *told, struct str data)
{
    s->error = true;
    s->status = told->status;
    keep(s->code, sizeof s->code, told->code);
    buf_str(&s->complaint, data);
}

static void each_line(struct stream *s, struct str all);

static void
on_event(void *arg, struct str data)
{
    struct stream *s = arg;
    struct chat_chunk c;

    if (s->done || s->full || s->error || s->junk)
        return;
    switch (chat_chunk_parse(data, &c)) {
    case CHAT_EV_DONE: s->done = true; break;
    case CHAT_EV_ERROR: take_error(s, &c.told, data); break;
    case CHAT_EV_CHUNK: take_chunk(s, &c); break;
    case CHAT_EV_SKIP: break;
    case CHAT_EV_JUNK:
        if (str_has_byte(data, '\n'))
            each_line(s, data); /* no blank lines between the events */
        else
            s->junk = !s->ending;
        break;
    }
    chat_chunk_free(&c);
}

/* A server whose reply is whole and does not end: nobody waits for that. */
static void
on_lingering(void *arg)
{
    struct stream *s = arg;

    s->timer = 0;
    upstream_enough(s->transfer);
}

static void
mind_the_end(struct stream *s)
{
    int64_t ms = s->run->e->opt->idle_timeout * 500;

    ms = s->done ? DONE_MS : ms < ENDED_MS ? ms : ENDED_MS;
    loop_cancel(s->run->e->loop, &s->timer);
    if (s->done || (s->run->finish[0] != 0 && !s->talks_on))
        s->timer = loop_after(s->run->e->loop, ms, on_lingering, s);
}

/* Servers name their events not at all, or by what the data says, too; an error may be plain words. */
static void
on_sse(void *arg, struct str event, struct str data)
{
    struct stream *s = arg;

    if (s->done || s->full || s->error || s->junk)
        return;
    on_event(s, data);
    if (str_is_anycase(event, "error") && !s->done && !s->error) {
        s->junk = false;
        take_error(s, &(struct upstream_told){ .status = 0 }, data);
    }
    if (!s->ending)
        mind_the_end(s);
}

static void
each_line(struct stream *s, struct str all)
{
    while (all.n > 0) {
        const char *nl = memchr(all.p, '\n', all.n);
        size_t n = nl ? (size_t)(nl - all.p) : all.n;

        on_event(s, (struct str){ all.p, n });
        n += nl != NULL;
        all = (struct str){ all.p + n, all.n - n };
    }
}

/* A stream of events, or a completion as plain JSON? The first byte that says something tells. */
static void
find_form(struct stream *s, const char *p, size_t n)
{
    for (size_t i = 0; i < n && s->form == FORM_UNKNOWN; i++)
        if (!isspace((unsigned char)p[i]) && !strchr("\xef\xbb\xbf", p[i]))
            s->form = p[i] == '{' || p[i] == '[' ? FORM_PLAIN : FORM_EVENTS;
}

static bool
on_data(void *arg, const char *p, size_t n)
{
    struct stream *s = arg;

    s->bytes += n;
    find_form(s, p, n);
    if (s->bytes > REPLY_MAX)
        s->junk = true;
    else if (s->form == FORM_PLAIN)
        buf_add(&s->plain, p, n);
    else
        sse_push(&s->sse, p, n);
    chat_flush(s->run); /* pieces that arrived together go on together: a part costs a trip over the bus */
    if (sse_overflow(&s->sse) || s->plain.failed)
        s->junk = true;
    return !s->full && !s->junk && !s->error;
}

/* A plain completion, a list of chunks, or one JSON object a line. */
static void
read_plain(struct stream *s)
{
    struct str all = buf_slice(&s->plain);
    struct chat_chunk c;
    enum chat_event how;

    while (all.n > 0 && strchr("\xef\xbb\xbf \t\r\n", all.p[0]))
        all = (struct str){ all.p + 1, all.n - 1 };
    if (all.n > 0 && all.p[0] == '[' && chat_chunk_each(all, on_event, s))
        return;
    how = chat_chunk_parse(all, &c);
    chat_chunk_free(&c);
    on_event(s, all);
    s->done |= !s->error && how == CHAT_EV_CHUNK;
}

/* Lines between the events may be an error. Nothing that it says is needed otherwise. */
static void
read_stray(struct stream *s)
{
    struct str all = buf_slice(&s->stray);
    json_t *root = s->done || s->error ? NULL : server_json(all);
    struct upstream_told told;

    if (upstream_told(root, &told))
        take_error(s, &told, all);
    json_decref(root);
}

static void
read_rest(struct stream *s)
{
    if (s->form == FORM_PLAIN) {
        read_plain(s);
        return;
    }
    s->ending = true;
    sse_end(&s->sse);
    read_stray(s);
}

/* The text is over; of a reply that broke off, or was stopped, a thought that has no end is none of the answer. */
static void
end_text(struct stream *s, bool broken)
{
    buf_reset(&s->joined);
    mend_end(&s->mend, &s->joined);
    give_text(s, buf_slice(&s->joined));
    if (broken || (s->run->finish[0] != 0 && strcmp(s->run->finish, "stop") != 0))
        think_cut(&s->think);
    else if (s->think.expects && s->think.hold.n > 0)
        *chat_refused_by(s->model) &= ~(unsigned)THINKS_FIRST;
    s->full |= !think_end(&s->think);
}

static bool
ask_again(struct stream *s, const struct upstream_end *end)
{
    return chat_adapt(&s->terms, s->model, s->run->call->trace, end);
}

/* The same inside of a 200, before the first word. */
static bool
ask_again_inside(struct stream *s)
{
    struct upstream_end end = { .status = s->status ? s->status : 400, .body = buf_slice(&s->complaint) };

    return s->error && s->run->answer.n == 0 && !s->complaint.failed && ask_again(s, &end);
}

static void
fail(struct stream *s, enum err err, int64_t retry_after_ms, const char *text)
{
    struct chat_run *r = s->run;

    model_span_end(&s->span, r, err);
    stream_free(s);
    chat_fail(r, err, retry_after_ms, text);
}

static void
broke_off(struct stream *s, const struct upstream_end *end)
{
    struct chat_run *r = s->run;

    LOG(WARN, r->call->trace, M("the model server's answer is not whole"), KI("bytes", s->bytes),
        KI("answer", r->answer.n), KB("error_object", s->error), KS("code", s->code), KB("junk", s->junk));
    if (s->junk) {
        fail(s, ERR_UPSTREAM_REPLY, 0, "the model server sent something unusable");
    } else if (s->error) {
        struct str said = buf_slice(&s->complaint);
        struct upstream_fault f = upstream_map(s->status ? s->status : 500, said);
        bool later = f.err == ERR_UPSTREAM_LIMITED || f.err == ERR_UPSTREAM;

        fail(s, f.err, later ? upstream_wait_in(f.err, said) : 0,
             chat_gave_up(&s->terms) ? TOO_LONG : f.text);
    } else if (end->err != ERR_OK) {
        fail(s, end->err, end->retry_after_ms, end->text);
    } else {
        fail(s, ERR_UPSTREAM_LOST, 0, "the model server broke its reply off");
    }
}

/* It ended well, and there is no text. */
static void
no_answer(struct stream *s)
{
    const char *finish = s->run->finish;
    bool thought = s->thought || s->think.thought || s->think.in;

    if (strcmp(finish, "content_filter") == 0)
        fail(s, ERR_UPSTREAM_REFUSED, 0, "the model server's content filter withheld the answer");
    else if (strcmp(finish, "length") == 0 || s->think.in)
        fail(s, ERR_UPSTREAM_REPLY, 0,
             "the model used up its tokens before it wrote an answer: MAX_OUTPUT_TOKENS is too small");
    else
        fail(s, ERR_UPSTREAM_REPLY, 0,
             s->tool   ? "the model called a tool instead of writing an answer"
             : thought ? "the model thought and wrote no answer"
                       : "the model server sent an empty answer");
}

static void
on_end(void *arg, const struct upstream_end *end)
{
    struct stream *s = arg;
    struct chat_run *r = s->run;
    char model[sizeof s->model];
    bool broken;

    s->transfer = NULL;
    r->upstream_us += clock_us() - s->sent_us;
    if (end->err == ERR_OK)
        read_rest(s);
    else
        read_stray(s);
    if (ask_again(s, end) || ask_again_inside(s)) {
        model_span_end(&s->span, r, ERR_UPSTREAM_REFUSED);
        send_off(s);
        return;
    }
    if (end->status != 200) {
        fail(s, end->err, end->retry_after_ms, chat_gave_up(&s->terms) ? TOO_LONG : end->text);
        return;
    }
    broken = !s->done && !s->full && (end->err != ERR_OK || s->error || s->junk || r->finish[0] == 0);
    end_text(s, broken);
    if (broken && !s->full) {
        broke_off(s, end);
        return;
    }
    if (r->answer.n == 0) {
        no_answer(s);
        return;
    }
    if (r->finish[0] == 0)
        keep(r->finish, sizeof r->finish, STR("stop"));
    memcpy(model, s->model, sizeof model);
    price_count(&upstream_spent, TOKENS_PROMPT, 0, str_of(model), false, r->prompt_tokens);
    price_count(&upstream_spent, TOKENS_COMPLETION, 0, str_of(model), true, r->completion_tokens);
    r->unsure = r->prompt_tokens <= 0;
    chat_check_count(model, r->call->trace, r->prompt_bytes, r->prompt_tokens);
    if (r->unsure)
        stat_add_at(&embedder_stats, UPSTREAM_UNCOUNTED, ROUTE_CHAT, 0, 1);
    model_span_end(&s->span, r, ERR_OK);
    stream_free(s);
    chat_finish(r, model);
}

/* The caller's wishes to the model, but for those that have limits here. */
static void
add_options(json_t *options, struct buf *out)
{
    const char *key;
    json_t *v;

    json_object_foreach (options, key, v) {
        if (strcmp(key, "temperature") == 0 || strcmp(key, "max_tokens") == 0)
            continue;
        buf_key(out, key);
        buf_json_value(out, v, false);
    }
}

static bool
build_body(struct stream *s, struct buf *out)
{
    const struct embedder_opt *opt = s->run->e->opt;
    char nonce[25];
    struct prompt_opt prompt = { .system = s->run->e->prompt,
                                 .nonce = nonce,
                                 .no_system = (s->terms.without & DROP_SYSTEM) != 0,
                                 .halved = s->terms.less };
    int64_t limit;
    struct str options = ((const struct chat_req *)s->run->call->req)->options;
    enum json_fault fault;
    const char *why;
    json_t *asked;
    size_t before;
    bool ok;

    hex_random(12, nonce);
    buf_c(out, '{');
    buf_key_str(out, "model", str_of(s->model));
    buf_key(out, "messages");
    before = out->n;
    ok = prompt_messages(s->run->call->req, &prompt, out);
    s->run->prompt_bytes = (int64_t)(out->n - before);
    s->run->passages = prompt_passages_in(s->run->call->req, prompt.halved);
    buf_key_bool(out, "stream", !(s->terms.without & DROP_STREAM));
    if (!(s->terms.without & (DROP_USAGE | DROP_STREAM))) {
        buf_key(out, "stream_options");
        buf_z(out, "{\"include_usage\":true}");
    }
    asked = options.n > 0 ? json_read(options, &fault, &why) : NULL;
    limit = chat_limit(opt, s->terms.shorter, asked);
    if (!(s->terms.without & DROP_TEMPERATURE))
        buf_key_num(out, "temperature", json_num(asked, "temperature", opt->temperature));
    add_options(asked, out);
    json_decref(asked);
    if (!(s->terms.without & DROP_MAX_TOKENS))
        buf_key_int(out, "max_tokens", limit);
    else if (!(s->terms.without & DROP_LIMIT))
        buf_key_int(out, "max_completion_tokens", limit);
    buf_c(out, '}');
    return ok && !out->failed;
}

/* Nothing of a call before is left. */
static void
stream_reset(struct stream *s)
{
    char model[sizeof s->model];

    memcpy(model, s->model, sizeof model);
    stream_fini(s);
    s->terms.without = *chat_refused_by(model);
    *s = (struct stream){ .run = s->run,
                          .terms = s->terms,
                          .joined = BUF_MAX(REPLY_MAX),
                          .stray = BUF_MAX(STRAY_MAX),
                          .plain = BUF_MAX(REPLY_MAX),
                          .raw = BUF_MAX(REPLY_MAX),
                          .complaint = BUF_MAX(COMPLAINT_MAX) };
    memcpy(s->model, model, sizeof model);
    sse_init(&s->sse, EVENT_MAX, on_sse, s);
    s->sse.others = &s->stray;
    think_init(&s->think, emit, forget, s);
    s->think.expects = (s->terms.without & THINKS_FIRST) != 0;
    s->run->finish[0] = 0;
}

static void
send_off(struct stream *s)
{
    struct chat_run *r = s->run;
    struct buf body = BUF_MAX(4 << 20);
    struct upstream_req req = {
        .route = ROUTE_CHAT,
        .path = "/chat/completions",
        .body = &body,
        .deadline_ms = r->call->deadline_ms,
        .max_body = REPLY_MAX,
        .idle_s = r->e->opt->idle_timeout,
        .trace = r->call->trace,
        .on_data = on_data,
        .on_end = on_end,
        .arg = s,
    };

    stream_reset(s);
    if (build_body(s, &body)) {
        s->sent_us = clock_us();
        req.span = s->span = model_span(r, s->model, buf_slice(&body));
        s->transfer = upstream_start(r->p->impl, &req);
        return;
    }
    buf_free(&body);
    fail(s, ERR_VALIDATION, 0, "the question with its passages is too large");
}

void
chat_openai_run(struct chat_run *r)
{
    const struct chat_req *req = r->call->req;
    struct stream *s = mem_new(sizeof *s);

    s->run = r;
    r->impl = s;
    keep(s->model, sizeof s->model, req->model.n > 0 ? req->model : str_of(r->p->model));
    chat_wait(r);
    send_off(s);
}

bool
chat_openai_cancel(struct chat_run *r)
{
    struct stream *s = r->impl;

    if (!s)
        return true;
    upstream_cancel(&s->transfer);
    stream_free(s);
    return true;
}
