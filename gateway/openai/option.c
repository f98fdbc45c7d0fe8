/* Options for the model server (option.tbl), checked here: what it would refuse is refused by name, before
 * anything is paid for. */
#include "gateway/openai/openai.h"

enum kind_of { NUM, INT, STOP, FORMAT };
static const struct option {
    const char *key, *to;
    enum kind_of kind;
    double least, most;
} options[] = {
#define OPTION(key, to, kind, least, most) { key, to, kind, least, most },
#include "gateway/openai/option.tbl"
#undef OPTION
};

void
value_render(const json_t *v, struct buf *b)
{
    if (v)
        buf_json_value(b, v, false);
}

/* The form of the answer as chats name it: a response has it as text.format, with the schema's members beside its type. Owned
 * by the caller; NULL: none. */
static json_t *
format_of(const json_t *body)
{
    json_t *given = json_object_get(body, "response_format"), *inner,
           *format = json_object_get(json_object_get(body, "text"), "format");

    if (given && !json_is_null(given))
        return json_incref(given);
    if (!str_is(json_str(format, "type"), "json_schema"))
        return json_is_object(format) && !str_is(json_str(format, "type"), "text") ? json_incref(format)
                                                                                   : NULL;
    inner = json_copy(format);
    json_object_del(inner, "type");
    return json_pack("{s:s,s:o}", "type", "json_schema", "json_schema", inner);
}

static bool
stop_fine(const json_t *v)
{
    if (json_is_string(v))
        return json_string_length(v) > 0;
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!json_is_string(json_array_get(v, i)) || json_string_length(json_array_get(v, i)) == 0)
            return false;
    return json_array_size(v) >= 1 && json_array_size(v) <= 4;
}

static bool
fine(const struct option *o, const json_t *v, struct fault *f)
{
    bool number = o->kind == INT ? json_is_integer(v) : json_is_number(v);

    if (o->kind == STOP && !stop_fine(v))
        fault_set(f, o->key, "must be a string or a list of 1 to 4 strings");
    else if (o->kind == FORMAT && !json_is_object(v))
        fault_set(f, o->key, "must be an object");
    else if (o->kind <= INT && (!number || json_number_value(v) < o->least || json_number_value(v) > o->most))
        fault_set(f, o->key, "must be a %s from %.16g to %.16g", o->kind == INT ? "whole number" : "number",
                  o->least, o->most);
    else
        return true;
    return false;
}

bool
options_take(struct wish *w, struct fault *f)
{
    json_t *format = format_of(w->body);
    struct buf b = BUF_MAX(60000);
    bool good = true;

    buf_c(&b, '{');
    for (size_t i = 0; good && i < sizeof options / sizeof *options; i++) {
        const struct option *o = &options[i];
        const json_t *v = o->kind == FORMAT ? format : json_object_get(w->body, o->key);
        bool again = i > 0 && strcmp(o->to, options[i - 1].to) == 0 && b.p && strstr(b.p, o->to) != NULL;

        if (!v || json_is_null(v))
            continue;
        good = fine(o, v, f);
        if (!good || again || (o->kind == FORMAT && !w->given.raw))
            continue;
        buf_key(&b, o->to);
        value_render(v, &b);
    }
    buf_c(&b, '}');
    if (good && b.failed) {
        fault_set(f, "response_format", "is too large");
        good = false;
    }
    if (good && b.n > 2)
        w->given.options = arena_str(w->r->arena, buf_slice(&b));
    buf_free(&b);
    json_decref(format);
    return good;
}
