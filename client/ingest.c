/* footnote ingest: files into the gateway, four at a time, each followed until it is searchable.
 *
 *   WAITING ──send──► SENDING ──202──► INDEXING ──ask──► ASKING ──job done──► DONE
 *      ▲  429, 503, connection lost │      ▲  still running │
 *      └────────────────────────────┘      └────────────────┘       anything else, or too many tries ──► FAILED
 *
 * One thread, one curl multi handle. At most 64 files are between WAITING and DONE, so that memory and questions stay
 * bounded; at most 4 are being sent (only these have their text in memory). The oldest job is asked about first, at a pace
 * that slows down while nothing gets ready: limits count these questions too. The server's word on when to
 * come back (Retry-After) holds for every call, because its limits are those of the key. */
#include <assert.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/text/text.h"
#include "client/files/files.h"
#include "client/tally.h"
#include "proto/format.h"

#define ACTIVE_MAX 64
#define SENDING_MAX 4
#define ASK_MIN_MS 50
#define ASK_MAX_MS 1000
#define TRIES_MAX 10
#define STUCK_MS 15000

enum file_state {
    FILE_WAITING,
    FILE_SENDING,
    FILE_INDEXING,
    FILE_ASKING,
    FILE_DONE,
    FILE_FAILED,
    FILE_STATES
};

struct file {
    const struct found *found;
    enum file_state state;
    struct fetch fetch;    /* while SENDING or ASKING */
    struct buf path, body; /* the request, while SENDING */
    char job[64];          /* path of its job */
    int tries;             /* that failed for a reason that may pass */
    int64_t chunks;        /* counted so far in the progress */
};

struct ingest {
    struct cli *cli;
    struct site site;
    CURLM *multi;
    const struct found_list *list;
    size_t next;                     /* first of the list that is not yet active */
    struct file *active[ACTIVE_MAX]; /* oldest first */
    size_t n_active;
    size_t count[FILE_STATES];
    int64_t hold_until_ms;           /* no call before: the server asked for it, or is away */
    int64_t ask_at_ms, ask_every_ms; /* pace of questions about jobs */
    int64_t moved_ms;                /* when a file was last sent, got chunks or was done */
    bool reached;                    /* some call got an answer: the address is right */
    bool stop;                       /* nothing more can work; it was said why */
    struct tally tally;              /* files that failed */
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
    tally_fail(&g->tally, f->found->path, why);
}

/* ---- sending */

static void
add_metadata(struct buf *b, const struct file *f)
{
    buf_c(b, '{');
    buf_key_str(b, "path", str_of(f->found->id));
    buf_c(b, '}');
}

/* The object of a text, which has the text itself as its last member. */
static void
text_body(const struct ingest *g, struct file *f, struct str text)
{
    struct buf *b = &f->body, url = { 0 };

    file_link(&url, &g->site, f->found, text);
    buf_c(b, '{');
    buf_key_str(b, "id", str_of(f->found->id));
    if (g->cli->opt[CLI_COLLECTION])
        buf_key_str(b, "collection", str_of(g->cli->opt[CLI_COLLECTION]));
    buf_key_str(b, "content_type", str_of(file_format(f->found)->type));
    if (url.n > 0)
        buf_key_str(b, "url", buf_slice(&url));
    buf_key(b, "metadata");
    add_metadata(b, f);
    buf_key_str(b, "text", text);
    buf_c(b, '}');
    buf_free(&url);
}

static const char *
base_name(const char *id)
{
    const char *slash = strrchr(id, '/');

    return slash ? slash + 1 : id;
}

/* A file as it is; what there is to say of it stands in the query. */
static void
file_path(const struct ingest *g, struct file *f)
{
    struct buf meta = { 0 }, url = { 0 };

    file_link(&url, &g->site, f->found, STR_NONE);
    url_param(&f->path, "filename", str_of(base_name(f->found->id)));
    url_param(&f->path, "id", str_of(f->found->id));
    if (g->cli->opt[CLI_COLLECTION])
        url_param(&f->path, "collection", str_of(g->cli->opt[CLI_COLLECTION]));
    if (url.n > 0)
        url_param(&f->path, "url", buf_slice(&url));
    add_metadata(&meta, f);
    url_param(&f->path, "metadata", buf_slice(&meta));
    buf_free(&meta);
    buf_free(&url);
}

