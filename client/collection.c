/* `footnote collection NAME`: a collection's settings; --language and --cache-scope change these and keep the others. */
#include "client/client.h"

/* *found: the collection, owned; NULL: there is none (yet). False: the call failed, and it was said why. */
static bool
look(const struct cli *c, const char *path, json_t **found)
{
    struct buf why = { 0 };
    struct fetch k;
    CURLcode result;
    json_t *v;
    bool there, ok;

    fetch_init(&k, c, "GET", path, STR_NONE, NULL);
    there = fetch_perform(&k, &result);
    v = result == CURLE_OK ? fetch_reply(&k) : NULL;
    ok = v && (there || k.status == 404);
    *found = there ? json_incref(v) : NULL;
    if (!ok) {
        fetch_explain(&k, c, result, &why);
        say("%s", why.p);
    }
    json_decref(v);
    buf_free(&why);
    fetch_fini(&k);
    return ok;
}

/* The settings that PUT takes: it replaces all of them, so those that are set go along. */
static const struct setting {
    const char *key;
    bool may_change; /* by opt */
    enum cli_opt opt;
} settings[] = {
    { "prompt", false, 0 },
    { "refusal", false, 0 },
    { "model", false, 0 },
    { "top_k", false, 0 },
    { "threshold", false, 0 },
    { "retention_days", false, 0 },
    { "language", true, CLI_LANGUAGE },
    { "cache_scope", true, CLI_CACHE_SCOPE },
};

static bool
wants_change(const struct cli *c)
{
    return c->opt[CLI_LANGUAGE] || c->opt[CLI_CACHE_SCOPE];
}

static void
put_settings(struct buf *b, const struct cli *c, const json_t *now)
{
    buf_c(b, '{');
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const struct setting *s = &settings[i];
        const char *given = s->may_change ? c->opt[s->opt] : NULL;
        const json_t *v = json_object_get(now, s->key);

        if (given && strcmp(given, "auto") != 0)
            buf_key_str(b, s->key, str_of(given));
        if (given || !v || json_is_null(v))
            continue;
        buf_key(b, s->key);
        if (json_is_string(v))
            buf_json(b, (struct str){ json_string_value(v), json_string_length(v) });
        else
            buf_json_num(b, json_number_value(v));
    }
    buf_c(b, '}');
}

static void
put_model(const json_t *model)
{
    put_line(stdout, json_str(model, "name"));
    printf(" (%lld dimensions)", (long long)json_int(model, "dimensions", 0));
}

/* The model of its vectors; of a change to another one how far it is. */
static void
show_embedding(const json_t *o, const json_t *e)
{
    struct str state = json_str(e, "state");
    const json_t *other = json_object_get(e, "other");
    long long all = json_int(o, "chunks", 0), done = json_int(e, "chunks_done", 0),
              compared = json_int(e, "compared", 0);
    bool is_other = other && !json_is_null(other);

    fputs("  vectors of ", stdout);
    put_model(json_object_get(e, "model"));
    if (is_other && str_is(state, "building")) {
        fputs("; being made of ", stdout);
        put_model(other);
        printf(": %lld of %lld passages (%lld %%)", done, all, all ? 100 * done / all : 0);
    } else if (is_other) {
        fputs(str_is(state, "kept") ? "; kept of " : "; being deleted of ", stdout);
        put_model(other);
    }
    putchar('\n');
    if (compared > 0)
        printf("  the ten best passages of %lld questions were the same by both models to %.0f %%\n",
               compared, 100 * json_number_value(json_object_get(e, "overlap_at_10")));
    if (json_flag(e, "held", false))
        puts(
            "  switched back: the embedder's model is not used until `footnote collection switch-back` is said again");
    if (json_str(e, "error").n > 0) {
        fputs("  does not get on: ", stdout);
        put_line(stdout, json_str(e, "error"));
        putchar('\n');
    }
}

static void
show(const json_t *o)
{
    struct str language = json_str(o, "language"), scope = json_str(o, "cache_scope");
    const json_t *embedding = json_object_get(o, "embedding");

    put_line(stdout, json_str(o, "name"));
    printf(": %lld documents, %lld passages, language ", (long long)json_int(o, "documents", 0),
           (long long)json_int(o, "chunks", 0));
    put_line(stdout, language.p ? language : STR("of each document (auto)"));
    if (scope.p) {
        fputs(", cached answers for the ", stdout);
        put_line(stdout, scope);
    }
    putchar('\n');
    if (embedding && !json_is_null(embedding))
        show_embedding(o, embedding);
}

/* The answer of a call (printed already with --json), else the entry of the list. */
static void
show_either(const struct cli *c, const json_t *answer, const json_t *listed)
{
    struct buf b = { 0 };

    if (!c->opt[CLI_JSON]) {
        show(answer ? answer : listed);
    } else if (!answer) {
        buf_json_value(&b, listed, false);
        printf(STR_FMT "\n", STR_ARG(buf_slice(&b)));
        buf_free(&b);
    }
}

/* POST /collections/NAME/VERB. */
static int
decide(struct cli *c, const char *name, const char *verb)
{
    struct buf path = { 0 };
    struct fetch k;
    json_t *v;

    buf_z(&path, "/api/v1/collections/");
    url_escape(&path, str_of(name));
    buf_printf(&path, "/%s", verb);
    fetch_init(&k, c, "POST", path.p, STR_NONE, NULL);
    v = fetch_json(&k, c);
    if (v)
        show_either(c, v, NULL);
    int code = v ? 0 : 1;

    json_decref(v);
    fetch_fini(&k);
    buf_free(&path);
    return code;
}

int
cmd_collection(struct cli *c)
{
    static const char *const verbs[] = { "switch-back", "drop-old" };
    const char *name = c->args[c->n_args - 1];
    struct buf path = { 0 }, body = { 0 };
    struct fetch k;
    json_t *found, *v = NULL;
    int code = 1;

    for (size_t i = 0; c->n_args == 2 && i < 2; i++)
        if (strcmp(c->args[0], verbs[i]) == 0)
            return decide(c, name, verbs[i]);
    if (c->n_args == 2 && strcmp(c->args[0], "show") != 0) {
        say("collection show, switch-back or drop-old, then the name");
        return 2;
    }
    buf_z(&path, "/api/v1/collections/");
    url_escape(&path, str_of(name));
    if (!look(c, path.p, &found)) {
        buf_free(&path);
        return 1;
    }
    if (wants_change(c)) {
        put_settings(&body, c, found);
        fetch_init(&k, c, "PUT", path.p, buf_slice(&body), NULL);
        v = fetch_json(&k, c);
        fetch_fini(&k);
    } else if (!found) {
        say("there is no collection %s: `footnote ingest --collection %s` makes it with its first document",
            name, name);
    }
    if (v || (found && !wants_change(c))) {
        show_either(c, v, found);
        code = 0;
    }
    json_decref(v);
    json_decref(found);
    buf_free(&path);
    buf_free(&body);
    return code;
}
