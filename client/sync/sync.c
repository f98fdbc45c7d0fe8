/* footnote sync: a collection that follows a site (its sitemap) or a folder. See sync.h. Each step is
 * noted at once, so that a run that was cut goes on where it was; the one after a whole run asks only for
 * what may have changed. */
#include "client/sync/sync.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/text/number.h"
#include "common/text/text.h"
#include "client/files/exclude.h"
#include "client/tally.h"
#include "proto/format.h"

#define PAGE_MAX ((size_t)32 << 20)
#define JOB_MIN_MS 250
#define JOB_MAX_MS 5000
#define LATE_MAX 3 /* pages in a row that did not get searchable in time: then none will */

enum { BUSY = 3 }; /* exit code: another run is at it */

enum page {
    PAGE_SAME,
    PAGE_ADDED,
    PAGE_CHANGED,
    PAGE_GONE,
    PAGE_MISSING,  /* listed, and not there */
    PAGE_EXCLUDED, /* listed, and not to be indexed */
    PAGE_FAILED,
    OUTCOMES
};

struct sync {
    struct cli *cli;
    struct plan plan;
    struct state state;
    size_t n[OUTCOMES];
    struct tally tally;
    int64_t start_ms, shown_ms, wait_ms;
    size_t done, late;
    bool dry, stop; /* stop: nothing more can work; it was said why */
};

static void
show(struct sync *s, bool last)
{
    bool tty = isatty(STDERR_FILENO);
    size_t tenth = s->plan.pages.n / 10 + 1;

    if (s->dry || (tty ? !last && clock_ms() - s->shown_ms < 100 : !last && s->done % tenth != 0))
        return;
    s->shown_ms = clock_ms();
    fprintf(stderr, "%s%zu/%zu pages, %zu new, %zu changed, %zu failed%s", tty ? "\r\x1B[K" : "", s->done,
            s->plan.pages.n, s->n[PAGE_ADDED], s->n[PAGE_CHANGED], s->n[PAGE_FAILED],
            !tty || last ? "\n" : "");
    fflush(stderr);
}

/* ---- one page to the gateway */

/* The name of a page as a file: the last part of its path, else its host; never empty. */
static struct str
file_name(const char *url)
{
    size_t end = strcspn(url, "?"), from;

    while (end > 0 && url[end - 1] == '/')
        end--;
    for (from = end; from > 0 && url[from - 1] != '/';)
        from--;
    return (struct str){ url + from, end - from };
}

static void
put_path(const struct sync *s, const struct known *k, enum format format, struct buf *path)
{
    struct buf url = { 0 };

    buf_printf(&url, "%s%s", k->url, format == FORMAT_HTML ? "#{ids}" : "");
    buf_z(path, "/api/v1/documents?wait=1");
    url_param(path, "id", str_of(k->url));
    url_param(path, "url", buf_slice(&url));
    url_param(path, "collection", str_of(s->cli->opt[CLI_COLLECTION]));
    if (formats[format].bytes && formats[format].named)
        /* JSON without a name would be a record: its site would choose the document and its collection */
        url_param(path, "filename", file_name(k->url));
    buf_free(&url);
}

/* A call to the gateway, with patience; where none helps, the run is stopped. A failure is in why. */
static bool
call(struct sync *s, const char *method, const char *path, struct str body, const char *type, struct fetch *k,
     struct buf *why)
{
    return fetch_patiently(k, s->cli, method, path, body, type, why, &s->stop);
}

/* Wait for the end of what the gateway has only begun. False: it failed, or does not end in time; why says it. */
static bool
job_ends(struct sync *s, const struct fetch *sent, const json_t *reply, struct buf *why)
{
    int64_t end_ms = clock_ms() + s->wait_ms, pause_ms = JOB_MIN_MS;
    enum job is = JOB_RUNS;
    char path[64];

    if (!job_path(sent, reply, path)) {
        buf_z(why, "the gateway's reply names no job");
        return false;
    }
    while ((is = job_look(s->cli, path, NULL, why, &s->stop)) == JOB_RUNS && clock_ms() < end_ms) {
        fetch_nap(pause_ms < end_ms - clock_ms() ? pause_ms : end_ms - clock_ms());
        pause_ms = 2 * pause_ms < JOB_MAX_MS ? 2 * pause_ms : JOB_MAX_MS;
    }
    s->late = is == JOB_RUNS ? s->late + 1 : 0;
    if (is == JOB_RUNS)
        buf_printf(why, "it was sent, and is not searchable after %lld s: the next run looks again",
                   (long long)(s->wait_ms / 1000));
    if (s->late == LATE_MAX) {
        say("nothing gets ready: do retriever and embedder run? make status");
        s->stop = true;
    }
    return is == JOB_DONE;
}

