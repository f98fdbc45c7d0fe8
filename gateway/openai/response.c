/* POST /v1/responses: a question gets an answer with its citations, as a response. Others may follow it
 * by its id, which is all that names its conversation: a sealed ticket with the conversation and its
 * session, which only the same key opens. So nobody's history is found by another's id, and two
 * conversations that begin alike stay two. With store: false nothing follows, and the query cache may
 * answer. A stream is response_stream.c. */
#include "gateway/openai/openai.h"
#include "gateway/openai/ticket.h"

#define TICKET "response"
#define TICKET_BYTES 32 /* conversation and session */

/* ---- what was asked */

static struct str
owner_of(const struct request *r)
{
    return (struct str){ (const char *)r->who.key_hash, sizeof r->who.key_hash };
}

static void
missing_is(struct wish *w)
{
    const char *text = arena_printf(w->r->arena, "Previous response with id '" STR_FMT "' not found.",
                                    STR_ARG(utf8_cut(w->previous, 200)));

    w->r->missing = (struct missing){ "previous_response_not_found", "previous_response_id",
                                      text ? text : "Previous response not found." };
}

static bool
follow(struct wish *w)
{
    struct str id = w->previous, plain = STR_NONE;

    if (str_starts(id, "resp_"))
        plain = ticket_open(w->r, TICKET, owner_of(w->r), (struct str){ id.p + 5, id.n - 5 });
    if (plain.n != TICKET_BYTES) {
        missing_is(w);
        reply_problem(w->r, ERR_NOT_FOUND, NULL);
        return false;
    }
    memcpy(w->given.conversation_id.b, plain.p, 16);
    memcpy(w->given.session.b, plain.p + 16, 16);
    w->given.told = false;
    w->given.earlier = (struct turns){ NULL, 0 };
    return true;
}

static bool
take_input(struct wish *w, struct fault *f)
{
    static const struct text_rule text = { "input", 1, QUESTION_CHARS, true, true };
    const json_t *input = json_object_get(w->body, "input");

    if (json_is_array(input))
        return messages_take(w, input, "input", f);
    if (input && !json_is_string(input) && !json_is_null(input)) {
        fault_set(f, "input", "must be a text or a list of messages");
        return false;
    }
    if (!field_text(w->body, &text, &w->given.text, f))
        return false;
    w->first = w->given.text;
    w->given.told = true;
    return true;
}

static void
take_include(struct wish *w)
{
    const json_t *list = json_object_get(w->body, "include");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *z = json_string_value(json_array_get(list, i));

        w->results = w->results || (z && strcmp(z, "file_search_call.results") == 0);
    }
}

/* History that is left out without a word would be missed only in the answers. */
static bool
take_conversation(const struct wish *w, struct fault *f)
{
    const json_t *v = json_object_get(w->body, "conversation");

    if (!v || json_is_null(v))
        return true;
    fault_set(f, "conversation", "is not known here: previous_response_id goes on with a response");
    return false;
}

static bool
take_fields(struct wish *w, struct fault *f)
{
    static const struct text_rule instructions = { "instructions", 0, QUESTION_CHARS, false, true },
                                  previous = { "previous_response_id", 1, 1000, false, false };
    struct str said = STR_NONE;

    w->kept = true;
    take_include(w);
    return field_text(w->body, &instructions, &said, f) && instructions_add(w, said, "instructions", f) &&
           take_conversation(w, f) && field_flag(w->body, "store", &w->kept, f) &&
           field_text(w->body, &previous, &w->previous, f) && take_input(w, f);
}

/* Whose conversation it goes to. */
static bool
settle(struct wish *w)
{
    if (w->previous.p)
        return follow(w);
    if (!w->kept || request_header(w->r, "X-Session-ID").p) {
        w->given.fresh = w->kept;
        return wish_settle(w);
    }
    w->given.session = uuid_v4();
    w->given.fresh = true;
    return true;
}

