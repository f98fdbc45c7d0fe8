/* footnote ingest: files into the gateway, four at a time, each followed until it is searchable.
 *
 *   WAITING ──send──► SENDING ──202──► INDEXING ──ask──► ASKING ──job done──► DONE
 *      ▲  429, 503, connection lost │      ▲  still running │
 *      └────────────────────────────┘      └────────────────┘       anything else, or too many tries ──► FAILED
 *
 * One thread, one curl multi handle. At most 64 files are between WAITING and DONE, so that memory and questions stay
 * bounded; at most 4 are being sent (only these have their text in memory). The oldest job is asked about first, at a pace
 * that slows down while nothing gets ready: limits count these questions too. What the server says about when to come
 * back (Retry-After) holds for every call, because its limits are those of the key. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/text/text.h"
#include "client/client.h"

#define ACTIVE_MAX 64
#define SENDING_MAX 4
#define ASK_MIN_MS 50
#define ASK_MAX_MS 1000
#define TRIES_MAX 10
#define FILE_MAX ((int64_t)32 << 20)
#define SKIPPED_SHOWN 20
#define STUCK_MS 15000

enum file_state { FILE_WAITING, FILE_SENDING, FILE_INDEXING, FILE_ASKING, FILE_DONE, FILE_FAILED, FILE_STATES };

struct file {
    const struct found *found;
    enum file_state state;
    struct call call;         /* while SENDING or ASKING */
    struct buf body;          /* the request, while SENDING */
    char job[512];            /* path of its job */
    int tries;                /* that failed for a reason that may pass */
    int64_t chunks;           /* counted so far in the progress */
};

struct ingest {
    struct cli *cli;
    CURLM *multi;
    const struct found_list *list;
    size_t next;                       /* first of the list that is not yet active */
    struct file *active[ACTIVE_MAX];   /* oldest first */
    size_t n_active;
    size_t count[FILE_STATES];
    int64_t hold_until_ms;             /* no call before: the server asked for it, or is away */
    int64_t ask_at_ms, ask_every_ms;   /* pace of questions about jobs */
    int64_t moved_ms;                  /* when a file was last sent, got chunks or was done */
    bool reached;                      /* some call got an answer: the address is right */
    bool stop;                         /* nothing more can work; it was said why */
    struct buf reasons;                /* a line for each file that failed */
    struct progress progress;
};

static void
file_set(struct ingest *g, struct file *f, enum file_state to)
{
    static const unsigned legal[FILE_STATES] = {
        [FILE_WAITING] = 1U << FILE_SENDING | 1U << FILE_FAILED,
        [FILE_SENDING] = 1U << FILE_WAITING | 1U << FILE_INDEXING | 1U << FILE_FAILED,
        [FILE_INDEXING] = 1U << FILE_ASKING,
        [FILE_ASKING] = 1U << FILE_INDEXING | 1U << FILE_DONE | 1U << FILE_FAILED,
    };

    assert(legal[f->state] & 1U << to);
    g->count[f->state]--;
    g->count[to]++;
    f->state = to;
    g->progress.done += to == FILE_DONE || to == FILE_FAILED;
    g->progress.failed += to == FILE_FAILED;
    if (to == FILE_DONE || to == FILE_SENDING)
        g->moved_ms = clock_ms();
    if (to == FILE_DONE)
        g->progress.bytes += f->found->bytes;
}

static void
file_fail(struct ingest *g, struct file *f, const char *why)
{
    file_set(g, f, FILE_FAILED);
    buf_printf(&g->reasons, "%s: %s\n", f->found->path, why);
}

/* ---- sending --------------------------------------------------------------------------------------------------- */

/* The whole file into text. NULL, or why not. */
static const char *
read_file(const char *path, struct buf *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *block;
    ssize_t n = 0;

    if (fd < 0)
        return strerror(errno);
    text->max = (size_t)FILE_MAX;
    block = mem_new(65536);
    while (!text->failed && (n = read(fd, block, 65536)) > 0)
        buf_add(text, block, (size_t)n);
    mem_free(&block);
    close(fd);
    if (n < 0)
        return strerror(errno);
    if (text->failed)
        return "larger than 32 MB: split it";
    if (memchr(buf_slice(text).p, 0, text->n))
        return "it holds NUL bytes: is it text?";
    return utf8_valid(buf_slice(text)) ? NULL : "not UTF-8: convert it first, for example with iconv -t utf-8";
}