static bool
upload(struct sync *s, struct known *k, const struct visit *v, struct buf *why)
{
    enum format format = format_of_type(str_of(v->type));
    struct buf path = { 0 };
    struct fetch f = { 0 };
    json_t *reply;
    bool ok;

    if (format == FORMAT_NONE) {
        buf_printf(why, "its type \"%.60s\" is none that is read", v->type);
        return false;
    }
    put_path(s, k, format, &path);
    ok = state_doubt(&s->state, k) &&
         call(s, "POST", path.p, buf_slice(&v->body), formats[format].type, &f, why);
    reply = ok ? fetch_reply(&f) : NULL;
    if (json_str(reply, "document_id").n == 36)
        memcpy(k->document, json_str(reply, "document_id").p, 36);
    if (ok && f.status == 202 && !job_ends(s, &f, reply, why)) {
        (void)state_doubt(&s->state, k); /* it has a document, whatever becomes of it */
        ok = false;
    }
    json_decref(reply);
    fetch_fini(&f);
    buf_free(&path);
    return ok;
}

static bool
remove_document(struct sync *s, struct known *k)
{
    struct buf why = { 0 };
    char path[64];
    struct fetch f = { 0 };
    bool ok = true;

    if (k->document[0]) {
        snprintf(path, sizeof path, "/api/v1/documents/%s", k->document);
        ok = call(s, "DELETE", path, STR_NONE, NULL, &f, &why) || f.status == 404;
        fetch_fini(&f);
    }
    if (!ok)
        tally_fail(&s->tally, k->url, why.p);
    buf_free(&why);
    return ok && state_forget(&s->state, k);
}

/* ---- one page */

static void
remember(struct known *k, const struct visit *v, const char *lastmod, const char *sha)
{
    mem_free(&k->lastmod);
    k->lastmod = mem_dup(lastmod);
    if (v->status == 200 || *v->etag) {
        mem_free(&k->etag);
        k->etag = mem_dup(v->etag);
    }
    if (v->status == 200 || *v->modified) {
        mem_free(&k->modified);
        k->modified = mem_dup(v->modified);
    }
    if (sha)
        memcpy(k->sha256, sha, sizeof k->sha256);
}

/* A page that came. */
static enum page
on_page(struct sync *s, struct known *k, const struct visit *v, const char *lastmod)
{
    struct str body = buf_slice(&v->body);
    bool known = state_has(k);
    struct buf why = { 0 };
    uint8_t digest[32];
    char sha[65];

    sha256(&body, 1, digest);
    hex_text(digest, sizeof digest, sha);
    if (strcmp(sha, k->sha256) != 0) {
        if (!upload(s, k, v, &why)) {
            tally_fail(&s->tally, k->url, why.p ? why.p : "it could not be stored");
            buf_free(&why);
            return PAGE_FAILED;
        }
        remember(k, v, lastmod, sha);
        return state_note(&s->state, k) ? (known ? PAGE_CHANGED : PAGE_ADDED) : PAGE_FAILED;
    }
    remember(k, v, lastmod, sha);
    return state_note(&s->state, k) ? PAGE_SAME : PAGE_FAILED;
}

/* A page that is no document, or not one any more. */
static enum page
on_gone(struct sync *s, struct known *k, enum page as, const char *why)
{
    if (!state_has(k)) {
        say("listed in the sitemap, and %s: %s", why, k->url);
        return as;
    }
    return remove_document(s, k) ? PAGE_GONE : PAGE_FAILED;
}

/* Why it is not to be indexed, in its own words; NULL: it is. */
static const char *
excluded(const struct visit *v)
{
    size_t n = v->body.n < EXCLUDE_HEAD ? v->body.n : EXCLUDE_HEAD;

    if (exclude_tag(v->robots))
        return "its X-Robots-Tag says noindex";
    return format_of_type(str_of(v->type)) == FORMAT_HTML ? exclude_page((struct str){ v->body.p, n }) : NULL;
}