static bool
read_response(struct request *r, struct wish *w)
{
    struct fault f;

    if (!wish_read(r, w))
        return false;
    if (take_fields(w, &f))
        return settle(w);
    reply_fault(r, &f);
    return false;
}

/* ---- what it is told as */

static void
render_id(const struct question *q, struct buf *b)
{
    struct wish *w = q->dialect;
    struct buf id = BUF_MAX(512), plain = BUF_MAX(TICKET_BYTES);
    char hex[33];

    if (!w->id) { /* sealed anew it would be another */
        buf_z(&id, "resp_");
        buf_add(&plain, q->conversation_id.b, 16);
        buf_add(&plain, q->session.b, 16);
        if (w->kept)
            ticket_seal(q->r, TICKET, owner_of(q->r), buf_slice(&plain), &id);
        else
            buf_z(&id, hex_text(q->message_id.b, 16, hex));
        w->id = arena_dup(q->r->arena, buf_slice(&id));
    }
    buf_key_str(b, "id", str_of(w->id));
    buf_free(&id);
    buf_free(&plain);
}

static void
render_item_id(const struct question *q, const char *prefix, struct buf *b)
{
    char hex[33];

    buf_key(b, "id");
    buf_printf(b, "\"%s_%s\"", prefix, hex_text(q->message_id.b, 16, hex));
}

static void
render_results(const struct question *q, struct buf *b)
{
    buf_c(b, '[');
    for (size_t i = 0; i < q->found->hits.n; i++) {
        const struct hit *h = &q->found->hits.v[i];
        char id[37];

        buf_z(b, i ? ",{" : "{");
        buf_key_str(b, "file_id", str_of(uuid_text(&h->document_id, id)));
        buf_key_str(b, "filename", h->title.n > 0 ? h->title : h->external_id.p ? h->external_id : STR(""));
        buf_key_num(b, "score", h->score);
        buf_key_str(b, "text", h->text);
        buf_z(b, ",\"attributes\":{}}");
    }
    buf_c(b, ']');
}

void
response_search(const struct question *q, bool done, struct buf *b)
{
    const struct wish *w = q->dialect;

    buf_c(b, '{');
    render_item_id(q, "fs", b);
    buf_key_str(b, "type", STR("file_search_call"));
    buf_key_str(b, "status", done ? STR("completed") : STR("in_progress"));
    buf_key(b, "queries");
    buf_c(b, '[');
    buf_json(b, q->query);
    buf_c(b, ']');
    buf_key(b, "results");
    if (done && w->results && q->found)
        render_results(q, b);
    else
        buf_z(b, "null");
    buf_c(b, '}');
}

void
response_part(struct str text, struct str notes, struct buf *b)
{
    buf_z(b, "{\"type\":\"output_text\"");
    buf_key_str(b, "text", text);
    buf_key(b, "annotations");
    buf_str(b, notes);
    buf_z(b, ",\"logprobs\":[]}");
}

void
response_message(const struct question *q, struct str notes, bool done, struct buf *b)
{
    buf_c(b, '{');
    render_item_id(q, "msg", b);
    buf_key_str(b, "type", STR("message"));
    buf_key_str(b, "status", !done ? STR("in_progress") : ask_cut(q) ? STR("incomplete") : STR("completed"));
    buf_key_str(b, "role", STR("assistant"));
    buf_key(b, "content");
    buf_c(b, '[');
    if (done)
        response_part(said_of(q), notes, b);
    buf_z(b, "]}");
}

static void
render_output(const struct question *q, struct buf *b)
{
    struct buf notes = BUF_MAX(1048576);

    notes_render(q, q->answer, NOTE_RESPONSE, &notes);
    if (!q->raw) {
        response_search(q, true, b);
        buf_c(b, ',');
    }
    response_message(q, buf_slice(&notes), true, b);
    buf_free(&notes);
}

