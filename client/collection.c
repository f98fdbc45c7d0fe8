/* `footnote collection NAME`: a collection's settings; --language changes that one and keeps the others. */
#include "common/text/text.h"
#include "client/client.h"

struct wanted {
    struct str name;
    json_t *found; /* the collection, owned; NULL: there is none (yet) */
};

static bool
look(void *arg, const json_t *item)
{
    struct wanted *w = arg;

    if (!str_eq(json_str(item, "name"), w->name))
        return true;
    w->found = json_incref((json_t *)(uintptr_t)item);
    return false;
}

/* What PUT takes: it replaces all settings, so those that are set go along. */
static void
put_settings(struct buf *b, const json_t *now, struct str language)
{
    static const char *const kept[] = { "prompt", "refusal", "model", "top_k", "threshold", "retention_days" };

    buf_c(b, '{');
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const json_t *v = json_object_get(now, kept[i]);

        if (!v || json_is_null(v))
            continue;
        buf_key(b, kept[i]);
        if (json_is_string(v))
            buf_json(b, (struct str){ json_string_value(v), json_string_length(v) });
        else
            buf_json_num(b, json_number_value(v));
    }
    if (!str_is(language, "auto"))
        buf_key_str(b, "language", language);
    buf_c(b, '}');
}

static void
show(const json_t *o)
{
    struct str language = json_str(o, "language");

    put_line(stdout, json_str(o, "name"));
    printf(": %lld documents, %lld passages, language ", (long long)json_int(o, "documents", 0), (long long)json_int(o, "chunks", 0));
    put_line(stdout, language.p ? language : STR("of each document (auto)"));
    putchar('\n');
}

int
cmd_collection(struct cli *c)
{
    struct wanted w = { .name = str_of(c->args[0]) };
    struct buf path = { 0 }, body = { 0 };
    struct call k;
    json_t *v = NULL;

    if (!each_item(c, "/api/v1/collections", NULL, look, &w)) {
        json_decref(w.found);
        return 1;
    }
    if (!w.found && !c->opt[CLI_LANGUAGE]) {
        say("there is no collection %s", c->args[0]);
        return 1;
    }
    if (c->opt[CLI_LANGUAGE]) {
        buf_z(&path, "/api/v1/collections/");
        url_escape(&path, w.name);
        put_settings(&body, w.found, str_of(c->opt[CLI_LANGUAGE]));
        call_init(&k, c, "PUT", path.p, buf_slice(&body), NULL);
        v = call_json(&k, c);
        call_fini(&k);
    }
    if (v || (w.found && !c->opt[CLI_LANGUAGE]))
        show(v ? v : w.found);
    int code = v || !c->opt[CLI_LANGUAGE] ? 0 : 1;

    json_decref(v);
    json_decref(w.found);
    buf_free(&path);
    buf_free(&body);
    return code;
}
