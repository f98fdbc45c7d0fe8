/* footnote-store: the only process that knows SQL and holds database connections.
 *
 *   hub ──request──▶ handler ──transaction──▶ pool ──pipeline──▶ Postgres        one thread, one loop, nothing blocks
 *   Redis fn:turns ──batch──▶ outbox ──transaction──▶ pool
 *
 * Serves every KIND(… STORE …) of proto/kind.tbl. Owns the schema DATABASE_SCHEMA, which it migrates at start, and the
 * pool (10 + 20 connections), which is its capacity on the bus. Starts with everything else down.
 * With --import-from it serves nobody: it copies another database into this one and ends (import.c). With --migrate it only
 * migrates, as the schema's owner (owner.c), and ends.
 * SIGTERM: no new work, what is in flight ends (DRAIN_TIMEOUT), connections are closed, exit 0. */
#include "common/clock.h"
#include "common/log.h"
#include "common/redis/redis.h"
#include "store/calls/calls.h"
#include "store/texts.h"
#include "store/pool/conn.h"
#include "store/import/import.h"
#include "store/import/link.h"
#include "store/stat.h"

#define JOIN_MS 2000 /* without a database the store joins the bus after that, to say so */

#define OPT_STRUCT struct store_opt
static const struct opt_def opts[] = {
#define OPT OPT_ROW
#include "store/opt.tbl"
#undef OPT
};

static const delivery_fn handlers[KIND_COUNT] = {
#define CALL(kind, handler) [KIND_##kind] = handler,
#include "store/calls/calls.tbl"
#undef CALL
};

/* Every request comes in here. */
static void
on_call(struct delivery *c)
{
    if (!store_of(c)->migrated && c->kind != KIND_STORE_HEALTH)
        worker_fail(c, ERR_STORE_DOWN, 2000, "the database is not ready");
    else
        handlers[c->kind](c);
}

static void
check_url(const char *name, const char *value, struct buf *err)
{
    struct buf url = BUF_MAX(8192), dropped = BUF_MAX(1024);
    const char *why = NULL;

    if (!pg_url_read(value, &url, &dropped, &why))
        buf_printf(err, "%s: %s\n", name, why);
    else
        conn_check(name, url.p, err);
    buf_free(&url);
    buf_free(&dropped);
}

static void
check_schema(const char *name, const char *value, struct buf *err)
{
    if (strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(value) ||
        (value[0] >= '0' && value[0] <= '9'))
        buf_printf(err, "%s: a name of a-z, 0-9 and _ that does not begin with a digit\n", name);
}

static void
check(const void *opt, struct buf *err)
{
    const struct store_opt *o = opt;

    if (!o->database_url || !o->database_url[0])
        buf_z(err, "DATABASE_URL: missing; postgresql://user:password@host:port/database\n");
    else
        check_url("DATABASE_URL", o->database_url, err);
    if (o->owner_url[0])
        check_url("DATABASE_OWNER_URL", o->owner_url, err);
    if (o->migrate && o->import_from[0])
        buf_z(err, "--migrate: not together with --import-from, which migrates first by itself\n");
    check_schema("DATABASE_SCHEMA", o->schema, err);
    if (strcmp(o->index_fallback, "off") != 0 && strcmp(o->index_fallback, "words") != 0)
        buf_printf(err, "INDEX_FALLBACK: \"%.16s\" is not known; allowed: off, words\n", o->index_fallback);
    if (o->import_from[0])
        check_url("IMPORT_FROM", o->import_from, err);
    check_schema("IMPORT_SCHEMA", o->import_schema, err);
    if (o->import_base_url[0] && !import_base_ok(o->import_base_url))
        buf_z(
            err,
            "IMPORT_BASE_URL: the address of a folder, as https://docs.example.org/book/, without ? and #\n");
    redis_check("REDIS_URL", o->redis_url, REDIS_TLS_FILES(o), err);
    redis_check("REDIS_STATE_URL", o->redis_state_url, REDIS_TLS_FILES(o), err);
    worker_check(o->hub_endpoints, o->bus_curve, o->bus_secret_key, o->hub_public_key, err);
    if (o->dry_run && !o->import_from[0])
        buf_z(err, "--dry-run: only together with --import-from\n");
    if (o->fault_after_commit[0] && (strcmp(o->fault_after_commit, "abort") != 0 || !o->fault_once_file[0]))
        buf_z(err, "FAULT_AFTER_COMMIT: a test hook; abort, together with FAULT_ONCE_FILE, or nothing\n");
}

