/* The commands that ask for something and print what came: search, history, documents, delete, health. */
#include "common/text/text.h"
#include "client/tally.h"

/* ---- search */

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
    if (json_int(h, "page", 0) > 0)
        printf(" · page %lld", (long long)json_int(h, "page", 0));
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
    struct fetch k;
    size_t i;
    json_t *v, *h;

    join_args(c, &query);
    buf_c(&body, '{');
    buf_key_str(&body, "query", buf_slice(&query));
    if (c->opt[CLI_COLLECTION])
        buf_key_str(&body, "collection", str_of(c->opt[CLI_COLLECTION]));
    if (c->opt[CLI_TOP_K])
        buf_key_int(&body, "top_k", c->top_k);
    buf_c(&body, '}');
    fetch_init(&k, c, "POST", "/api/v1/search", buf_slice(&body), NULL);
    v = fetch_json(&k, c);
    if (v && !c->opt[CLI_JSON]) {
        json_array_foreach ((json_t *)(uintptr_t)json_items(v, "results"), i, h)
            put_hit(i + 1, h);
        if (json_array_size(json_items(v, "results")) == 0)
            puts("Nothing found.");
    }
    i = v ? 0 : 1;
    json_decref(v);
    fetch_fini(&k);
    buf_free(&query);
    buf_free(&body);
    return (int)i;
}

/* ---- lists in pages: each goes on behind the one before. By number, rows would be missed where a page was too large for a reply and was cut. */

struct cli
cli_quiet(const struct cli *c)
{
    struct cli quiet = *c;

    quiet.opt[CLI_JSON] = NULL;
    return quiet;
}

bool
each_item(struct cli *c, const char *path, const char *session, bool (*fn)(void *arg, const json_t *item),
          void *arg)
{
    struct buf cursor = { 0 };
    bool more = true, ok = true;

    while (more && ok) {
        struct buf url = { 0 };
        struct fetch k;
        size_t i;
        json_t *v, *item;

        buf_z(&url, path);
        url_param(&url, "limit", STR("200"));
        if (cursor.n > 0)
            url_param(&url, "cursor", buf_slice(&cursor));
        fetch_init(&k, c, "GET", url.p, STR_NONE, session);
        v = fetch_json(&k, c);
        ok = v != NULL;
        more = ok && json_flag(v, "has_more", false) && json_str(v, "next_cursor").n > 0;
        buf_reset(&cursor);
        buf_str(&cursor, json_str(v, "next_cursor"));
        json_array_foreach ((json_t *)(uintptr_t)json_items(v, "items"), i, item)
            if (!fn(arg, item)) {
                more = false;
                break;
            }
        json_decref(v);
        fetch_fini(&k);
        buf_free(&url);
    }
    buf_free(&cursor);
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
    put_sources(c, json_items(m, "sources"));
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
    if (c->opt[CLI_COLLECTION])
        url_param(out, "collection", str_of(c->opt[CLI_COLLECTION]));
}

struct listed_documents {
    const struct cli *cli;
    size_t n;
};

static bool
put_document(void *arg, const json_t *d)
{
    struct listed_documents *list = arg;
    struct str status = json_str(d, "status");

    if (list->cli->opt[CLI_JSON])
        return true;
    if (list->n++ == 0)
        printf("%-10s %6s %10s  %-36s  %s\n", "state", "chunks", "bytes", "document id", "your id, title");
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
    struct listed_documents list = { .cli = c };
    struct buf path = { 0 };
    bool ok;

    documents_path(c, &path);
    ok = each_item(c, path.p, NULL, put_document, &list);
    if (ok && list.n == 0 && !c->opt[CLI_JSON])
        puts("No documents: `footnote ingest` and `footnote sync` add some.");
    buf_free(&path);
    return ok ? 0 : 1;
}

/* ---- delete */

struct wanted {
    const char *own_id; /* the client's id that is looked for */
    char id[37];        /* the document's, when it was found */
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
    struct cli quiet = cli_quiet(c);
    struct buf object = { 0 };
    char path[64];
    struct fetch k;
    bool ok;

    if (!find_document(&quiet, &w))
        return 1;
    snprintf(path, sizeof path, "/api/v1/documents/%s", w.id);
    fetch_init(&k, c, "DELETE", path, STR_NONE, NULL);
    ok = fetch_run(&k, c);
    if (ok && c->opt[CLI_JSON]) {
        buf_c(&object, '{');
        buf_key_str(&object, "document_id", str_of(w.id));
        buf_key_bool(&object, "deleted", true);
        object_print(&object);
    } else if (ok) {
        fputs("deleted ", stdout);
        put_line(stdout, str_of(w.own_id));
        putchar('\n');
    }
    fetch_fini(&k);
    return ok ? 0 : 1;
}

/* ---- health */

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

void
put_health(const struct cli *c, const json_t *health)
{
    printf("%s: ", c->url);
    put_line(stdout, json_str(health, "status"));
    fputs(", version ", stdout);
    put_line(stdout, json_str(health, "version"));
    putchar('\n');
}

int
cmd_health(struct cli *c)
{
    const char *key;
    struct fetch k;
    json_t *v, *member;
    int rc = 1;

    fetch_init(&k, c, "GET", "/api/v1/health", STR_NONE, NULL);
    if (curl_easy_perform(k.easy) == CURLE_OK && (v = fetch_reply(&k)) != NULL) {
        struct str status = json_str(v, "status");

        if (c->opt[CLI_JSON])
            printf(STR_FMT "\n", STR_ARG(buf_slice(&k.body)));
        else
            put_health(c, v);
        if (!c->opt[CLI_JSON])
            json_object_foreach (json_object_get(v, "services"), key, member)
                put_member(key, member);
        rc = str_is(status, "ok") || str_is(status, "degraded") ? 0 : 1;
        json_decref(v);
    } else {
        say("no gateway answers at %s: is it running? `make status` shows it; --url names another one",
            c->url);
    }
    fetch_fini(&k);
    return rc;
}
