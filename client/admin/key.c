/* footnote keys: the tenant's keys; one more, which is shown once; one in the place of another; other limits; one less. A
 * key is named by its id or by so much of its beginning as no other key has. */
#include "client/admin/admin.h"

#include <time.h>

#include "common/clock.h"
#include "common/text/number.h"

#define ID_SHOWN 12
#define ID_LEAST 6

int64_t
admin_time_ms(struct str s)
{
    struct tm tm = { 0 };
    char z[40];

    if (s.n == 0 || s.n >= sizeof z)
        return -1;
    memcpy(z, s.p, s.n);
    z[s.n] = 0;
    return strptime(z, "%Y-%m-%dT%H:%M:%S", &tm) ? (int64_t)timegm(&tm) * 1000 : -1;
}

/* ---- list */

static void
cell_strs(struct grid *g, const json_t *v, const char *none)
{
    struct buf b = { 0 };
    size_t i;
    json_t *s;

    json_array_foreach ((json_t *)(uintptr_t)v, i, s)
        buf_printf(&b, "%s%s", i > 0 ? " " : "", json_string_value(s) ? json_string_value(s) : "");
    grid_cell(g, b.n > 0 ? buf_slice(&b) : str_of(none));
    buf_free(&b);
}

/* "2026-12-31", in how many days that is when it is soon, and whether another one is there for it. */
static void
cell_end(struct grid *g, struct str at, bool replaced)
{
    int64_t left_ms = admin_time_ms(at) - clock_wall_ms();
    struct buf b = { 0 };

    if (at.n == 0) {
        grid_cell(g, STR("never"));
        return;
    }
    buf_str(&b, (struct str){ at.p, at.n < 10 ? at.n : 10 });
    if (left_ms < 0)
        buf_z(&b, " (over)");
    else if (left_ms < KEY_SOON_MS)
        buf_printf(&b, " (in %lld days%s)", (long long)(left_ms / CLOCK_DAY_MS),
                   replaced ? ", replaced" : "");
    grid_cell(g, buf_slice(&b));
    buf_free(&b);
}

/* "1200 of 5000" of today's tokens, "$0.02 of $1", or both; nothing without a budget. */
static void
cell_budget(struct grid *g, const json_t *k)
{
    int64_t tokens = json_int(k, "tokens_per_day", 0);
    double dollars = json_num(k, "dollars_per_day", 0);
    struct buf b = { 0 };

    if (tokens > 0)
        buf_printf(&b, "%lld of %lld", (long long)json_int(k, "tokens_today", 0), (long long)tokens);
    if (dollars > 0)
        buf_printf(&b, "%s$%.4g of $%.4g", b.n > 0 ? ", " : "", json_num(k, "dollars_today", 0), dollars);
    grid_cell(g, b.n > 0 ? buf_slice(&b) : STR("-"));
    buf_free(&b);
}

static bool
add_key(void *arg, const json_t *k)
{
    struct str id = json_str(k, "id");
    struct grid *g = arg;

    grid_cell(g, (struct str){ id.p, id.n < ID_SHOWN ? id.n : ID_SHOWN });
    cell_strs(g, json_items(k, "scopes"), "-");
    cell_strs(g, json_items(k, "collections"), "all");
    grid_cell(g, json_str(k, "tenant"));
    cell_end(g, json_str(k, "expires_at"), json_str(k, "replaced_by").n > 0);
    grid_cell(g, json_str(k, "last_used_on").n > 0 ? json_str(k, "last_used_on") : STR("never"));
    cell_budget(g, k);
    cell_strs(g, json_items(k, "origins"), "-");
    grid_cell(g, json_str(k, "label"));
    return true;
}

static void
keys_path(const struct cli *c, struct buf *out)
{
    buf_z(out, "/api/v1/keys");
    if (c->opt[CLI_TENANT])
        url_param(out, "tenant", str_of(c->opt[CLI_TENANT]));
}

static int
list_keys(struct cli *c)
{
    static const char *const heads[] = { "ID",   "SCOPES", "COLLECTIONS", "TENANT", "ENDS",
                                         "USED", "TODAY",  "ORIGINS",     "LABEL" };
    struct grid g;
    struct buf path = { 0 };
    bool ok;

    grid_init(&g, heads, sizeof heads / sizeof *heads);
    keys_path(c, &path);
    ok = each_item(c, path.p, NULL, add_key, &g);
    if (ok && !c->opt[CLI_JSON])
        grid_print(&g);
    grid_free(&g);
    buf_free(&path);
    return ok ? 0 : 1;
}

/* ---- create */

