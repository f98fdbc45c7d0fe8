/* footnote reindex: documents are read once more from their stored originals, as after an update that reads better. A lot of them is
 * begun, then each is waited for. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/text/text.h"
#include "client/tally.h"

#define LOT 32 /* documents whose jobs run at once */
#define ASK_MIN_MS 50
#define ASK_MAX_MS 2000

struct reindex {
    struct cli *cli;
    char **id; /* of the documents */
    size_t n, cap;
    char job[LOT][64]; /* path of each document's job; "": it has none */
    struct progress progress;
    struct tally tally;
    bool stop; /* nothing more can work */
};

static bool
on_document(void *arg, const json_t *d)
{
    struct reindex *x = arg;

    if (x->n == x->cap) {
        x->cap = x->cap ? 2 * x->cap : 128;
        x->id = mem_resize(x->id, x->cap * sizeof *x->id);
    }
    x->id[x->n++] = mem_dup_str(json_str(d, "document_id"));
    return true;
}

static void
end_one(struct reindex *x, size_t i, const char *why)
{
    x->progress.done++;
    x->progress.failed += why != NULL;
    if (why)
        tally_fail(&x->tally, x->id[i], why);
    progress_show(&x->progress, false);
}

static void
begin_one(struct reindex *x, size_t i, char job[64])
{
    char path[80];
    struct buf why = { 0 };
    struct fetch k;
    json_t *v;

    job[0] = 0;
    snprintf(path, sizeof path, "/api/v1/documents/%.36s/reindex", x->id[i]);
    if (!fetch_patiently(&k, x->cli, "POST", path, STR_NONE, NULL, &why, &x->stop)) {
        end_one(x, i, why.p);
    } else {
        v = fetch_reply(&k);
        if (!job_path(&k, v, job)) {
            job[0] = 0;
            end_one(x, i, "the gateway's reply names no job");
        }
        json_decref(v);
    }
    fetch_fini(&k);
    buf_free(&why);
}

/* Until its job has ended, or nothing more can work. */
static void
await_one(struct reindex *x, size_t i, const char *job)
{
    int64_t pause_ms = ASK_MIN_MS, chunks = 0;
    enum job is = JOB_RUNS;
    struct buf why = { 0 };

    while (!x->stop && (is = job_look(x->cli, job, &chunks, &why, &x->stop)) == JOB_RUNS) {
        progress_show(&x->progress, false);
        fetch_nap(pause_ms);
        pause_ms = 2 * pause_ms < ASK_MAX_MS ? 2 * pause_ms : ASK_MAX_MS;
    }
    x->progress.chunks += chunks;
    end_one(x, i, is == JOB_DONE ? NULL : why.p ? why.p : "it was not waited for");
    buf_free(&why);
}

static void
run(struct reindex *x)
{
    x->progress = (struct progress){ .files = x->n, .start_ms = clock_ms() };
    for (size_t from = 0; from < x->n && !x->stop; from += LOT) {
        size_t n = x->n - from < LOT ? x->n - from : LOT;

        memset(x->job, 0, sizeof x->job);
        for (size_t i = 0; i < n && !x->stop; i++)
            begin_one(x, from + i, x->job[i]);
        for (size_t i = 0; i < n; i++)
            if (x->job[i][0])
                await_one(x, from + i, x->job[i]);
    }
    progress_show(&x->progress, true);
}

static int
report(const struct reindex *x)
{
    size_t good = x->progress.done - x->progress.failed;
    struct buf object = { 0 };

    tally_say(&x->tally, "failed:");
    if (x->tally.json) {
        buf_c(&object, '{');
        buf_key_int(&object, "documents", (int64_t)x->n);
        buf_key_int(&object, "searchable", (int64_t)good);
        buf_key_int(&object, "chunks", x->progress.chunks);
        buf_key_bool(&object, "stopped", x->stop);
        tally_put(&x->tally, false, &object);
        object_print(&object);
    } else {
        printf("%zu of %zu documents were read again (%lld chunks)\n", good, x->n,
               (long long)x->progress.chunks);
    }
    return good == x->n ? 0 : 1;
}

int
cmd_reindex(struct cli *c)
{
    struct reindex *x = mem_new(sizeof *x);
    struct cli quiet = cli_quiet(c);
    struct buf path = { 0 };
    int rc = 1;

    x->cli = &quiet;
    x->tally.json = c->opt[CLI_JSON] != NULL;
    documents_path(c, &path);
    if (each_item(&quiet, path.p, NULL, on_document, x)) {
        run(x);
        rc = report(x);
    }
    for (size_t i = 0; i < x->n; i++)
        mem_free(&x->id[i]);
    mem_free(&x->id);
    tally_fini(&x->tally);
    buf_free(&path);
    mem_free(&x);
    return rc;
}
