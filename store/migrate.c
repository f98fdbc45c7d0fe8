/* Migrations: numbered, forward only, compiled in, one transaction each. Stores that start together wait for each other
 * in an advisory lock; the second one's row collides, and it takes the migration as done.
 *
 *   CHECK server ─▶ LOOK for tables ─▶ READ versions ─▶ APPLY what is newer ─▶ MONTHS ─▶ done   (server away: again in 250 ms)
 *                    └ none: SCHEMA ──┘                                              └ INDEX_ENGINE=pgvector: INDEX ─┘
 *
 * With DATABASE_OWNER_URL the owner does CHECK, SCHEMA, GRANT (owner.c), READ, APPLY and MONTHS, and its connection is closed;
 * then the role that serves does CHECK, READ and MONTHS, and finds nothing to do. A role that may not change the schema waits
 * here until somebody else did.
 * MONTHS: with MESSAGES_PARTITIONED the tables of messages become tables of months, if they are empty; where they are such
 * tables already, with or without the option, the coming months are made. */
#include <stdio.h>

#include "common/log.h"
#include "common/text/number.h"
#include "store/owner.h"
#include "store/pgvector/pgvector.h"

#define RETRY_MS 250
#define LOCKED_MS 1000 /* for a lock: requests go on meanwhile */
#define SCRIPT_MS 600000
#define LOCK "SELECT pg_advisory_xact_lock(hashtextextended('footnote migration', 0));"

static const struct {
    int n;
    const char *name, *sql;
} migrations[] = {
#define MIGRATION(n, name, sql) { n, name, sql },
#include "store/migrations/migrations.inc"
#undef MIGRATION
};
#define MIGRATIONS ((int)(sizeof migrations / sizeof migrations[0]))
#define NEWEST (migrations[MIGRATIONS - 1].n)

/* A migration that waits for a table has everybody else wait behind it: it waits for less time than requests
 * do, then all go on and it tries again. */
#define LOCK_WAIT "SET LOCAL lock_timeout = 300;"

enum step {
    STEP_CHECK,
    STEP_LOOK,
    STEP_SCHEMA,
    STEP_GRANT,
    STEP_READ,
    STEP_APPLY,
    STEP_MONTHS,
    STEP_INDEX,
    STEP_OWNED
};

struct migrate {
    struct store *s;
    void (*done)(struct store *s);
    struct pool *owner; /* NULL: none, or done with */
    enum step step;
    int next; /* index of the migration to apply */
    struct buf script;
    uint64_t timer;
};

static void run(void *arg);

int
migrate_newest(void)
{
    return NEWEST;
}

const char *
migrate_sql(int n, const char **name)
{
    for (int i = 0; i < MIGRATIONS; i++)
        if (migrations[i].n == n) {
            *name = migrations[i].name;
            return migrations[i].sql;
        }
    return NULL;
}

static void
again(struct migrate *m, int64_t ms)
{
    if (m->timer == 0)
        m->timer = loop_after(m->s->proc->loop, ms, run, m);
}

static struct pool *
pool_of(const struct migrate *m)
{
    return m->owner ? m->owner : m->s->pool;
}

/* A server that may lose a commit that it has acknowledged breaks what we promise. */
static bool
safe(struct migrate *m, struct tx *t)
{
    bool fsync = col_flag(t, 0, 0, 0), sync = col_flag(t, 0, 0, 1);
    int64_t max = col_i64(t, 0, 0, 2);
    const struct store_opt *o = m->s->opt;

    if (max < o->pool_size + o->max_overflow)
        LOG(WARN, NULL, M("the pool may open more connections than the server takes"),
            KI("pool_max", o->pool_size + o->max_overflow), KI("max_connections", max));
    if (!m->owner && col_flag(t, 0, 0, 4))
        LOG(WARN, NULL,
            M("the role of DATABASE_URL is a superuser: who breaks into this store owns the database server;"
              " see DATABASE_OWNER_URL in docs/operating.md"));
    if (fsync && sync)
        return true;
    if (o->allow_unsafe) {
        LOG(WARN, NULL, M("the server may lose commits; going on because of ALLOW_UNSAFE_PG"),
            KB("fsync", fsync), KB("synchronous_commit", sync));
        return true;
    }
    LOG(ERROR, NULL,
        M("the server may lose commits: turn fsync and synchronous_commit on, or set ALLOW_UNSAFE_PG=1"),
        KB("fsync", fsync), KB("synchronous_commit", sync));
    return false;
}

