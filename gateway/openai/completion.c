/* POST /v1/chat/completions: a chat's last question gets an answer with its citations, as a completion. POST
 * /v1/completions: the same of a prompt, for old clients; its text has the marks, and no annotations. A
 * stream is completion_stream.c. */
#include "gateway/openai/openai.h"
#include "gateway/request/render.h"

static bool
read_any(struct request *r, struct wish *w)
{
    const json_t *options;
    struct fault f;

    if (!wish_read(r, w))
        return false;
    options = json_object_get(w->body, "stream_options");
    if (options && !json_is_object(options) && !json_is_null(options)) {
        fault_set(&f, "stream_options", "must be an object");
        reply_fault(r, &f);
        return false;
    }
    w->usage = json_flag(options, "include_usage", false);
    return true;
}

static bool
read_chat(struct request *r, struct wish *w)
{
    struct fault f;

    if (!read_any(r, w))
        return false;
    if (messages_take(w, json_object_get(w->body, "messages"), "messages", &f))
        return wish_settle(w);
    reply_fault(r, &f);
    return false;
}

/* One prompt, by itself or in a list. */
static bool
take_prompt(struct wish *w, struct fault *f)
{
    static const struct text_rule rule = { "prompt", 1, QUESTION_CHARS, true, true };
    const json_t *prompt = json_object_get(w->body, "prompt");
    json_t *one;
    bool good;

    if (!json_is_array(prompt))
        return field_text(w->body, &rule, &w->given.text, f);
    if (json_is_integer(json_array_get(prompt, 0)) || json_is_array(json_array_get(prompt, 0))) {
        fault_set(f, "prompt", TOKENS_REFUSED);
        return false;
    }
    if (json_array_size(prompt) != 1) {
        fault_set(f, "prompt", "must be one text");
        return false;
    }
    one = json_pack("{s:O}", "prompt", json_array_get(prompt, 0));
    good = field_text(one, &rule, &w->given.text, f);
    json_decref(one); /* the text itself stays in the body */
    return good;
}

static bool
read_text(struct request *r, struct wish *w)
{
    struct fault f;

    if (!read_any(r, w))
        return false;
    w->text = true;
    if (take_prompt(w, &f)) {
        w->first = w->given.text;
        w->given.told = true;
        return wish_settle(w);
    }
    reply_fault(r, &f);
    return false;
}

const char *
finish_name(const struct question *q)
{
    return !ask_cut(q) ? "stop" : str_is(q->finish, "length") ? "length" : "content_filter";
}

void
usage_render(const struct question *q, struct buf *b)
{
    int64_t in = q->from_cache ? 0 : q->prompt_tokens, out = q->from_cache ? 0 : q->completion_tokens;

    buf_c(b, '{');
    buf_key_int(b, "prompt_tokens", in);
    buf_key_int(b, "completion_tokens", out);
    buf_key_int(b, "total_tokens", in + out);
    buf_c(b, '}');
}

void
completion_head(const struct question *q, bool chunk, struct buf *b)
{
    const struct wish *w = q->dialect;
    char hex[33];

    buf_printf(b, "{\"id\":\"%scmpl-%s\",\"object\":\"%s\"", w->text ? "" : "chat",
               hex_text(q->message_id.b, 16, hex),
               w->text ? "text_completion"
               : chunk ? "chat.completion.chunk"
                       : "chat.completion");
    buf_key_int(b, "created", w->created_s);
    buf_key_str(b, "model", w->model);
}

/* Facts that no member of the dialect tells. */
void
rag_render(const struct question *q, struct buf *b)
{
    const struct wish *w = q->dialect;

    buf_key(b, "rag");
    buf_c(b, '{');
    buf_key_bool(b, "grounded", q->grounded);
    buf_key_num(b, "confidence", q->confidence);
    buf_key_str(b, "cached", ask_cached(q));
    render_key_uuid(b, "message_id", &q->message_id);
    render_key_uuid(b, "conversation_id", &q->conversation_id);
    if (w->sources) {
        struct viewer viewer = source_viewer(q);

        buf_key(b, "sources");
        render_sources(b, q->citations, q->n_citations, &viewer);
    }
    buf_c(b, '}');
}

static void
render_said(const struct question *q, struct buf *b)
{
    buf_key(b, "message");
    buf_z(b, "{\"role\":\"assistant\"");
    buf_key_str(b, "content", said_of(q));
    buf_key_str(b, "refusal", STR_NONE);
    buf_key(b, "annotations");
    notes_render(q, q->answer, NOTE_CHAT, b);
    buf_c(b, '}');
}

void
completion_render(const struct question *q, struct buf *b)
{
    completion_head(q, false, b);
    buf_key(b, "choices");
    buf_z(b, "[{\"index\":0");
    if (((const struct wish *)q->dialect)->text)
        buf_key_str(b, "text", said_of(q));
    else
        render_said(q, b);
    buf_z(b, ",\"logprobs\":null");
    buf_key_str(b, "finish_reason", str_of(finish_name(q)));
    buf_z(b, "}]");
    buf_key(b, "usage");
    usage_render(q, b);
    rag_render(q, b);
    buf_c(b, '}');
}

static void
complete(struct wish *w)
{
    struct question q = { 0 };

    if (w->stream)
        ask_stream_time(w->r);
    if (ask_given(w->r, &w->given, &q)) {
        q.render = completion_render;
        q.dialect = w;
        if (ask_admit(&q)) {
            if (w->stream)
                completion_stream(&q);
            else
                ask_reply(&q);
        }
    }
    ask_fini(&q);
}

void
route_openai_chat(struct request *r)
{
    struct wish w;

    if (read_chat(r, &w))
        complete(&w);
    wish_fini(&w);
}

void
route_openai_text(struct request *r)
{
    struct wish w;

    if (read_text(r, &w))
        complete(&w);
    wish_fini(&w);
}