/* Path, body and its type: text in a JSON object, other files by themselves. NULL, or why not. */
static const char *
make_body(const struct ingest *g, struct file *f)
{
    struct buf text = { 0 };
    const char *why = file_read(f->found, &text);

    buf_reset(&f->path);
    buf_reset(&f->body);
    buf_z(&f->path, "/api/v1/documents");
    if (!why && file_format(f->found)->bytes) {
        file_path(g, f);
        buf_free(&f->body);
        f->body = text;
        return NULL;
    }
    if (!why)
        text_body(g, f, buf_slice(&text));
    buf_free(&text);
    return why;
}

static void
start_call(struct ingest *g, struct file *f)
{
    curl_easy_setopt(f->fetch.easy, CURLOPT_PRIVATE, f);
    if (curl_multi_add_handle(g->multi, f->fetch.easy) != CURLM_OK)
        abort();
}

static void
send_file(struct ingest *g, struct file *f)
{
    const char *why = make_body(g, f);

    if (why) {
        buf_free(&f->path);
        buf_free(&f->body);
        file_fail(g, f, why);
        return;
    }
    file_set(g, f, FILE_SENDING);
    fetch_init_as(&f->fetch, g->cli, "POST", f->path.p, buf_slice(&f->body),
                  file_format(f->found)->bytes ? "application/octet-stream" : "application/json", NULL);
    start_call(g, f);
}

static void
ask_job(struct ingest *g, struct file *f)
{
    file_set(g, f, FILE_ASKING);
    fetch_init(&f->fetch, g->cli, "GET", f->job, STR_NONE, NULL);
    start_call(g, f);
}

/* ---- what came back */

static void
on_sent(struct ingest *g, struct file *f, const json_t *reply)
{
    f->tries = 0;
    if (job_path(&f->fetch, reply, f->job))
        file_set(g, f, FILE_INDEXING);
    else
        file_fail(g, f, "the gateway's reply names no job");
}

static void
on_job(struct ingest *g, struct file *f, const json_t *job)
{
    int64_t chunks = json_int(job, "chunks", 0);
    struct str error;
    enum job is = job_state(job, &error);
    char *why;

    f->tries = 0;
    if (chunks != f->chunks)
        g->moved_ms = clock_ms();
    g->progress.chunks += chunks - f->chunks;
    f->chunks = chunks;
    if (is == JOB_DONE) {
        file_set(g, f, FILE_DONE);
        g->ask_every_ms = ASK_MIN_MS;
        g->ask_at_ms = 0;
    } else if (is == JOB_FAILED) {
        why = mem_dup_str(error);
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
    bool limited = result == CURLE_OK && f->fetch.status == 429;
    bool passing = result == CURLE_OK ? fetch_busy(&f->fetch) : g->reached;
    int64_t wait_ms = fetch_pause_ms(f->fetch.retry_after_ms, f->tries);

    if (!passing || (!limited && ++f->tries > TRIES_MAX))
        return false;
    if (clock_ms() + wait_ms > g->hold_until_ms)
        g->hold_until_ms = clock_ms() + wait_ms;
    g->progress.waiting = limited ? "the rate limit makes us wait"
                                  : "the gateway is away or busy, trying again";
    file_set(g, f, f->state == FILE_SENDING ? FILE_WAITING : FILE_INDEXING);
    return true;
}

/* Every other file would fail in the same way: stop, and say it once. */
static bool
is_hopeless(const struct ingest *g, const struct file *f, CURLcode result)
{
    return (result != CURLE_OK && !g->reached) ||
           (result == CURLE_OK && (f->fetch.status == 401 || f->fetch.status == 403));
}

static void
on_trouble(struct ingest *g, struct file *f, CURLcode result)
{
    struct buf why = { 0 };

    if (try_again(g, f, result))
        return;
    fetch_explain(&f->fetch, g->cli, result, &why);
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
    json_t *v;

    fetch_finish(&f->fetch);
    if (result == CURLE_OK && f->fetch.status >= 200 && f->fetch.status < 300) {
        g->reached = true;
        g->progress.waiting = NULL;
        v = fetch_reply(&f->fetch);
        if (f->state == FILE_SENDING)
            on_sent(g, f, v);
        else
            on_job(g, f, v);
        json_decref(v);
    } else {
        g->reached = g->reached || (result == CURLE_OK && f->fetch.status != 401 && f->fetch.status != 403);
        on_trouble(g, f, result);
    }
}

/* ---- the loop */

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
        curl_multi_remove_handle(g->multi, f->fetch.easy);
        on_reply(g, f, result);
        fetch_fini(&f->fetch);
        buf_free(&f->path);
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

        if (f->fetch.easy)
            curl_multi_remove_handle(g->multi, f->fetch.easy);
        fetch_fini(&f->fetch);
        buf_free(&f->path);
        buf_free(&f->body);
        mem_free(&f);
    }
    curl_multi_cleanup(g->multi);
    tally_fini(&g->tally);
}

