/* One event of a chat completion stream, or a whole completion. Servers differ: text stands in delta.content,
 * message.content or text, as a string or as a list of parts; thoughts in fields of their own; usage in a
 * chunk without choices; errors as an object, a string or a detail. A part that is not understood is skipped
 * as long as it can be no text; broken JSON is junk, since text may be lost. */
#include <stdlib.h>

#include "common/text/text.h"
#include "embedder/openai/mend.h"
#include "embedder/openai/stream.h"
#include "embedder/openai/upstream.h"

#define WORD_MAX 64 /* "ping", "keep-alive": a longer event that is no JSON is junk */

/* A count as a number or as digits in a string; 0: none. */
static int64_t
count_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    double d = json_is_number(v)   ? json_number_value(v)
               : json_is_string(v) ? strtod(json_string_value(v), NULL)
                                   : 0;

    return d > 0 && d < 1e15 ? (int64_t)d : 0;
}

static void
take_usage(const json_t *u, struct chat_chunk *out)
{
    int64_t prompt = count_of(u, "prompt_tokens"), completion = count_of(u, "completion_tokens");

    if (!json_is_object(u))
        return;
    prompt = prompt ? prompt : count_of(u, "input_tokens");
    completion = completion ? completion : count_of(u, "output_tokens");
    if (prompt > 0 || completion > 0) {
        out->prompt_tokens = prompt;
        out->completion_tokens = completion;
    }
}

/* Beside the choices, in one of them, or under a name of the server's own. */
static void
read_usage(const json_t *root, struct chat_chunk *out)
{
    take_usage(json_object_get(root, "usage"), out);
    if (out->prompt_tokens < 0)
        take_usage(json_object_get(json_object_get(root, "x_groq"), "usage"), out);
}

/* Text of one part. Parts of other types are thoughts, images, tools. */
static struct str
part_text(const json_t *part, struct chat_chunk *out)
{
    struct str type = json_str(part, "type");

    if (json_is_string(part))
        return (struct str){ json_string_value(part), json_string_length(part) };
    if (type.n == 0 || str_is(type, "text") || str_is(type, "output_text"))
        return json_str(part, "text");
    if (str_is(type, "refusal"))
        return json_str(part, "refusal");
    out->thought = true;
    return STR_NONE;
}

/* Text of a content: a string, a part, or a list of them. */
static struct str
content_text(const json_t *v, struct chat_chunk *out)
{
    const json_t *part;
    size_t i;

    if (!json_is_array(v))
        return part_text(v, out);
    json_array_foreach (v, i, part)
        buf_str(&out->joined, part_text(part, out));
    return out->joined.n > 0 ? buf_slice(&out->joined) : STR_NONE;
}

static bool
has_thought(const json_t *o)
{
    static const char *const fields[] = { "reasoning_content", "reasoning", "reasoning_details", "thinking",
                                          "thought" };

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const json_t *v = json_object_get(o, fields[i]);

        if (v && !json_is_null(v))
            return true;
    }
    return false;
}

/* A delta or a message: its text, and what else stands there. */
static struct str
read_said(const json_t *o, struct chat_chunk *out)
{
    struct str text;

    if (!json_is_object(o))
        return STR_NONE;
    text = content_text(json_object_get(o, "content"), out);
    out->thought |= has_thought(o);
    out->tool |= json_array_size(json_object_get(o, "tool_calls")) > 0 ||
                 json_is_object(json_object_get(o, "function_call"));
    return text.n > 0 ? text : json_str(o, "refusal");
}

/* Words that say that it goes on. */
static struct str
finish_in(const json_t *choice)
{
    struct str s = json_str(choice, "finish_reason");

    return str_is_anycase(s, "null") || str_is_anycase(s, "none") || str_is_anycase(s, "not_finished")
               ? STR_NONE
               : s;
}

static void
read_choice(const json_t *choice, struct chat_chunk *out)
{
    out->index = json_int(choice, "index", 0);
    out->finish = finish_in(choice);
    if (out->prompt_tokens < 0)
        take_usage(json_object_get(choice, "usage"), out);
    out->text = read_said(json_object_get(choice, "delta"), out);
    if (out->text.n == 0 && json_is_string(json_object_get(choice, "text")))
        out->text = json_str(choice, "text");
    if (out->text.n > 0)
        return;
    out->text = read_said(json_object_get(choice, "message"), out);
    out->message = out->text.n > 0;
}