static void
render_usage(const struct question *q, struct buf *b)
{
    int64_t in = q->from_cache ? 0 : q->prompt_tokens, out = q->from_cache ? 0 : q->completion_tokens;

    buf_printf(b,
               "{\"input_tokens\":%lld,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":%lld,"
               "\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":%lld}",
               (long long)in, (long long)out, (long long)(in + out));
}

/* Members that come back as they were asked for; absent ones by their default. */
static void
render_asked(const struct wish *w, struct buf *b)
{
    static const struct {
        const char *key, *none;
    } members[] = {
        { "instructions", "null" },
        { "max_output_tokens", "null" },
        { "metadata", "{}" },
        { "parallel_tool_calls", "true" },
        { "previous_response_id", "null" },
        { "temperature", "null" },
        { "text", "{\"format\":{\"type\":\"text\"}}" },
        { "tool_choice", "\"auto\"" },
        { "tools", "[]" },
        { "top_p", "null" },
        { "truncation", "\"disabled\"" },
        { "user", "null" },
        { "store", "true" },
    };

    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const json_t *v = json_object_get(w->body, members[i].key);

        buf_key(b, members[i].key);
        if (!v || json_is_null(v))
            buf_z(b, members[i].none);
        else
            value_render(v, b);
    }
}

static void
render_ending(const struct question *q, enum response_state state, struct buf *b)
{
    bool cut = state == RESPONSE_WHOLE && ask_cut(q);

    buf_key_str(b, "status",
                state == RESPONSE_BEGUN    ? STR("in_progress")
                : state == RESPONSE_FAILED ? STR("failed")
                : cut                      ? STR("incomplete")
                                           : STR("completed"));
    buf_key(b, "error");
    if (state == RESPONSE_FAILED) {
        buf_c(b, '{');
        buf_key_str(b, "code",
                    err_http(q->failure.err) == 429 ? STR("rate_limit_exceeded") : STR("server_error"));
        buf_key_str(b, "message", str_of(outcome_text(&q->failure)));
        buf_c(b, '}');
    } else {
        buf_z(b, "null");
    }
    buf_key(b, "incomplete_details");
    if (cut)
        buf_printf(b, "{\"reason\":\"%s\"}",
                   str_is(q->finish, "length") ? "max_output_tokens" : "content_filter");
    else
        buf_z(b, "null");
}

void
response_object(const struct question *q, enum response_state state, struct buf *b)
{
    const struct wish *w = q->dialect;

    buf_c(b, '{');
    render_id(q, b);
    buf_key_str(b, "object", STR("response"));
    buf_key_int(b, "created_at", w->created_s);
    render_ending(q, state, b);
    buf_key_str(b, "model", w->model);
    buf_key(b, "output");
    buf_c(b, '[');
    if (state == RESPONSE_WHOLE)
        render_output(q, b);
    buf_c(b, ']');
    render_asked(w, b);
    buf_key(b, "reasoning");
    buf_z(b, "{\"effort\":null,\"summary\":null}");
    buf_key(b, "usage");
    if (state == RESPONSE_WHOLE)
        render_usage(q, b);
    else
        buf_z(b, "null");
    if (state == RESPONSE_WHOLE)
        rag_render(q, b);
    buf_c(b, '}');
}

static void
render_whole(const struct question *q, struct buf *b)
{
    response_object(q, RESPONSE_WHOLE, b);
}

/* The collection is known to be there: from now on a 404 is the conversation's. */
static void
run(struct wish *w, struct question *q)
{
    q->render = render_whole;
    q->dialect = w;
    if (!ask_admit(q))
        return;
    if (w->previous.p)
        missing_is(w);
    if (w->stream)
        response_stream(q);
    else
        ask_reply(q);
}

void
route_openai_response(struct request *r)
{
    struct wish w;
    struct question q = { 0 };

    if (read_response(r, &w)) {
        if (w.stream)
            ask_stream_time(r);
        if (ask_given(r, &w.given, &q))
            run(&w, &q);
        ask_fini(&q);
    }
    wish_fini(&w);
}