static void
finish(struct migrate *m)
{
    m->s->migration = NEWEST;
    LOG(INFO, NULL, M("schema is up to date"), KS("schema", m->s->opt->schema), KI("migration", NEWEST));
    m->done(m->s);
}

/* The last step went well. The owner's pool cannot go from inside itself. */
static void
end(struct migrate *m)
{
    if (!m->owner) {
        finish(m);
        return;
    }
    m->step = STEP_OWNED;
    again(m, 0);
}

/* The answer of messages_partition or messages_form. */
static void
note_months(struct migrate *m, struct tx *t)
{
    struct str is = col_str(t, 0, 0, 0); /* a script's results are text */

    m->s->months = str_is(is, "months");
    if (m->owner)
        return; /* the role that serves says it */
    if (str_is(is, "filled"))
        LOG(WARN, NULL,
            M("MESSAGES_PARTITIONED is on, but there are messages already: they stay one table. To partition it, stop all stores,"
              " let the schema's owner call messages_partition(true), and start them again (docs/operating.md)"),
            KS("schema", m->s->opt->schema));
    else if (m->s->months && !m->s->opt->partitioned)
        LOG(INFO, NULL,
            M("messages are partitioned by month, as they were made: MESSAGES_PARTITIONED=off changes nothing"),
            KS("schema", m->s->opt->schema));
}

/* Highest version in the database → what to apply. */
static void
plan(struct migrate *m, struct tx *t)
{
    struct str v = col_str(t, 0, 0, 0); /* a script's results are text */
    int64_t version;

    (void)number_first(v, 100000, &version);
    if (version > NEWEST)
        LOG(WARN, NULL, M("the database is newer than this program"), KI("database", version),
            KI("program", NEWEST));
    for (m->next = 0; m->next < MIGRATIONS && migrations[m->next].n <= version; m->next++)
        ;
    m->step = m->next < MIGRATIONS ? STEP_APPLY : STEP_MONTHS;
}

static void
on_applied(struct migrate *m, bool by_another)
{
    if (!by_another)
        LOG(INFO, NULL, M("migration applied"), KI("number", migrations[m->next].n),
            KS("name", migrations[m->next].name));
    if (++m->next == MIGRATIONS)
        m->step = STEP_MONTHS;
}

static void
on_failed(struct migrate *m, const struct tx *t)
{
    static struct log_gate gate;
    bool locked = m->step >= STEP_APPLY && strcmp(t->sqlstate, "55P03") == 0,
         refused = strcmp(t->sqlstate, "42501") == 0;

    if (log_gate(&gate))
        LOG(WARN, NULL,
            M(locked ? "a migration waits until a long transaction (a backup?) has ended"
              : refused && m->step == STEP_MONTHS
                  ? "MESSAGES_PARTITIONED is on, and this role may not partition the messages: waiting until their owner has"
                    " (footnote-store --migrate, with the same option)"
              : refused ? "this role may not change the schema: waiting until its owner has migrated it"
                          " (DATABASE_OWNER_URL, or footnote-store --migrate)"
                        : "schema is not ready yet"),
            KS("why", err_name(t->err)), KS("sqlstate", t->sqlstate));
    if (m->s->opt->migrate && !locked && t->sqlstate[0] && strncmp(t->sqlstate, "08", 2) != 0 &&
        strncmp(t->sqlstate, "57", 2) != 0) {
        LOG(ERROR, NULL, M("not migrated"), KS("sqlstate", t->sqlstate));
        proc_exit(m->s->proc, 1);
        return;
    }
    if (refused && !m->owner)
        m->step = STEP_LOOK; /* somebody else may have done it meanwhile */
    again(m, locked ? LOCKED_MS : RETRY_MS);
}

/* After a step that went well. */
static enum step
step_after(const struct migrate *m, const struct tx *t)
{
    switch (m->step) {
    case STEP_MONTHS: return STEP_INDEX;
    case STEP_CHECK: return m->owner ? STEP_SCHEMA : STEP_LOOK;
    case STEP_LOOK: return str_is(col_str(t, 0, 0, 0), "true") ? STEP_READ : STEP_SCHEMA;
    case STEP_SCHEMA: return m->owner && owner_is_another(m->s) ? STEP_GRANT : STEP_READ;
    default: return STEP_READ;
    }
}