/* The choice that is the answer: the one with the index 0 where several stand side by side. Some servers count tokens or parts of
 * one answer by the index, so that a single one counts whatever its index is. */
static const json_t *
choice_of(const json_t *choices, struct chat_chunk *out)
{
    const json_t *first = json_is_object(choices) ? choices : json_array_get(choices, 0), *one, *found = NULL;
    int64_t index = json_int(first, "index", 0);
    size_t i;

    json_array_foreach (choices, i, one) {
        out->several |= json_int(one, "index", 0) != index;
        if (!found && json_int(one, "index", 0) == 0)
            found = one;
    }
    return found ? found : first;
}

/* The event without what proxies put in front once more. */
static struct str
undone(struct str data)
{
    data = text_trim(data);
    while (str_starts(data, "data:"))
        data = text_trim((struct str){ data.p + 5, data.n - 5 });
    return data;
}

enum chat_event
chat_chunk_parse(struct str data, struct chat_chunk *out)
{
    const json_t *choices, *choice;
    json_t *root;

    *out = (struct chat_chunk){ .prompt_tokens = -1, .completion_tokens = -1, .joined = BUF_MAX(1 << 20) };
    data = undone(data);
    if (str_is(data, "[DONE]"))
        return CHAT_EV_DONE;
    if (data.n == 0 || str_is(data, "null"))
        return CHAT_EV_SKIP;
    root = server_json(data);
    out->json = root;
    if (!root)
        return data.p[0] != '{' && data.n <= WORD_MAX && data.p[0] != '<' ? CHAT_EV_SKIP : CHAT_EV_JUNK;
    if (!json_is_object(root))
        return CHAT_EV_SKIP;
    if (upstream_told(root, &out->told))
        return CHAT_EV_ERROR;
    read_usage(root, out);
    choices = json_object_get(root, "choices");
    if (choices && !json_is_null(choices) && !json_is_array(choices) && !json_is_object(choices))
        return CHAT_EV_JUNK;
    choice = choice_of(choices, out);
    if (choice && upstream_told(choice, &out->told))
        return CHAT_EV_ERROR;
    if (choice)
        read_choice(choice, out);
    else if (!choices && out->prompt_tokens < 0)
        return CHAT_EV_SKIP;
    return CHAT_EV_CHUNK;
}

bool
chat_chunk_each(struct str data, void (*fn)(void *arg, struct str data), void *arg)
{
    json_t *root = server_json(data);
    bool list = json_is_array(root);
    const json_t *one;
    size_t i;

    json_array_foreach (root, i, one) {
        struct buf b = BUF_MAX(4 << 20);

        buf_json_value(&b, one, false);
        if (!b.failed)
            fn(arg, buf_slice(&b));
        buf_free(&b);
    }
    json_decref(root);
    return list;
}

void
chat_chunk_free(struct chat_chunk *c)
{
    buf_free(&c->joined);
    json_decref(c->json);
    c->json = NULL;
}

/* ---- why it ended */

const char *
chat_finish_name(struct str reason)
{
    static const struct {
        const char *begins, *name;
    } names[] = {
        { "length", "length" },
        { "max", "length" },
        { "model_length", "length" },
        { "model_context", "length" },
        { "context", "length" },
        { "token_limit", "length" },
        { "token limit", "length" },
        { "error_limit", "length" },
        { "incomplete", "length" },
        { "content_filter", "content_filter" },
        { "content-filter", "content_filter" },
        { "contentfilter", "content_filter" },
        { "content_policy", "content_filter" },
        { "safety", "content_filter" },
        { "recitation", "content_filter" },
        { "block", "content_filter" },
        { "filter", "content_filter" },
        { "toxic", "content_filter" },
        { "error_toxic", "content_filter" },
        { "image_safety", "content_filter" },
        { "harm", "content_filter" },
        { "risk", "content_filter" },
        { "prohibited", "content_filter" },
        { "spii", "content_filter" },
        { "refusal", "content_filter" },
        { "guardrail", "content_filter" },
        { "sensitive", "content_filter" },
        { "moderation", "content_filter" },
        { "error", "error" },
        { "abort", "error" },
        { "cancel", "error" },
        { "insufficient_", "error" },
        { "network_error", "error" },
        { "timeout", "error" },
        { "time_limit", "error" },
        { "fail", "error" },
        { "malformed", "error" },
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].begins) <= reason.n &&
            strncasecmp(names[i].begins, reason.p, strlen(names[i].begins)) == 0)
            return names[i].name;
    return "stop";
}