static int
start_outbox(struct store *s)
{
    const char *url = s->opt->redis_state_url;
    struct buf why = BUF_MAX(1024);

    if (!url || !url[0])
        url = s->opt->redis_url;
    if (!url || !url[0]) {
        LOG(WARN, NULL, M("REDIS_URL is not set: turns queued in Redis are not drained"));
        return 0;
    }
    if (!(s->outbox = outbox_new(s, url, &why)))
        LOG(ERROR, NULL, M("REDIS_URL cannot be used"), KN("why", buf_slice(&why)));
    buf_free(&why);
    return s->outbox ? 0 : -1;
}

static struct worker *
new_worker(struct store *s)
{
    const struct worker_service offer = { SERVICE_STORE, s->opt->pool_size + s->opt->max_overflow };
    struct worker_config cfg = { .endpoints = s->opt->hub_endpoints,
                                 .opts = &s->proc->opts,
                                 .services = &offer,
                                 .n_services = 1,
                                 .ctx = s,
                                 .drain_ms = s->opt->drain_timeout * 1000 };

    for (size_t k = 0; k < KIND_COUNT; k++)
        cfg.handlers[k] = handlers[k] ? on_call : NULL;
    return worker_new(s->proc->loop, &cfg);
}

/* Onto the bus once the database is ready, or is known not to be soon. Earlier, a store that has just been started would
 * take calls from one that serves, to refuse them; requests for the only one wait at the hub meanwhile. */
static void
join(void *arg)
{
    struct store *s = arg;

    s->join = 0;
    if (!(s->worker = new_worker(s)))
        proc_exit(s->proc, 1);
}

static void
on_migrated(struct store *s)
{
    s->migrated = true;
    if (s->opt->migrate) {
        proc_exit(s->proc, 0);
        return;
    }
    if (s->opt->import_from[0]) {
        s->import = import_new(s);
        return;
    }
    s->texts = texts_new(s);
    if (s->join == 0)
        return; /* there already, or draining */
    loop_cancel(s->proc->loop, &s->join);
    join(s);
}

static int
start_pool(struct store *s)
{
    struct buf dropped = BUF_MAX(1024);
    struct pool_config cfg = { 0 };
    const char *why;

    s->url = BUF_MAX(8192);
    if (!pg_url_read(s->opt->database_url, &s->url, &dropped, &why)) {
        LOG(ERROR, NULL, M("DATABASE_URL cannot be used"), KS("why", why));
        return -1;
    }
    if (dropped.n)
        LOG(WARN, NULL, M("parameters of DATABASE_URL that libpq does not know were left out"),
            KN("names", buf_slice(&dropped)));
    buf_free(&dropped);
    cfg = (struct pool_config){ .url = s->url.p,
                                .schema = s->opt->schema,
                                .size = s->opt->pool_size,
                                .overflow = s->opt->max_overflow,
                                .recycle_ms = s->opt->pool_recycle * 1000,
                                .timeout_ms = s->opt->pool_timeout * 1000,
                                .pre_ping = s->opt->pre_ping,
                                .unprepared = !s->opt->prepared };
    s->pool = pool_new(s->proc->loop, &cfg);
    return 0;
}

