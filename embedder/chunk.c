/* One event of a chat completion stream, or a whole completion. Servers differ: text stands in delta.content, message.content or
 * text, as a string or as a list of parts; thoughts in fields of their own; usage in a chunk without choices; errors as an object, a
 * string or a detail. What is not understood is skipped as long as it can be no text; broken JSON is junk, since text may be lost. */
#include <ctype.h>
#include <stdlib.h>

#include "common/json.h"
#include "embedder/chat.h"

#define WORD_MAX 64             /* "ping", "keep-alive": a longer event that is no JSON is junk */

static struct str
bare(struct str s)
{
    while (s.n > 0 && isspace((unsigned char)s.p[0]))
        s = (struct str){ s.p + 1, s.n - 1 };
    while (s.n > 0 && isspace((unsigned char)s.p[s.n - 1]))
        s.n--;
    return s;
}

/* A count as a number or as digits in a string; 0: none. */
static int64_t
count_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    double d = json_is_number(v) ? json_number_value(v) : json_is_string(v) ? strtod(json_string_value(v), NULL) : 0;

    return d > 0 && d < 1e15 ? (int64_t)d : 0;
}

static void
read_usage(const json_t *root, struct chat_chunk *out)
{
    const json_t *u = json_object_get(root, "usage");

    if (!json_is_object(u))
        return;
    out->prompt_tokens = count_of(u, "prompt_tokens");
    out->completion_tokens = count_of(u, "completion_tokens");
}

/* Text of a content: a string, or the text parts of a list. Parts of other types are thoughts, images, tools. */
static struct str
content_text(const json_t *v, struct chat_chunk *out)
{
    const json_t *part;
    size_t i;

    if (json_is_string(v))
        return (struct str){ json_string_value(v), json_string_length(v) };
    if (json_is_object(v))
        return json_str(v, "text");
    json_array_foreach(v, i, part) {
        struct str type = json_str(part, "type"), text = json_str(part, "text");

        if (json_is_string(part))
            buf_add(&out->joined, json_string_value(part), json_string_length(part));
        else if (type.n == 0 || str_is(type, "text") || str_is(type, "output_text"))
            buf_str(&out->joined, text);
        else
            out->thought = true;
    }
    return out->joined.n > 0 ? buf_slice(&out->joined) : STR_NONE;
}

static bool
has_thought(const json_t *o)
{
    static const char *const fields[] = { "reasoning_content", "reasoning", "reasoning_details", "thinking", "thought" };

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const json_t *v = json_object_get(o, fields[i]);

        if (v != NULL && !json_is_null(v))
            return true;
    }
    return false;
}

static void
read_choice(const json_t *choice, struct chat_chunk *out)
{
    const json_t *delta = json_object_get(choice, "delta"), *message = json_object_get(choice, "message");

    if (json_int(choice, "index", 0) != 0)
        return;                                         /* a second answer, which nobody asked for */
    out->finish = json_str(choice, "finish_reason");
    if (json_is_object(delta)) {
        out->text = content_text(json_object_get(delta, "content"), out);
        if (out->text.n == 0)
            out->text = json_str(delta, "refusal");
        out->thought |= has_thought(delta);
    }
    if (out->text.n == 0 && json_is_string(json_object_get(choice, "text")))
        out->text = json_str(choice, "text");
    if (out->text.n > 0 || !json_is_object(message))
        return;
    out->text = content_text(json_object_get(message, "content"), out);
    if (out->text.n == 0)
        out->text = json_str(message, "refusal");
    out->whole = out->text.n > 0;
    out->thought |= has_thought(message);
}

static bool
read_error(const json_t *root, struct chat_chunk *out)
{
    const json_t *error = json_object_get(root, "error");

    if (error == NULL || json_is_null(error)) {
        if (!str_is(json_str(root, "object"), "error") && (json_object_get(root, "detail") == NULL || json_object_get(root, "choices") != NULL))
            return false;
        error = root;
    }
    out->code = json_str(error, "code");
    if (out->code.n == 0)
        out->code = json_str(error, "type");
    return true;
}

enum chat_event
chat_chunk_parse(struct str data, struct chat_chunk *out)
{
    enum json_fault fault;
    const char *detail;
    const json_t *choices;
    json_t *root;

    *out = (struct chat_chunk){ .prompt_tokens = -1, .completion_tokens = -1, .joined = BUF_MAX(1 << 20) };
    data = bare(data);
    if (str_is(data, "[DONE]"))
        return CHAT_EV_DONE;
    if (data.n == 0 || str_is(data, "null"))
        return CHAT_EV_SKIP;
    root = json_read(data, &fault, &detail);
    out->json = root;
    if (root == NULL)
        return data.p[0] != '{' && data.n <= WORD_MAX && data.p[0] != '<' ? CHAT_EV_SKIP : CHAT_EV_JUNK;
    if (!json_is_object(root))
        return CHAT_EV_SKIP;
    if (read_error(root, out))
        return CHAT_EV_ERROR;
    read_usage(root, out);
    choices = json_object_get(root, "choices");
    if (choices != NULL && !json_is_null(choices) && !json_is_array(choices))
        return CHAT_EV_JUNK;
    if (json_array_size(choices) == 0)
        return out->prompt_tokens >= 0 || choices != NULL ? CHAT_EV_CHUNK : CHAT_EV_SKIP;
    read_choice(json_array_get(choices, 0), out);
    return CHAT_EV_CHUNK;
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
    static const struct { const char *said, *name; } names[] = {
        { "length", "length" },       { "max_tokens", "length" },        { "max_new_tokens", "length" }, { "max_length", "length" },
        { "model_length", "length" }, { "content_filter", "content_filter" }, { "content-filter", "content_filter" },
        { "safety", "content_filter" }, { "recitation", "content_filter" }, { "blocklist", "content_filter" }, { "error", "error" },
        { "abort", "error" },         { "cancelled", "error" },
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].said) == reason.n && strncasecmp(names[i].said, reason.p, reason.n) == 0)
            return names[i].name;
    return "stop";
}
