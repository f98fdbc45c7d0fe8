/* The commands that ask for something and print what came: search, history, documents, delete, health. */
#include <stdlib.h>

#include "common/text/text.h"
#include "client/client.h"

/* ---- search ---------------------------------------------------------------------------------------------------- */

static void
put_hit(size_t n, const json_t *h)
{
    struct str title = json_str(h, "title"), section = json_str(h, "section");
    struct str text = json_str(h, "text");

    printf("%zu. %.3f  ", n, json_num(h, "score", 0));
    put_line(stdout, title.p ? title : json_str(h, "external_id"));
    if (section.n > 0) {
        fputs(" · ", stdout);
        put_line(stdout, section);
    }
    fputs("\n   ", stdout);
    put_line(stdout, utf8_cut(text, 400));
    fputs(text.n > 400 ? "…\n   (document " : "\n   (document ", stdout);
    put_line(stdout, json_str(h, "document_id"));
    printf(", bytes %lld–%lld)\n", (long long)json_int(h, "start", 0), (long long)json_int(h, "end", 0));
}

int
cmd_search(struct cli *c)
{
    struct buf query = { 0 }, body = { 0 };
    struct call k;
    size_t i;
    json_t *v, *h;

    join_args(c, &query);
    buf_c(&body, '{');
    buf_key_str(&body, "query", buf_slice(&query));
    if (c->opt[CLI_COLLECTION])
        buf_key_str(&body, "collection", str_of(c->opt[CLI_COLLECTION]));
    if (c->opt[CLI_TOP_K])
        buf_key_int(&body, "top_k", strtol(c->opt[CLI_TOP_K], NULL, 10));
    buf_c(&body, '}');
    call_init(&k, c, "POST", "/api/v1/search", buf_slice(&body), NULL);
    v = call_json(&k, c);
    if (v && !c->opt[CLI_JSON]) {
        json_array_foreach((json_t *)(uintptr_t)json_items(v, "results"), i, h)
            put_hit(i + 1, h);
        if (json_array_size(json_items(v, "results")) == 0)
            puts("Nothing found.");
    }
    i = v ? 0 : 1;
    json_decref(v);
    call_fini(&k);
    buf_free(&query);
    buf_free(&body);
    return (int)i;
}

/* ---- lists in pages --------------------------------------------------------------------------------------------- */

bool
each_item(struct cli *c, const char *path, const char *session, bool (*fn)(void *arg, const json_t *item), void *arg)
{
    bool more = true, ok = true;

    for (int page = 1; more && ok; page++) {
        struct buf url = { 0 };
        struct call k;
        size_t i;
        json_t *v, *item;

        buf_printf(&url, "%s%cpage=%d&limit=200", path, strchr(path, '?') ? '&' : '?', page);
        call_init(&k, c, "GET", url.p, STR_NONE, session);
        v = call_json(&k, c);
        ok = v != NULL;
        more = ok && json_flag(v, "has_more", false);
        json_array_foreach((json_t *)(uintptr_t)json_items(v, "items"), i, item)
            if (!fn(arg, item)) {
                more = false;
                break;
            }
        json_decref(v);
        call_fini(&k);
        buf_free(&url);
    }
    return ok;
}

static bool
put_message(void *arg, const json_t *m)
{
    const struct cli *c = arg;

    if (c->opt[CLI_JSON])
        return true;
    if (json_str(m, "selected_text").n > 0) {
        fputs("\n| ", stdout);
        put_line(stdout, json_str(m, "selected_text"));
    }
    fputs(str_is(json_str(m, "role"), "user") ? "\n> " : "\n", stdout);
    put_text(stdout, json_str(m, "content"));
    fputs("\n", stdout);
    put_sources(json_items(m, "sources"));
    return true;
}

int
cmd_history(struct cli *c)
{
    if (!c->opt[CLI_SESSION]) {
        say("which session? footnote history --session UUID");
        return 2;
    }
    return each_item(c, "/api/v1/chat/history", c->opt[CLI_SESSION], put_message, c) ? 0 : 1;
}

void
documents_path(const struct cli *c, struct buf *out)
{
    buf_z(out, "/api/v1/documents");
    if (c->opt[CLI_COLLECTION]) {
        buf_z(out, "?collection=");
        url_escape(out, str_of(c->opt[CLI_COLLECTION]));
    }
}