static int
start(struct proc *p)
{
    struct store *s = mem_new(sizeof *s);

    p->ctx = s;
    s->proc = p;
    s->opt = p->opt;
    memcpy(s->index_missing, "unknown", sizeof "unknown");
    stats_init();
    if (start_pool(s) != 0)
        return -1;
    if (s->opt->import_from[0] && s->opt->dry_run) { /* not even a schema is made */
        s->import = import_new(s);
        return 0;
    }
    if (s->opt->import_from[0] || s->opt->migrate) {
        s->migrate = migrate_new(s, on_migrated);
        return 0;
    }
    s->join = loop_after(p->loop, JOIN_MS, join, s);
    if (s->opt->fault_after_commit[0])
        LOG(WARN, NULL, M("FAULT_AFTER_COMMIT is set: this store stops after a commit, for a test"));
    s->migrate = migrate_new(s, on_migrated);
    return start_outbox(s);
}

static bool
ready(struct proc *p, struct buf *reasons)
{
    const struct store *s = p->ctx;
    size_t before = reasons->n;

    if (!s->migrated)
        buf_z(reasons, pool_state(s->pool).up ? "migrating" : "postgres");
    if (!s->worker || !worker_registered(s->worker))
        buf_printf(reasons, "%shub", reasons->n > before ? ", " : "");
    return reasons->n == before;
}

static void
on_drained(struct store *s)
{
    proc_exit(s->proc, 0);
}

static void
on_worker_drained(void *arg)
{
    struct store *s = arg;

    if (s->outbox)
        outbox_stop(s->outbox, on_drained);
    else
        on_drained(s);
}

static void
drain(struct proc *p)
{
    struct store *s = p->ctx;

    loop_cancel(p->loop, &s->join);
    texts_stop(s->texts);
    if (s->opt->import_from[0] || s->opt->migrate) {
        proc_exit(p, 1); /* the next run goes on from the last batch */
        return;
    }
    if (s->worker)
        worker_drain(s->worker, on_worker_drained, s);
    else
        on_worker_drained(s);
}

static void
stop(struct proc *p)
{
    struct store *s = p->ctx;

    if (!s)
        return;
    if (s->import)
        import_stop(s->import);
    pool_free(&s->pool); /* first: it fails what is still running, which needs the others */
    import_free(&s->import);
    texts_free(&s->texts);
    outbox_free(&s->outbox);
    migrate_free(&s->migrate);
    worker_free(&s->worker);
    buf_free(&s->url);
    buf_free(&s->owner_url);
    buf_free(&s->index_script);
    mem_free(&p->ctx);
}

static void
sample(struct proc *p)
{
    const struct store *s = p->ctx;
    struct pool_state st = pool_state(s->pool);

    stat_set(&store_stats, STAT_POOL_ACTIVE, (double)st.active);
    stat_set(&store_stats, STAT_POOL_IDLE, (double)st.idle);
    stat_set(&store_stats, STAT_POOL_MAX, (double)st.max);
    stat_set(&store_stats, STAT_POOL_OVERFLOW, (double)st.overflow);
    stat_set(&store_stats, STAT_POOL_WAITING, (double)st.waiting);
    stat_set(&store_stats, STAT_POOL_LONGEST, (double)st.longest_wait_ms / 1e3);
    stat_set(&store_stats, STAT_STORE_UP, st.up);
    stat_set(&store_stats, STAT_STORE_MIGRATION, (double)s->migration);
    stat_set(&store_stats, STAT_OUTBOX_LENGTH, s->outbox ? (double)outbox_length(s->outbox) : 0);
}

int
main(int argc, char **argv)
{
    static const struct service svc = {
        .name = "store",
        .summary = "keeps sessions, messages, documents and keys in Postgres",
        .manual =
            "Answers the suite's requests for stored things; the only process that knows SQL. Needs DATABASE_URL;"
            " migrates its schema at start. REDIS_URL lets it drain turns that were queued while Postgres was"
            " away. Stops on SIGTERM after finishing what it was given.\n"
            "--import-from URL copies the tables of a Python backend (docs/migrating.md) from another database or schema"
            " into this one and exits; it needs no gateway, and a run that was stopped goes on where it was.",
        .opts = opts,
        .n_opts = sizeof opts / sizeof opts[0],
        .opt_size = sizeof(struct store_opt),
        .check = check,
        .start = start,
        .ready = ready,
        .drain = drain,
        .stop = stop,
        .sample = sample,
    };

    return proc_main(argc, argv, &svc);
}
