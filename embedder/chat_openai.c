/* Answers of an OpenAI-compatible server: POST /chat/completions with stream on.
 *
 *   prompt ─▶ upstream ─▶ sse ─▶ chunk ─▶ chat_emit          the end: [DONE], or a finish_reason and a clean end
 *
 * A reply is whole only then; anything less after the first token is ERR_UPSTREAM_CUT. Parameters that a 400 complains about
 * are dropped for as long as the process lives and the call is made again at once: stream_options, temperature, and
 * max_tokens in favour of max_completion_tokens. What the server writes in errors is never passed on. */
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "embedder/upstream.h"

#define EVENT_MAX (1 << 20)
#define REPLY_MAX (16 << 20)     /* of all events together */

enum { DROP_USAGE = 1, DROP_TEMPERATURE = 2, DROP_MAX_TOKENS = 4, DROP_LIMIT = 8 };
static const struct { const char *name; unsigned bit; } optional[] = {
    { "stream_options", DROP_USAGE },
    { "temperature", DROP_TEMPERATURE },
    { "max_completion_tokens", DROP_LIMIT },
    { "max_tokens", DROP_MAX_TOKENS },
};
static unsigned dropped;         /* what the server refused so far; loop thread only */

struct stream {
    struct chat_run *run;
    struct transfer *transfer;
    struct sse sse;
    unsigned without;            /* parameters this call went out without */
    size_t bytes;                /* of the reply so far */
    int64_t sent_us;             /* when it went out */
    char model[129];
    bool done;                   /* [DONE] came */
    bool full;                   /* the answer is as long as it may be */
    bool junk;                   /* an event that is no chunk */
    bool error;                  /* an error object came */
    char code[64];               /* its code, cleaned */
};

static void send_off(struct stream *s);

static void
stream_free(struct stream *s)
{
    s->run->impl = NULL;
    sse_fini(&s->sse);
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

static void
take_chunk(struct stream *s, const struct chat_chunk *c)
{
    struct chat_run *r = s->run;

    if (c->finish.n > 0)
        keep(r->finish, sizeof r->finish, c->finish);
    if (c->prompt_tokens >= 0) {
        r->prompt_tokens = c->prompt_tokens;
        r->completion_tokens = c->completion_tokens;
    }
    if (c->text.n > 0 && !chat_emit(r, c->text)) {
        s->full = true;
        keep(r->finish, sizeof r->finish, STR("length"));
    }
}

static void
on_event(void *arg, struct str data)
{
    struct stream *s = arg;
    struct chat_chunk c;

    if (s->done || s->full || s->error || s->junk)
        return;
    switch (chat_chunk_parse(data, &c)) {
    case CHAT_EV_DONE:
        s->done = true;
        break;
    case CHAT_EV_ERROR:
        s->error = true;
        keep(s->code, sizeof s->code, c.code);
        break;
    case CHAT_EV_CHUNK:
        take_chunk(s, &c);
        break;
    case CHAT_EV_JUNK:
        s->junk = true;
        break;
    }
    chat_chunk_free(&c);
}

static bool
on_data(void *arg, const char *p, size_t n)
{
    struct stream *s = arg;

    s->bytes += n;
    if (s->bytes > REPLY_MAX)
        s->junk = true;
    else
        sse_push(&s->sse, p, n);
    chat_flush(s->run); /* what arrived together goes on together: a part costs a trip over the bus */
    if (sse_overflow(&s->sse))
        s->junk = true;
    return !s->full && !s->junk && !s->error;
}

/* The body of a 400 names a parameter that we can do without: drop it. */
static bool
drop_parameter(struct stream *s, struct str body)
{
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++) {
        unsigned bit = optional[i].bit;

        if (bit == DROP_LIMIT && !(s->without & DROP_MAX_TOKENS))
            continue; /* not sent: the name stands there as the advice to use it */
        if ((s->without & bit) || !upstream_blames(body, optional[i].name))
            continue;
        dropped |= bit;
        LOG(INFO, s->run->call->trace, M("the model server does not take a parameter; going on without"),
            KS("parameter", optional[i].name));
        return true;
    }
    return false;
}

static void
fail(struct stream *s, enum err err, int64_t retry_after_ms, const char *text)
{
    struct chat_run *r = s->run;

    stream_free(s);
    chat_fail(r, err, retry_after_ms, text);
}

