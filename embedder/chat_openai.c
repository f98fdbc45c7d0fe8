/* Answers of an OpenAI-compatible server: POST /chat/completions with stream on.
 *
 *   prompt ─▶ upstream ─▶ sse ─▶ chunk ─▶ think ─▶ chat_emit      the end: [DONE], or a finish_reason and a clean end
 *                     └▶ a plain completion, though a stream was asked ─▶ chunk
 *
 * A reply is whole only then; anything less after the first token is ERR_UPSTREAM_CUT. A parameter that the server refuses by
 * name is left out from then on, for that model, and the call is made again at once. What is too large for the model's context is
 * halved, for this call only: the limit of the answer, then the passages too. What the server writes in errors is never passed on. */
#include <ctype.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "embedder/chat.h"
#include "embedder/upstream.h"

#define EVENT_MAX (1 << 20)
#define REPLY_MAX (16 << 20)     /* of all events together */
#define HALVINGS 5               /* of the limit and the passages, for one call */
#define LEAST_LIMIT 16           /* tokens of an answer */

enum { DROP_USAGE = 1, DROP_TEMPERATURE = 2, DROP_MAX_TOKENS = 4, DROP_LIMIT = 8, DROP_STREAM = 16, DROP_SYSTEM = 32 };
static const char *const optional[] = { "stream_options", "temperature", "max_tokens", "max_completion_tokens", "stream", "streaming",
                                        "system role", "system message", "system messages", "role 'system'", "role: system" };
static const unsigned optional_bit[] = { DROP_USAGE, DROP_TEMPERATURE, DROP_MAX_TOKENS, DROP_LIMIT, DROP_STREAM, DROP_STREAM,
                                         DROP_SYSTEM, DROP_SYSTEM, DROP_SYSTEM, DROP_SYSTEM, DROP_SYSTEM };
#define OPTIONALS (sizeof optional / sizeof *optional)

/* What each model of the server refused so far; loop thread only. A deployment has a handful of models. */
#define MODELS_MAX 64
static struct { char model[129]; unsigned without; } known[MODELS_MAX];
static size_t n_known;

struct stream {
    struct chat_run *run;
    struct transfer *transfer;
    struct sse sse;
    struct think think;
    struct buf plain;            /* a completion that is no event stream */
    enum { FORM_UNKNOWN, FORM_EVENTS, FORM_PLAIN } form;
    unsigned without;            /* parameters this call went out without */
    int halved;                  /* how often sizes were halved */
    size_t bytes;                /* of the reply so far */
    int64_t sent_us;             /* when it went out */
    char model[129];
    bool done;                   /* [DONE] came */
    bool full;                   /* the answer is as long as it may be */
    bool junk;                   /* an event that is no chunk */
    bool error;                  /* an error object came */
    bool thought;                /* the model thought */
    char code[64];               /* its code, cleaned */
};

static void send_off(struct stream *s);

static unsigned *
refused_by(const char *model)
{
    for (size_t i = 0; i < n_known; i++)
        if (strcmp(known[i].model, model) == 0)
            return &known[i].without;
    if (n_known == MODELS_MAX)
        n_known = 0;             /* all is learned anew: it costs a refused call each */
    memcpy(known[n_known].model, model, strlen(model) + 1);
    known[n_known].without = 0;
    return &known[n_known++].without;
}

static void
stream_free(struct stream *s)
{
    s->run->impl = NULL;
    sse_fini(&s->sse);
    think_fini(&s->think);
    buf_free(&s->plain);
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
}

/* The whole answer, once: some servers send it at the end of their pieces, too. */
static struct str
news(const struct stream *s, const struct chat_chunk *c)
{
    size_t have = s->run->answer.n;

    if (!c->whole || have == 0)
        return c->text;
    if (c->text.n > have && memcmp(c->text.p, s->run->answer.p, have) == 0)
        return (struct str){ c->text.p + have, c->text.n - have };
    return STR_NONE;
}

static void
take_chunk(struct stream *s, const struct chat_chunk *c)
{
    struct chat_run *r = s->run;
    struct str text = news(s, c);

    s->thought |= c->thought;
    if (c->finish.n > 0) {
        keep(r->finish, sizeof r->finish, str_of(chat_finish_name(c->finish)));
        s->error |= strcmp(r->finish, "error") == 0;
    }
    if (c->prompt_tokens >= 0) {
        r->prompt_tokens = c->prompt_tokens;
        r->completion_tokens = c->completion_tokens;
    }
    if (text.n > 0 && !think_push(&s->think, text)) {
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
    case CHAT_EV_SKIP:
        break;
    case CHAT_EV_JUNK:
        s->junk = true;
        break;
    }
    chat_chunk_free(&c);
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
    chat_flush(s->run); /* what arrived together goes on together: a part costs a trip over the bus */
    if (sse_overflow(&s->sse) || s->plain.failed)
        s->junk = true;
    return !s->full && !s->junk && !s->error;
}

