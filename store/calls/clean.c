/* Clean-up in batches: one transaction deletes at most `limit` rows of one of clean.tbl's jobs. Rows in use are skipped;
 * two batches of one job never run at once (advisory lock, ERR_CONFLICT). The clock is the database's. Messages that are
 * partitioned by month go a month at once (store/migrations/0026_messages_by_month.sql), and the mark at a run's end
 * makes the coming months. After much was deleted the janitor asks for a VACUUM: one at a time, in the background, answered before it begins. */
#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "store/stat.h"
#include "store/calls/calls.h"

#define VACUUM_MS 3600000

static const struct {
    const char *name, *table;
    struct clean_sql {
        enum sql_id clean, count;
    } one, months; /* statements where messages are one table, and where they are tables of months */
    int64_t batch; /* rows at once, however many were asked for */
} cleans[] = {
#define CLEAN(name, id, by_month, table, most) \
    { name, \
      table, \
      { SQL_CLEAN_##id, SQL_COUNT_##id }, \
      { SQL_CLEAN_##by_month, SQL_COUNT_##by_month }, \
      (most) ? (most) : INT64_MAX },
#include "store/calls/clean.tbl"
#undef CLEAN
};
#define CLEANS (sizeof cleans / sizeof cleans[0])

/* A VACUUM that runs. */
struct vacuum {
    char sql[256];
    const char *table;
    int64_t begun_ms;
};
static bool vacuuming;

/* ---- space */

static void
on_vacuumed(struct tx *t)
{
    struct vacuum *v = t->arg;

    vacuuming = false;
    if (t->err)
        LOG(WARN, NULL, M("vacuum failed; autovacuum will do it"), KS("table", v->table),
            KS("why", err_name(t->err)));
    else
        LOG(INFO, NULL, M("vacuumed"), KS("table", v->table), KI("ms", clock_ms() - v->begun_ms));
    mem_free(&v);
}

static void
vacuum(struct store *s, const char *table)
{
    const char *schema = s->opt->schema;
    struct vacuum *v;
    struct tx *t;

    if (vacuuming)
        return;
    vacuuming = true;
    v = mem_new(sizeof *v);
    v->table = table;
    v->begun_ms = clock_ms();
    /* with the schema: behind a PgBouncer the connection may be one that was told of none */
    snprintf(v->sql, sizeof v->sql, "VACUUM (SKIP_LOCKED, ANALYZE) %s.%s", schema, table);
    if (strcmp(table, "messages") == 0 && s->months) /* months that were dropped leave nothing to vacuum */
        snprintf(v->sql, sizeof v->sql,
                 "VACUUM (SKIP_LOCKED, ANALYZE) %s.messages_default, %s.citations_default", schema, schema);
    else if (strcmp(table, "messages") == 0)
        snprintf(v->sql + strlen(v->sql), sizeof v->sql - strlen(v->sql), ", %s.citations", schema);
    t = tx_own(s->pool, VACUUM_MS, on_vacuumed, v);
    t->script = v->sql;
    tx_run(t);
}

/* ---- batches */

/* Was anything done for people since this was asked last? Calls that the services make by themselves, again
 * and again, do not count. */
static bool
people_served(void)
{
    static const enum kind own[] = { KIND_CLEANUP,   KIND_CHANGES,    KIND_KEY_CHANGES,
                                     KIND_JOB_CLAIM, KIND_CHUNKS_GET, KIND_DOCUMENT_ASIDE,
                                     KIND_JOB_WAIT,  KIND_JOBS_CLAIM, KIND_CHUNKS_LOAD };
    static double before;
    double now = 0, last = before;

    for (size_t k = 0; k < KIND_COUNT; k++)
        now += stat_value(&store_stats, STAT_STORE_TX, k, 0);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        now -= stat_value(&store_stats, STAT_STORE_TX, own[i], 0);
    before = now;
    return now > last;
}

static void
on_clean(struct tx *t)
{
    const struct cleanup_req *r = t->call->req;
    int done = r->dry_run ? 0 : 1, info = t->n - 1;
    static struct log_gate gate;
    struct cleanup_rep rep = { .deleted = col_i64(t, done, 0, 0),
                               .clock_ms = col_ms(t, info, 0, 0),
                               .last_run_ms = col_ms(t, info, 0, 1),
                               .rows = col_i64(t, info, 0, 2) };

    for (size_t i = 0; i < CLEANS; i++) {
        if (!str_is(r->job, cleans[i].name))
            continue;
        rep.more = rep.deleted == cleans[i].batch;
        if (r->vacuum && r->dry_run)
            vacuum(store_of(t->call), cleans[i].table);
    }
    if (!r->dry_run) {
        if (str_is(r->job, cleans[0].name) && store_of(t->call)->months && col_flag(t, done, 0, 1) &&
            log_gate(&gate))
            LOG(WARN, NULL,
                M("a month of messages has expired, but its tables are in use (a backup?): a later clean-up drops them"));
        rep.busy = people_served();
        stat_add(&store_stats, STAT_CLEANED, (uint64_t)rep.deleted);
    }
    worker_reply(t->call, &rep);
}

void
cleanup(struct delivery *c)
{
    const struct cleanup_req *r = c->req;
    const struct clean_sql *sql;
    size_t i = 0;
    struct tx *t;
    struct param limit = p_i64(r->all && r->dry_run ? INT64_MAX : r->limit > 0 ? r->limit : 0);

    while (i < CLEANS && !str_is(r->job, cleans[i].name))
        i++;
    if (i == CLEANS) {
        worker_fail(c, ERR_VALIDATION, 0, "there is no such clean-up job");
        return;
    }
    sql = store_of(c)->months ? &cleans[i].months : &cleans[i].one;
    t = call_tx(c, on_clean);
    if (!r->dry_run)
        TX(t, CLEAN_LOCK, p_str(r->job));
    tx_add(t, r->dry_run ? sql->count : sql->clean, &limit, 1);
    if (r->mark && store_of(c)->months)
        TX(t, CLEAN_MONTHS_MARK, p_str(r->job));
    else if (r->mark)
        TX(t, CLEAN_MARK, p_str(r->job));
    TX(t, CLEAN_INFO, p_str(r->job), p_z(cleans[i].table));
    tx_run(t);
}