static enum page
visit_page(struct sync *s, struct known *k, const char *lastmod)
{
    bool known = k->sha256[0] != 0;
    enum page out = PAGE_FAILED;
    struct visit v = { 0 };
    const char *why;
    char text[32];

    if (!host_get(&s->plan.host, k->url, known ? k->etag : "", known ? k->modified : "", PAGE_MAX, &v)) {
        tally_fail(&s->tally, k->url, v.error[0] ? v.error : "no answer");
    } else if (v.status == 304 && known) {
        remember(k, &v, lastmod, NULL);
        out = state_note(&s->state, k) ? PAGE_SAME : PAGE_FAILED;
    } else if (v.status == 200 && (why = excluded(&v)) != NULL) {
        out = on_gone(s, k, PAGE_EXCLUDED, why);
    } else if (v.status == 200) {
        out = on_page(s, k, &v, lastmod);
    } else if (v.status == 404 || v.status == 410) {
        out = on_gone(s, k, PAGE_MISSING, "not there");
    } else {
        snprintf(text, sizeof text, "HTTP %ld", v.status);
        tally_fail(&s->tally, k->url, text);
    }
    visit_fini(&v);
    return out;
}

/* Did nothing change, as far as can be told without asking? */
static bool
is_settled(const struct known *k, const char *lastmod)
{
    return k->done || (k->sha256[0] && *lastmod && strcmp(k->lastmod, lastmod) == 0);
}

static void
dry_page(struct sync *s, const struct known *k, const char *lastmod)
{
    enum page o = state_has(k) ? PAGE_CHANGED : PAGE_ADDED;

    if (is_settled(k, lastmod)) {
        s->n[PAGE_SAME]++;
        return;
    }
    s->n[o]++;
    tally_item(&s->tally, o == PAGE_ADDED ? "new" : *lastmod ? "changed" : "to ask for", k->url);
}

static void
sync_pages(struct sync *s)
{
    for (size_t i = 0; i < s->plan.pages.n && !s->stop; i++) {
        const struct listed *l = &s->plan.pages.v[i];
        struct known *k = state_find(&s->state, l->url);

        if (s->dry)
            dry_page(s, k, l->lastmod);
        else
            s->n[is_settled(k, l->lastmod) ? PAGE_SAME : visit_page(s, k, l->lastmod)]++;
        s->done++;
        show(s, false);
    }
    show(s, true);
}

/* Pages that the sitemap lists no longer. */
static void
sync_gone(struct sync *s)
{
    for (size_t i = 0; i < s->state.n && !s->stop; i++) {
        struct known *k = &s->state.v[i];

        if (k->seen || !state_has(k))
            continue;
        if (s->dry) {
            tally_item(&s->tally, "gone", k->url);
            s->n[PAGE_GONE]++;
        } else {
            s->n[remove_document(s, k) ? PAGE_GONE : PAGE_FAILED]++;
        }
    }
}

static void
tell(const struct sync *s)
{
    printf("%s%zu pages: %zu new, %zu changed, %zu unchanged, %zu gone, %zu failed",
           s->dry ? "would be: " : "", s->plan.pages.n, s->n[PAGE_ADDED], s->n[PAGE_CHANGED], s->n[PAGE_SAME],
           s->n[PAGE_GONE], s->n[PAGE_FAILED]);
    if (s->n[PAGE_MISSING] > 0)
        printf(", %zu not there", s->n[PAGE_MISSING]);
    if (s->n[PAGE_EXCLUDED] > 0)
        printf(", %zu not to be indexed", s->n[PAGE_EXCLUDED]);
    printf(" (%zu requests, %lld s)\n", s->plan.host.calls, (long long)((clock_ms() - s->start_ms) / 1000));
}

static void
tell_json(const struct sync *s)
{
    static const char *const names[OUTCOMES] = {
        [PAGE_SAME] = "unchanged",   [PAGE_ADDED] = "new",         [PAGE_CHANGED] = "changed",
        [PAGE_GONE] = "gone",        [PAGE_MISSING] = "not_there", [PAGE_FAILED] = "failed",
        [PAGE_EXCLUDED] = "excluded"
    };
    struct buf object = { 0 };

    buf_c(&object, '{');
    buf_key_int(&object, "pages", (int64_t)s->plan.pages.n);
    for (size_t i = 0; i < OUTCOMES; i++)
        buf_key_int(&object, names[i], (int64_t)s->n[i]);
    buf_key_int(&object, "requests", (int64_t)s->plan.host.calls);
    buf_key_int(&object, "ms", clock_ms() - s->start_ms);
    buf_key_bool(&object, "dry_run", s->dry);
    buf_key_bool(&object, "stopped", s->stop);
    tally_put(&s->tally, s->dry, &object);
    object_print(&object);
}