static bool
put_document(void *arg, const json_t *d)
{
    const struct cli *c = arg;
    struct str status = json_str(d, "status");

    if (c->opt[CLI_JSON])
        return true;
    printf("%-10.*s %6lld %10lld  ", STR_ARG(status), (long long)json_int(d, "chunks", 0),
           (long long)json_int(d, "bytes", 0));
    put_line(stdout, json_str(d, "document_id"));
    fputs("  ", stdout);
    put_line(stdout, json_str(d, "external_id"));
    fputs("  ", stdout);
    put_line(stdout, json_str(d, "title"));
    if (str_is(status, "failed")) {
        fputs("  failed: ", stdout);
        put_line(stdout, json_str(d, "error"));
    }
    fputc('\n', stdout);
    return true;
}

int
cmd_documents(struct cli *c)
{
    struct buf path = { 0 };
    bool ok;

    documents_path(c, &path);
    if (!c->opt[CLI_JSON])
        printf("%-10s %6s %10s  %-36s  %s\n", "state", "chunks", "bytes", "document id", "your id, title");
    ok = each_item(c, path.p, NULL, put_document, c);
    buf_free(&path);
    return ok ? 0 : 1;
}

/* ---- delete ---------------------------------------------------------------------------------------------------- */

struct wanted {
    const char *own_id;  /* the client's id that is looked for */
    char id[37];         /* the document's, when it was found */
    size_t found;
};

static bool
match_document(void *arg, const json_t *d)
{
    struct wanted *w = arg;
    struct str id = json_str(d, "document_id");

    if (str_is(json_str(d, "external_id"), w->own_id) && id.n == 36) {
        memcpy(w->id, id.p, 36);
        w->found++;
    }
    return w->found < 2;
}

/* Turn the argument into a document's UUID: an id of one's own may hold '/', which no path segment can. */
static bool
find_document(struct cli *c, struct wanted *w)
{
    struct uuid id;
    struct buf path = { 0 };
    bool ok;

    if (uuid_parse(str_of(w->own_id), &id)) {
        uuid_text(&id, w->id);
        return true;
    }
    documents_path(c, &path);
    ok = each_item(c, path.p, NULL, match_document, w);
    buf_free(&path);
    if (ok && w->found == 0)
        say("there is no document with the id %s; `footnote documents` lists them", w->own_id);
    if (w->found > 1)
        say("several collections have a document %s: say which with --collection", w->own_id);
    return ok && w->found == 1;
}

int
cmd_delete(struct cli *c)
{
    struct wanted w = { .own_id = c->args[0] };
    char path[64];
    struct call k;
    bool ok;

    if (!find_document(c, &w))
        return 1;
    snprintf(path, sizeof path, "/api/v1/documents/%s", w.id);
    call_init(&k, c, "DELETE", path, STR_NONE, NULL);
    ok = call_run(&k, c);
    if (ok)
        printf("deleted %s\n", w.own_id);
    call_fini(&k);
    return ok ? 0 : 1;
}

/* ---- health ---------------------------------------------------------------------------------------------------- */

static void
put_member(const char *key, const json_t *v)
{
    struct str state = json_is_object(v) ? json_str(v, "status") : STR_NONE;

    if (json_is_string(v))
        state = (struct str){ json_string_value(v), json_string_length(v) };
    if (!state.p)
        return;
    fputs("  ", stdout);
    put_line(stdout, str_of(key));
    fputs(": ", stdout);
    put_line(stdout, state);
    fputc('\n', stdout);
}

int
cmd_health(struct cli *c)
{
    enum json_fault fault;
    const char *detail, *key;
    struct call k;
    json_t *v, *member;
    int rc = 1;

    call_init(&k, c, "GET", "/api/v1/health", STR_NONE, NULL);
    if (curl_easy_perform(k.easy) == CURLE_OK && (v = json_read(buf_slice(&k.body), &fault, &detail)) != NULL) {
        struct str status = json_str(v, "status");

        if (c->opt[CLI_JSON])
            printf(STR_FMT "\n", STR_ARG(buf_slice(&k.body)));
        else
            printf("%s: " STR_FMT ", version " STR_FMT "\n", c->url, STR_ARG(status), STR_ARG(json_str(v, "version")));
        if (!c->opt[CLI_JSON])
            json_object_foreach(json_object_get(v, "services"), key, member)
                put_member(key, member);
        rc = str_is(status, "ok") || str_is(status, "degraded") ? 0 : 1;
        json_decref(v);
    } else {
        say("no gateway answers at %s: is it running? `make status` shows it; --url names another one", c->url);
    }
    call_fini(&k);
    return rc;
}