static void
on_step(struct tx *t)
{
    struct migrate *m = t->arg;
    bool raced = m->step == STEP_APPLY && strcmp(t->sqlstate, "23505") == 0;

    if (t->err && !raced) {
        on_failed(m, t);
        return;
    }
    if (m->step == STEP_CHECK && !safe(m, t)) {
        proc_exit(m->s->proc, 1);
        return;
    }
    if (m->step == STEP_MONTHS)
        note_months(m, t);
    if (m->step == STEP_INDEX)
        pgvector_looked(m->s, t);
    if (m->step == STEP_INDEX || (m->step == STEP_MONTHS && !pgvector_wanted(m->s))) {
        end(m);
        return;
    }
    if (m->step == STEP_READ)
        plan(m, t);
    else if (m->step == STEP_APPLY)
        on_applied(m, raced);
    else
        m->step = step_after(m, t);
    run(m);
}

static void
write_script(struct migrate *m)
{
    const char *schema = m->s->opt->schema; /* checked at start: [a-z_][a-z0-9_]* */
    struct buf *b = &m->script;

    buf_reset(b);
    if (m->step == STEP_SCHEMA) {
        buf_z(b, LOCK);
        buf_printf(b, "DO $x$ BEGIN IF to_regnamespace('%s') IS NULL THEN CREATE SCHEMA %s; END IF; END $x$;",
                   schema, schema);
        buf_printf(
            b,
            "CREATE TABLE IF NOT EXISTS %s.schema_migrations (version integer PRIMARY KEY, name text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())",
            schema);
    } else if (m->step == STEP_LOOK) {
        buf_printf(b, "SELECT (to_regclass('%s.schema_migrations') IS NOT NULL)::text", schema);
    } else if (m->step == STEP_GRANT) {
        buf_z(b, LOCK);
        owner_grants(m->s, b);
    } else if (m->step == STEP_READ) {
        buf_printf(b, "SELECT COALESCE(max(version), 0)::text FROM %s.schema_migrations", schema);
    } else if (m->step == STEP_INDEX) {
        pgvector_script(m->s, b);
    } else if (m->step == STEP_MONTHS) {
        buf_printf(b, m->s->opt->partitioned ? "SELECT %s.messages_partition()" : "SELECT %s.messages_form()",
                   schema);
    } else {
        buf_z(b, "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;" LOCK LOCK_WAIT);
        buf_printf(b, "SET LOCAL search_path = %s;",
                   schema); /* behind PgBouncer the connection may be another one */
        buf_printf(b, "INSERT INTO schema_migrations (version, name) VALUES (%d, '%s');",
                   migrations[m->next].n, migrations[m->next].name);
        buf_z(b, migrations[m->next].sql);
    }
}

static void
run(void *arg)
{
    struct migrate *m = arg;
    struct tx *t;

    m->timer = 0;
    if (m->step == STEP_OWNED) {
        pool_free(&m->owner);
        LOG(INFO, NULL, M("the owner's part is done"), KS("schema", m->s->opt->schema),
            KI("migration", NEWEST));
        m->step = STEP_CHECK;
    }
    t = tx_own(pool_of(m), m->step == STEP_CHECK ? 5000 : SCRIPT_MS, on_step, m);
    if (m->step == STEP_CHECK) {
        tx_add(t, SQL_SAFETY, NULL, 0);
    } else {
        write_script(m);
        t->script = m->script.p;
    }
    tx_run(t);
}

struct migrate *
migrate_new(struct store *s, void (*done)(struct store *s))
{
    struct migrate *m = mem_new(sizeof *m);

    m->s = s;
    m->done = done;
    m->owner = owner_pool(s);
    again(m, 0);
    return m;
}

void
migrate_free(struct migrate **m)
{
    if (!*m)
        return;
    pool_free(&(*m)->owner); /* first: it fails what is still running */
    loop_cancel((*m)->s->proc->loop, &(*m)->timer);
    buf_free(&(*m)->script);
    mem_free(m);
}