static const char *
content_type(const char *name)
{
    const char *end = strrchr(name, '.');

    return end && strcasecmp(end, ".txt") == 0 ? "text/plain" : end && strcasecmp(end, ".mdx") == 0 ? "text/mdx" : "text/markdown";
}

static void
add_link(const struct ingest *g, struct file *f, struct str text)
{
    struct buf url = { 0 };

    site_url(&url, g->cli, str_of(f->found->id), text);
    buf_key_str(&f->body, "url", buf_slice(&url));
    buf_free(&url);
}

static const char *
make_body(const struct ingest *g, struct file *f)
{
    struct buf text = { 0 };
    const char *why = read_file(f->found->path, &text);
    struct buf *b = &f->body;

    if (!why) {
        buf_c(b, '{');
        buf_key_str(b, "id", str_of(f->found->id));
        if (g->cli->opt[CLI_COLLECTION])
            buf_key_str(b, "collection", str_of(g->cli->opt[CLI_COLLECTION]));
        buf_key_str(b, "content_type", str_of(content_type(f->found->id)));
        if (g->cli->opt[CLI_BASE_URL])
            add_link(g, f, buf_slice(&text));
        buf_key(b, "metadata");
        buf_c(b, '{');
        buf_key_str(b, "path", str_of(f->found->id));
        buf_c(b, '}');
        buf_key_str(b, "text", buf_slice(&text));
        buf_c(b, '}');
    }
    buf_free(&text);
    return why;
}

static void
start_call(struct ingest *g, struct file *f)
{
    curl_easy_setopt(f->call.easy, CURLOPT_PRIVATE, f);
    if (curl_multi_add_handle(g->multi, f->call.easy) != CURLM_OK)
        abort();
}

static void
send_file(struct ingest *g, struct file *f)
{
    const char *why = make_body(g, f);

    if (why) {
        buf_free(&f->body);
        file_fail(g, f, why);
        return;
    }
    file_set(g, f, FILE_SENDING);
    call_init(&f->call, g->cli, "POST", "/api/v1/documents", buf_slice(&f->body), NULL);
    start_call(g, f);
}

static void
ask_job(struct ingest *g, struct file *f)
{
    file_set(g, f, FILE_ASKING);
    call_init(&f->call, g->cli, "GET", f->job, STR_NONE, NULL);
    start_call(g, f);
}

/* ---- what came back -------------------------------------------------------------------------------------------- */

/* Path of the job from Location (a path, or a whole URL) or from the reply. False: neither names one. */
static bool
find_job(struct file *f, const json_t *reply)
{
    const char *at = strstr(f->call.location, "/api/v1/jobs/");
    struct str id = json_str(reply, "job_id");
    struct uuid u;

    if (at)
        snprintf(f->job, sizeof f->job, "%s", at);
    else if (uuid_parse(id, &u))
        snprintf(f->job, sizeof f->job, "/api/v1/jobs/" STR_FMT, STR_ARG(id));
    return f->job[0] != 0;
}

static void
on_sent(struct ingest *g, struct file *f, const json_t *reply)
{
    f->tries = 0;
    if (find_job(f, reply))
        file_set(g, f, FILE_INDEXING);
    else
        file_fail(g, f, "the gateway's reply names no job");
}