/* "a,b" as an array of texts; nothing when it was not given. */
static void
add_list(struct buf *b, const char *key, const char *list)
{
    if (!list)
        return;
    buf_key(b, key);
    buf_c(b, '[');
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ", ");

        if (n > 0) {
            if (b->p[b->n - 1] != '[')
                buf_c(b, ',');
            buf_json(b, (struct str){ p, n });
        }
        p += n + strspn(p + n, ", ");
    }
    buf_c(b, ']');
}

/* False after saying that it is no number. */
static bool
add_number(struct buf *b, const char *key, const char *flag, const char *text, int64_t least)
{
    int64_t n;

    if (!text)
        return true;
    if (!number_parse(str_of(text), least, 1000000000000, &n)) {
        say("--%s must be a number from %lld on, not \"%s\"", flag, (long long)least, text);
        return false;
    }
    buf_key_int(b, key, n);
    return true;
}

/* "0.25" as a number; 0 stands for null where none is a wish, too. */
static bool
add_dollars(struct buf *b, const char *text, bool none)
{
    char *end;
    double v = text ? strtod(text, &end) : 0;

    if (!text)
        return true;
    if (*end || end == text || !(v >= 0) || v > 1000000 || (v <= 0 && !none)) {
        say("--dollars-per-day must be a number, such as 2.50, not \"%s\"", text);
        return false;
    }
    buf_key(b, "dollars_per_day");
    if (v > 0)
        buf_printf(b, "%.9f", v);
    else
        buf_z(b, "null");
    return true;
}

/* least 0: a limit of 0 is none, null. */
static bool
add_limits(const struct cli *c, struct buf *b, int64_t least)
{
    const struct {
        const char *key, *flag, *text;
    } limits[] = {
        { "per_minute", "per-minute", c->opt[CLI_PER_MINUTE] },
        { "per_hour", "per-hour", c->opt[CLI_PER_HOUR] },
        { "per_day", "per-day", c->opt[CLI_PER_DAY] },
        { "tokens_per_day", "tokens-per-day", c->opt[CLI_TOKENS_DAY] },
    };

    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (limits[i].text && least == 0 && strcmp(limits[i].text, "0") == 0)
            buf_key_str(b, limits[i].key, STR_NONE); /* null */
        else if (!add_number(b, limits[i].key, limits[i].flag, limits[i].text, least))
            return false;
    }
    return add_dollars(b, c->opt[CLI_DOLLARS_DAY], least == 0);
}

static bool
key_body(const struct cli *c, struct buf *b)
{
    buf_c(b, '{');
    buf_key_str(b, "label", str_of(c->opt[CLI_LABEL] ? c->opt[CLI_LABEL] : "made by footnote keys"));
    add_list(b, "scopes", c->opt[CLI_SCOPES] ? c->opt[CLI_SCOPES] : "chat");
    add_list(b, "collections", c->opt[CLI_COLLECTION]);
    add_list(b, "origins", c->opt[CLI_ORIGINS]);
    if (c->opt[CLI_TENANT])
        buf_key_str(b, "tenant", str_of(c->opt[CLI_TENANT]));
    if (!add_number(b, "expires_days", "expires", c->opt[CLI_EXPIRES], 1) || !add_limits(c, b, 1))
        return false;
    buf_c(b, '}');
    return true;
}

/* The key alone goes to stdout, so that it can go into a file. */
static int
print_new(struct cli *c, const char *path, const struct buf *body)
{
    struct fetch k;
    json_t *v;

    fetch_init(&k, c, "POST", path, buf_slice(body), NULL);
    v = fetch_json(&k, c);
    if (v && !c->opt[CLI_JSON]) {
        put_line(stdout, json_str(v, "key"));
        putchar('\n');
        fflush(stdout);
        say("the key is shown this once; its id is %.*s", ID_SHOWN,
            json_str(v, "id").p ? json_str(v, "id").p : "");
        if (json_str(v, "replaces_until").n > 0)
            say("the old one ends at " STR_FMT, STR_ARG(json_str(v, "replaces_until")));
    }
    json_decref(v);
    fetch_fini(&k);
    return v ? 0 : 1;
}

static int
create_key(struct cli *c)
{
    struct buf body = { 0 };
    int rc = key_body(c, &body) ? print_new(c, "/api/v1/keys", &body) : 2;

    buf_free(&body);
    return rc;
}

/* ---- rotate, revoke */

struct named {
    struct str beginning;
    char id[65];
    size_t found;
};

static bool
match_key(void *arg, const json_t *k)
{
    struct named *w = arg;
    struct str id = json_str(k, "id");

    if (id.n == 64 && id.n >= w->beginning.n && memcmp(id.p, w->beginning.p, w->beginning.n) == 0) {
        memcpy(w->id, id.p, 64);
        w->found++;
    }
    return w->found < 2;
}