/* A plain completion, or one JSON object a line. */
static void
read_plain(struct stream *s)
{
    struct str all = buf_slice(&s->plain);
    struct chat_chunk c;
    enum chat_event how;

    while (all.n > 0 && strchr("\xef\xbb\xbf \t\r\n", all.p[0]))
        all = (struct str){ all.p + 1, all.n - 1 };
    how = chat_chunk_parse(all, &c);
    chat_chunk_free(&c);
    if (how != CHAT_EV_JUNK) {
        on_event(s, all);
        s->done |= !s->error && how == CHAT_EV_CHUNK;
        return;
    }
    while (all.n > 0) {
        const char *nl = memchr(all.p, '\n', all.n);
        size_t n = nl ? (size_t)(nl - all.p) : all.n;

        on_event(s, (struct str){ all.p, n });
        n += nl != NULL;
        all = (struct str){ all.p + n, all.n - n };
    }
}

/* ---- refusals */

static bool
is_refusal(const struct upstream_end *end)
{
    return end->status == 400 || end->status == 413 || end->status == 422;
}

/* Smaller, for this call only. */
static bool
halve(struct stream *s)
{
    if (s->halved == HALVINGS)
        return false;
    s->halved++;
    LOG(INFO, s->run->call->trace, M("too large for the model's context; asking again for less"), KS("model", s->model), KI("halved", s->halved));
    return true;
}

/* A refusal that we can do something about: ask again, without what it names, or for less. */
static bool
ask_again(struct stream *s, const struct upstream_end *end)
{
    int i = is_refusal(end) ? upstream_blames(end->body, optional, OPTIONALS) : -1;
    bool limit = i >= 0 && (optional_bit[i] & (DROP_MAX_TOKENS | DROP_LIMIT));

    if (!is_refusal(end) && end->status != 500)
        return false;
    if ((i < 0 || limit) && (end->status == 413 || upstream_too_large(end->body)))
        return halve(s);
    if (i >= 0 && optional_bit[i] == DROP_LIMIT && !(s->without & DROP_MAX_TOKENS))
        i = 2;                   /* not sent: the name stands there as the advice to use it */
    if (i < 0 || (s->without & optional_bit[i]))
        return false;
    *refused_by(s->model) |= optional_bit[i];
    LOG(INFO, s->run->call->trace, M("the model server does not take a parameter; going on without"), KS("model", s->model),
        KS("parameter", optional[i]));
    return true;
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

/* It ended well, and there is no text. */
static void
no_answer(struct stream *s)
{
    const char *finish = s->run->finish;
    bool thought = s->thought || s->think.thought || s->think.in;

    if (strcmp(finish, "content_filter") == 0)
        fail(s, ERR_UPSTREAM_REFUSED, 0, "the model server's content filter withheld the answer");
    else if (strcmp(finish, "length") == 0 || s->think.in)
        fail(s, ERR_UPSTREAM_REPLY, 0, "the model used up its tokens before it wrote an answer: MAX_OUTPUT_TOKENS is too small");
    else
        fail(s, ERR_UPSTREAM_REPLY, 0, thought ? "the model thought and wrote no answer" : "the model server sent an empty answer");
}

static void
on_end(void *arg, const struct upstream_end *end)
{
    struct stream *s = arg;
    struct chat_run *r = s->run;
    char model[sizeof s->model];

    s->transfer = NULL;
    r->upstream_us += clock_us() - s->sent_us;
    if (ask_again(s, end)) {
        send_off(s);
        return;
    }
    if (end->status != 200) {
        fail(s, end->err, end->retry_after_ms, s->halved == HALVINGS ? "the question with its passages is too long for the model" : end->text);
        return;
    }
    if (s->form == FORM_PLAIN && end->err == ERR_OK)
        read_plain(s);
    s->full |= !think_end(&s->think);
    if (!s->done && !s->full && (end->err != ERR_OK || s->error || s->junk || r->finish[0] == 0)) {
        broke_off(s, end);
        return;
    }
    if (r->answer.n == 0) {
        no_answer(s);
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
    struct prompt_opt prompt = { .system = s->run->e->prompt, .nonce = nonce, .no_system = (s->without & DROP_SYSTEM) != 0,
                                 .halved = s->halved > 0 ? s->halved - 1 : 0 };
    int64_t limit = opt->max_output_tokens >> s->halved;
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
    s->run->passages = prompt_passages_in(s->run->call->req, prompt.halved);
    buf_key_bool(out, "stream", !(s->without & DROP_STREAM));
    if (!(s->without & (DROP_USAGE | DROP_STREAM))) {
        buf_key(out, "stream_options");
        buf_z(out, "{\"include_usage\":true}");
    }
    if (!(s->without & DROP_TEMPERATURE))
        buf_key_num(out, "temperature", opt->temperature);
    if (!(s->without & DROP_MAX_TOKENS))
        buf_key_int(out, "max_tokens", limit < LEAST_LIMIT ? LEAST_LIMIT : limit);
    else if (!(s->without & DROP_LIMIT))
        buf_key_int(out, "max_completion_tokens", limit < LEAST_LIMIT ? LEAST_LIMIT : limit);
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

    s->without = *refused_by(s->model);
    s->form = FORM_UNKNOWN;
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
    think_init(&s->think, emit, forget, s);
    s->plain = BUF_MAX(REPLY_MAX);
    chat_wait(r);
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