static void
broke_off(struct stream *s, const struct upstream_end *end)
{
    struct chat_run *r = s->run;

    LOG(WARN, r->call->trace, M("the model server's answer is not whole"), KI("bytes", s->bytes), KI("answer", r->answer.n),
        KB("error_object", s->error), KS("code", s->code), KB("junk", s->junk));
    if (s->junk)
        fail(s, ERR_UPSTREAM_REPLY, 0, "the model server sent something unusable");
    else if (s->error)
        fail(s, ERR_UPSTREAM, 0, "the model server failed");
    else if (end->err != ERR_OK)
        fail(s, end->err, end->retry_after_ms, end->text);
    else
        fail(s, ERR_UPSTREAM, 0, "the model server broke its reply off");
}

static void
on_end(void *arg, const struct upstream_end *end)
{
    struct stream *s = arg;
    struct chat_run *r = s->run;
    char model[sizeof s->model];

    s->transfer = NULL;
    r->upstream_us += clock_us() - s->sent_us;
    if (end->status == 400 && drop_parameter(s, end->body)) {
        send_off(s);
        return;
    }
    if (end->status != 200) {
        fail(s, end->err, end->retry_after_ms, end->text);
        return;
    }
    if (!s->done && !s->full && (end->err != ERR_OK || s->error || s->junk || r->finish[0] == 0)) {
        broke_off(s, end);
        return;
    }
    if (r->answer.n == 0) {
        fail(s, ERR_UPSTREAM_REPLY, 0, "the model server sent an empty answer");
        return;
    }
    memcpy(model, s->model, sizeof model);
    price_count(&upstream_spent, TOKENS_PROMPT, 0, str_of(model), false, r->prompt_tokens);
    price_count(&upstream_spent, TOKENS_COMPLETION, 0, str_of(model), true, r->completion_tokens);
    if (r->prompt_tokens <= 0)
        stat_add_at(&embedder_stats, UPSTREAM_UNCOUNTED, ROUTE_CHAT, 0, 1);
    stream_free(s);
    chat_finish(r, model);
}

static bool
build_body(struct stream *s, struct buf *out)
{
    const struct embedder_opt *opt = s->run->e->opt;
    uint8_t raw[12];
    char nonce[25];
    struct prompt_opt prompt = { .system = s->run->e->prompt, .nonce = nonce };
    size_t before;
    bool ok;

    random_bytes(raw, sizeof raw);
    hex_text(raw, sizeof raw, nonce);
    buf_c(out, '{');
    buf_key_str(out, "model", str_of(s->model));
    buf_key(out, "messages");
    before = out->n;
    ok = prompt_messages(s->run->call->req, &prompt, out);
    s->run->prompt_bytes = (int64_t)(out->n - before);
    buf_key_bool(out, "stream", true);
    if (!(s->without & DROP_USAGE)) {
        buf_key(out, "stream_options");
        buf_z(out, "{\"include_usage\":true}");
    }
    if (!(s->without & DROP_TEMPERATURE))
        buf_key_num(out, "temperature", opt->temperature);
    if (!(s->without & DROP_MAX_TOKENS))
        buf_key_int(out, "max_tokens", opt->max_output_tokens);
    else if (!(s->without & DROP_LIMIT))
        buf_key_int(out, "max_completion_tokens", opt->max_output_tokens);
    buf_c(out, '}');
    return ok && !out->failed;
}

static void
send_off(struct stream *s)
{
    struct chat_run *r = s->run;
    struct buf body = BUF_MAX(4 << 20);
    struct upstream_req req = {
        .route = ROUTE_CHAT, .path = "/chat/completions", .body = &body, .deadline_ms = r->call->deadline_ms,
        .max_body = REPLY_MAX, .idle_s = r->e->opt->idle_timeout, .trace = r->call->trace, .on_data = on_data,
        .on_end = on_end, .arg = s,
    };

    s->without = dropped;
    if (build_body(s, &body)) {
        s->sent_us = clock_us();
        s->transfer = upstream_start(r->e->upstream, &req);
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
    keep(s->model, sizeof s->model, req->model.n > 0 ? req->model : str_of(r->e->opt->model));
    sse_init(&s->sse, EVENT_MAX, on_event, s);
    send_off(s);
}

void
chat_openai_cancel(struct chat_run *r)
{
    struct stream *s = r->impl;

    if (s == NULL)
        return;
    upstream_cancel(&s->transfer);
    stream_free(s);
}