/* ---- the command */

static void
put_skipped(struct buf *object, const struct found_list *l)
{
    buf_key(object, "skipped");
    buf_c(object, '[');
    for (size_t i = 0; i < l->n_skipped; i++) {
        if (i > 0)
            buf_c(object, ',');
        buf_json_z(object, l->skipped[i].path);
    }
    buf_c(object, ']');
}

/* In words on stdout, or as the beginning of an object. */
static void
tell(const struct ingest *g, struct buf *object)
{
    int64_t passed = clock_ms() - g->progress.start_ms;
    size_t good = g->progress.done - g->progress.failed;

    if (!g->stop)
        tally_say(&g->tally, "failed:");
    if (g->tally.json) {
        buf_c(object, '{');
        buf_key_int(object, "files", (int64_t)g->list->n);
        buf_key_int(object, "searchable", (int64_t)good);
        buf_key_int(object, "chunks", g->progress.chunks);
        buf_key_int(object, "ms", passed);
        buf_key_bool(object, "stopped", g->stop);
        put_skipped(object, g->list);
        tally_put(&g->tally, false, object);
    } else if (!g->stop || g->reached) {
        printf("%zu of %zu files are searchable (%lld chunks, %lld.%lld s)\n", good, g->list->n,
               (long long)g->progress.chunks, (long long)(passed / 1000), (long long)(passed % 1000 / 100));
    }
}

static int
ingest_all(struct cli *c, const struct site *site, const struct found_list *l, struct buf *object)
{
    struct ingest g = { .cli = c,
                        .site = *site,
                        .list = l,
                        .multi = curl_multi_init(),
                        .ask_every_ms = ASK_MIN_MS,
                        .tally.json = c->opt[CLI_JSON] != NULL };
    bool ok;

    if (!g.multi)
        abort();
    g.progress.files = l->n;
    g.progress.start_ms = clock_ms();
    g.progress.rated = true;
    run(&g);
    ok = !g.stop && g.progress.failed == 0;
    tell(&g, object);
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
    struct buf object = { 0 }; /* with --json */
    struct site site;
    int rc = 1;

    if (!site_of(c, &site))
        return 2;
    if (c->opt[CLI_DELETE_MISSING] && !only_folders(c)) {
        say("--delete-missing makes the collection equal to a folder: name folders, not files");
        return 2;
    }
    if (files_find(c, &l))
        rc = ingest_all(c, &site, &l, &object);
    if (l.failed)
        rc = 1;
    if (rc == 0 && only_folders(c))
        rc = missing_handle(c, &l, &object);
    else if (rc != 0 && c->opt[CLI_DELETE_MISSING])
        say("nothing was deleted, because not every file could be added");
    if (object.n > 0)
        object_print(&object);
    found_fini(&l);
    return rc;
}