static bool
find_key(struct cli *c, struct named *w)
{
    struct cli quiet = cli_quiet(c);
    struct buf path = { 0 };
    bool ok;

    if (w->beginning.n == 64) {
        memcpy(w->id, w->beginning.p, 64);
        return true;
    }
    keys_path(c, &path);
    ok = each_item(&quiet, path.p, NULL, match_key, w);
    buf_free(&path);
    if (ok && w->found == 0)
        say("there is no key whose id begins with %s; `footnote keys list` lists them", w->beginning.p);
    if (w->found > 1)
        say("several keys have an id that begins with %s: name more of it", w->beginning.p);
    return ok && w->found == 1;
}

/* The whole id of the key that is named, and its path with that ending. 0, or how the command ends. */
static int
key_path(struct cli *c, const char *id, const char *ending, struct named *w, struct buf *path)
{
    *w = (struct named){ .beginning = str_of(id) };
    if (strspn(id, "0123456789abcdef") != w->beginning.n || w->beginning.n < ID_LEAST ||
        w->beginning.n > 64) {
        say("a key is named by its id, or by %d or more of its first characters; the key itself is no id",
            ID_LEAST);
        return 2;
    }
    if (!find_key(c, w))
        return 1;
    buf_printf(path, "/api/v1/keys/%s%s", w->id, ending);
    if (c->opt[CLI_TENANT])
        url_param(path, "tenant", str_of(c->opt[CLI_TENANT]));
    return 0;
}

static int
rotate_key(struct cli *c, const char *id)
{
    struct buf body = { 0 }, path = { 0 };
    struct named w;
    int rc = 2;

    buf_c(&body, '{');
    if (add_number(&body, "overlap_hours", "overlap", c->opt[CLI_OVERLAP], 0) &&
        add_number(&body, "expires_days", "expires", c->opt[CLI_EXPIRES], 1)) {
        buf_c(&body, '}');
        rc = key_path(c, id, "/rotate", &w, &path);
        if (rc == 0)
            rc = print_new(c, path.p, &body);
    }
    buf_free(&body);
    buf_free(&path);
    return rc;
}

static int
change_key(struct cli *c, const char *id)
{
    struct buf body = { 0 }, path = { 0 };
    struct named w;
    struct fetch k;
    int rc = 2;

    buf_c(&body, '{');
    if (c->opt[CLI_LABEL])
        buf_key_str(&body, "label", str_of(c->opt[CLI_LABEL]));
    if (add_limits(c, &body, 0)) {
        buf_c(&body, '}');
        rc = key_path(c, id, "", &w, &path);
    }
    if (rc == 0) {
        fetch_init(&k, c, "PATCH", path.p, buf_slice(&body), NULL);
        rc = fetch_run(&k, c) ? 0 : 1;
        if (rc == 0 && !c->opt[CLI_JSON])
            printf("changed %.*s\n", ID_SHOWN, w.id);
        fetch_fini(&k);
    }
    buf_free(&body);
    buf_free(&path);
    return rc;
}

static int
revoke_key(struct cli *c, const char *id)
{
    struct buf path = { 0 };
    struct named w;
    struct fetch k;
    bool ok;
    int rc = key_path(c, id, "", &w, &path);

    if (rc != 0) {
        buf_free(&path);
        return rc;
    }
    fetch_init(&k, c, "DELETE", path.p, STR_NONE, NULL);
    ok = fetch_run(&k, c);
    if (ok && c->opt[CLI_JSON])
        printf("{\"id\":\"%s\",\"revoked\":true}\n", w.id);
    else if (ok)
        printf("revoked %.*s\n", ID_SHOWN, w.id);
    fetch_fini(&k);
    buf_free(&path);
    return ok ? 0 : 1;
}

int
cmd_keys(struct cli *c)
{
    const char *verb = c->n_args > 0 ? c->args[0] : "list";

    if (strcmp(verb, "list") == 0 && c->n_args <= 1)
        return list_keys(c);
    if (strcmp(verb, "create") == 0 && c->n_args == 1)
        return create_key(c);
    if (strcmp(verb, "revoke") == 0 && c->n_args == 2)
        return revoke_key(c, c->args[1]);
    if (strcmp(verb, "rotate") == 0 && c->n_args == 2)
        return rotate_key(c, c->args[1]);
    if (strcmp(verb, "change") == 0 && c->n_args == 2)
        return change_key(c, c->args[1]);
    say("usage: footnote keys [list|create], or footnote keys change|rotate|revoke ID; `footnote keys` lists the ids");
    return 2;
}