static void
on_job(struct ingest *g, struct file *f, const json_t *job)
{
    struct str status = json_str(job, "status");
    int64_t chunks = json_int(job, "chunks", 0);
    char *why;

    f->tries = 0;
    if (chunks != f->chunks)
        g->moved_ms = clock_ms();
    g->progress.chunks += chunks - f->chunks;
    f->chunks = chunks;
    if (str_is(status, "done") && json_flag(job, "searchable", true)) {
        file_set(g, f, FILE_DONE);
        g->ask_every_ms = ASK_MIN_MS;
        g->ask_at_ms = 0;
    } else if (str_is(status, "failed")) {
        why = mem_dup_str(json_str(job, "error").n > 0 ? json_str(job, "error") : STR("the server gave no reason"));
        file_fail(g, f, why);
        mem_free(&why);
    } else {
        file_set(g, f, FILE_INDEXING);
        if (clock_ms() - g->moved_ms > STUCK_MS)
            g->progress.waiting = "nothing gets ready: do retriever and embedder run? make status";
        g->ask_every_ms = g->ask_every_ms * 3 / 2 < ASK_MAX_MS ? g->ask_every_ms * 3 / 2 : ASK_MAX_MS;
    }
}

/* May the same call work later? Then nobody calls before it is time. */
static bool
try_again(struct ingest *g, struct file *f, CURLcode result)
{
    bool limited = result == CURLE_OK && f->call.status == 429;
    bool passing = limited || (result == CURLE_OK && f->call.status == 503) || (result != CURLE_OK && g->reached);
    int64_t wait_ms = f->call.retry_after_ms > 0 ? f->call.retry_after_ms : (int64_t)250 << (f->tries < 6 ? f->tries : 6);

    if (!passing || (!limited && ++f->tries > TRIES_MAX))
        return false;
    if (clock_ms() + wait_ms > g->hold_until_ms)
        g->hold_until_ms = clock_ms() + wait_ms;
    g->progress.waiting = limited ? "the rate limit makes us wait" : "the gateway is away or busy, trying again";
    file_set(g, f, f->state == FILE_SENDING ? FILE_WAITING : FILE_INDEXING);
    return true;
}

/* Every other file would fail in the same way: stop, and say it once. */
static bool
is_hopeless(const struct ingest *g, const struct file *f, CURLcode result)
{
    return (result != CURLE_OK && !g->reached) || (result == CURLE_OK && (f->call.status == 401 || f->call.status == 403));
}

static void
on_trouble(struct ingest *g, struct file *f, CURLcode result)
{
    struct buf why = { 0 };

    if (try_again(g, f, result))
        return;
    call_explain(&f->call, g->cli, result, &why);
    if (is_hopeless(g, f, result) && !g->stop) {
        g->stop = true;
        say("%s", why.p);
    }
    file_fail(g, f, why.p);
    buf_free(&why);
}

static void
on_reply(struct ingest *g, struct file *f, CURLcode result)
{
    enum json_fault fault;
    const char *detail;
    json_t *v;

    call_finish(&f->call);
    if (result == CURLE_OK && f->call.status >= 200 && f->call.status < 300) {
        g->reached = true;
        g->progress.waiting = NULL;
        v = json_read(buf_slice(&f->call.body), &fault, &detail);
        if (f->state == FILE_SENDING)
            on_sent(g, f, v);
        else
            on_job(g, f, v);
        json_decref(v);
    } else {
        g->reached = g->reached || (result == CURLE_OK && f->call.status != 401 && f->call.status != 403);
        on_trouble(g, f, result);
    }
}

/* ---- the loop -------------------------------------------------------------------------------------------------- */

static void
take_replies(struct ingest *g)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(g->multi, &left)) != NULL) {
        CURLcode result = m->data.result;
        void *private = NULL;
        struct file *f;

        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
        f = private;
        curl_multi_remove_handle(g->multi, f->call.easy);
        on_reply(g, f, result);
        call_fini(&f->call);
        buf_free(&f->body);
    }
}

static void
admit_files(struct ingest *g)
{
    while (g->n_active < ACTIVE_MAX && g->next < g->list->n) {
        struct file *f = mem_new(sizeof *f);

        f->found = &g->list->v[g->next++];
        g->count[FILE_WAITING]++;
        g->active[g->n_active++] = f;
    }
}

static void
drop_finished(struct ingest *g)
{
    size_t kept = 0;

    for (size_t i = 0; i < g->n_active; i++) {
        struct file *f = g->active[i];

        if (f->state == FILE_DONE || f->state == FILE_FAILED)
            mem_free(&f);
        else
            g->active[kept++] = f;
    }
    g->n_active = kept;
}