static int
report(struct sync *s)
{
    tally_say(&s->tally, "failed:");
    if (s->tally.json)
        tell_json(s);
    else
        tell(s);
    if (s->stop)
        say("the run was stopped: it goes on where it was when it is called again");
    return s->n[PAGE_FAILED] > 0 || s->stop ? 1 : 0;
}

/* ---- the command */

static void
state_path(const struct sync *s, struct str header, struct buf *out)
{
    const char *given = s->cli->opt[CLI_STATE], *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    uint8_t digest[32];
    char hex[65];

    if (given) {
        buf_z(out, given);
        return;
    }
    sha256(&header, 1, digest);
    hex_text(digest, 8, hex);
    if (xdg && xdg[0] == '/')
        buf_printf(out, "%s/footnote/sync-%s.jsonl", xdg, hex);
    else
        buf_printf(out, "%s/.local/state/footnote/sync-%s.jsonl", home ? home : "", hex);
}

static int
run_site(struct sync *s)
{
    const char *url = s->cli->args[0];
    struct buf header = { 0 }, path = { 0 };
    bool busy = false, ok;
    int rc = 1;

    buf_z(&header, "{\"footnote_sync\":1");
    buf_key_str(&header, "site", str_of(url));
    buf_key_str(&header, "gateway", str_of(s->cli->url));
    buf_key_str(&header, "collection", str_of(s->cli->opt[CLI_COLLECTION]));
    buf_c(&header, '}');
    state_path(s, buf_slice(&header), &path);
    ok = state_open(&s->state, path.p, buf_slice(&header), &busy);
    if (!ok) {
        rc = busy ? BUSY : 1;
    } else if (plan_read(&s->plan, url, &s->state) && (s->dry || state_begin(&s->state))) {
        if (s->state.resumed && !s->dry)
            say("the run before was cut: this one goes on");
        sync_pages(s);
        sync_gone(s);
        rc = report(s);
        if (!s->dry && !s->stop && !state_end(&s->state))
            rc = 1;
    }
    buf_free(&header);
    buf_free(&path);
    state_fini(&s->state);
    return rc;
}

static bool
rate_of(const struct cli *c, int64_t *every_ms)
{
    char *end;
    double rate = strtod(c->opt[CLI_RATE], &end);

    if (*end || !(rate >= 0.01 && rate <= 1000)) {
        say("--rate is requests a second, from 0.01 to 1000, not \"%s\"", c->opt[CLI_RATE]);
        return false;
    }
    *every_ms = (int64_t)(1000 / rate);
    return true;
}

static bool
wait_of(const struct cli *c, int64_t *wait_ms)
{
    int64_t seconds;

    if (!number_parse(str_of(c->opt[CLI_WAIT]), 0, 86400, &seconds)) {
        say("--wait is a number of seconds, at most 86400, not \"%s\"", c->opt[CLI_WAIT]);
        return false;
    }
    *wait_ms = seconds * 1000;
    return true;
}

static bool
has_only_folder_options(const struct cli *c)
{
    if (!c->opt[CLI_BASE_URL] && !c->opt[CLI_SITE] && strcmp(c->opt[CLI_ROUTES], "plain") == 0 &&
        !c->opt[CLI_DELETE_MISSING])
        return true;
    say("--base-url, --routes and --delete-missing are for folders: a site's pages have their addresses, and gone ones go");
    return false;
}

int
cmd_sync(struct cli *c)
{
    struct sync s = { .cli = c,
                      .start_ms = clock_ms(),
                      .dry = c->opt[CLI_DRY_RUN] != NULL,
                      .tally.json = c->opt[CLI_JSON] != NULL };
    int rc = 2;

    if (!c->opt[CLI_COLLECTION])
        c->opt[CLI_COLLECTION] = "docs";
    if (!strstr(c->args[0], "://"))
        return sync_folder(c);
    if (has_only_folder_options(c) && wait_of(c, &s.wait_ms) && rate_of(c, &s.plan.host.every_ms)) {
        int64_t every_ms = s.plan.host.every_ms;

        if (host_of(&s.plan.host, c->args[0])) {
            s.plan.host.every_ms = every_ms;
            rc = run_site(&s);
        }
    }
    plan_fini(&s.plan);
    tally_fini(&s.tally);
    return rc;
}