static void
start_calls(struct ingest *g)
{
    int64_t now = clock_ms();

    if (now < g->hold_until_ms)
        return;
    for (size_t i = 0; i < g->n_active; i++) {
        struct file *f = g->active[i];

        if (f->state == FILE_WAITING && g->count[FILE_SENDING] < SENDING_MAX) {
            send_file(g, f);
        } else if (f->state == FILE_INDEXING && g->count[FILE_ASKING] == 0 && now >= g->ask_at_ms) {
            ask_job(g, f);
            g->ask_at_ms = now + g->ask_every_ms;
        }
    }
}

static void
run(struct ingest *g)
{
    int running;

    while (!g->stop && g->progress.done < g->progress.files) {
        drop_finished(g);
        admit_files(g);
        start_calls(g);
        curl_multi_perform(g->multi, &running);
        take_replies(g);
        if (!g->stop)
            progress_show(&g->progress, false);
        curl_multi_poll(g->multi, NULL, 0, 25, NULL);
    }
    if (!g->stop)
        progress_show(&g->progress, true);
}

static void
ingest_fini(struct ingest *g)
{
    for (size_t i = 0; i < g->n_active; i++) {
        struct file *f = g->active[i];

        if (f->call.easy)
            curl_multi_remove_handle(g->multi, f->call.easy);
        call_fini(&f->call);
        buf_free(&f->body);
        mem_free(&f);
    }
    curl_multi_cleanup(g->multi);
    buf_free(&g->reasons);
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

static void
say_skipped(const struct found_list *l)
{
    for (size_t i = 0; i < l->n_skipped && i < SKIPPED_SHOWN; i++)
        say("skipped %s (empty, or not .md, .markdown, .mdx or .txt)", l->skipped[i]);
    if (l->n_skipped > SKIPPED_SHOWN)
        say("… and %zu more files that are no documents", l->n_skipped - SKIPPED_SHOWN);
}

static int
ingest_all(struct cli *c, const struct found_list *l)
{
    struct ingest g = { .cli = c, .list = l, .multi = curl_multi_init(), .ask_every_ms = ASK_MIN_MS };
    int64_t passed;
    bool ok;

    if (!g.multi)
        abort();
    g.progress.files = l->n;
    g.progress.start_ms = clock_ms();
    run(&g);
    passed = clock_ms() - g.progress.start_ms;
    ok = !g.stop && g.progress.failed == 0;
    if (g.reasons.n > 0 && !g.stop) {
        fputs("failed:\n", stderr);
        put_text(stderr, buf_slice(&g.reasons));
    }
    if (!g.stop || g.reached)
        printf("%zu of %zu files are searchable (%lld chunks, %lld.%lld s)\n", g.progress.done - g.progress.failed, l->n,
               (long long)g.progress.chunks, (long long)(passed / 1000), (long long)(passed % 1000 / 100));
    ingest_fini(&g);
    return ok ? 0 : 1;
}

/* Only a whole folder says what is missing. */
static bool
only_folders(const struct cli *c)
{
    struct stat st;

    for (size_t i = 0; i < c->n_args; i++)
        if (stat(c->args[i], &st) != 0 || !S_ISDIR(st.st_mode))
            return false;
    return true;
}

int
cmd_ingest(struct cli *c)
{
    struct found_list l = { 0 };
    int rc = 1;

    if (!site_check(c))
        return 2;
    if (c->opt[CLI_DELETE_MISSING] && !only_folders(c)) {
        say("--delete-missing makes the collection equal to a folder: name folders, not files");
        return 2;
    }
    for (size_t i = 0; i < c->n_args; i++)
        walk(c->args[i], &l);
    say_skipped(&l);
    if (l.n == 0)
        say("nothing to ingest: there is no .md, .markdown, .mdx or .txt file that is not empty");
    else if (found_sort(&l))
        rc = ingest_all(c, &l);
    if (l.failed)
        rc = 1;
    if (rc == 0 && only_folders(c))
        rc = missing_handle(c, &l);
    else if (rc != 0 && c->opt[CLI_DELETE_MISSING])
        say("nothing was deleted, because not every file could be added");
    found_fini(&l);
    return rc;
}
