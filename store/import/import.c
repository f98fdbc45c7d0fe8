/* footnote-store --import-from URL: copies a Python backend's schema (docs/migrating.md) from another
 * database or schema, and ends.
 *
 *   describe ─▶ load progress ─▶ for each step (sessions, conversations, messages, citations, references):
 *       count ─▶ [read a batch] ─▶ [write a batch: rows, progress] ─▶ … ─▶ count again ─▶ done
 *
 * Batches go by the source's keys. While one is written the next is read: the two databases work side by
 * side. A batch is written by two transactions at once, each with whole conversations (so neither waits
 * for the other's rows), and the first of the next batch notes the position that is then behind both. A
 * killed run is taken up there; since all ids follow from the source's, rows that are found there again
 * change nothing, and neither does a second run. Rows that cannot be taken are listed on standard output,
 * one a line. A batch ends at 16 MiB of texts. Parents are looked up by key alone (store/sql/import.sql):
 * any other join read all of a tenant's conversations for each row, which cost the server nearly five
 * times the time. A failed batch is tried again from the last position; a statement that the source
 * refuses ends the run (exit code 1). */
#include "store/import/import.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text/number.h"

#define TX_MS 120000
#define ROWS_FIRST 500 /* of a step's first batch */
#define TRIES 20
#define TRY_MS 1000
#define TELL_MS 2000

struct progress {
    char *position;               /* key of the last row that is written; NULL: none */
    int64_t seen, refused, total; /* source rows read; of them not taken; there, as counted last */
    bool done;
};

struct import {
    struct store *s;
    struct pool *from;
    struct buf url, script;
    struct import_source src;
    enum import_step step;
    struct progress at[STEPS];
    struct import_batch *ready; /* read, waits for the one that is being written */
    char *read_to;              /* key of the last row read */
    size_t rows;                /* of the next batch */
    bool reading, writing, all_read, stopped;
    unsigned turn, read_turn; /* a read that is of an earlier turn is forgotten */
    size_t shortened;
    int tries;
    uint64_t timer;
    void (*again)(struct import *im);
    int64_t begun_ms, told_ms, step_ms;
};

static void step_begin(struct import *im);
static void write_next(struct import *im);
static void read_next(struct import *im);

static bool
dry(const struct import *im)
{
    return im->s->opt->dry_run;
}

static void
finish(struct import *im, int code)
{
    im->stopped = true;
    proc_exit(im->s->proc, code);
}

/* ---- failures */

static void
on_again(void *arg)
{
    struct import *im = arg;

    im->timer = 0;
    im->again(im);
}

/* Try once more in a second; not what can only fail again. */
static void
failed_with(struct import *im, enum err err, const char *sqlstate, const char *what,
            void (*again)(struct import *im))
{
    bool hopeless = err == ERR_INTERNAL || err == ERR_VALIDATION;

    if (im->stopped)
        return;
    if (!hopeless && ++im->tries < TRIES) {
        im->again = again;
        if (im->timer == 0)
            im->timer = loop_after(im->s->proc->loop, TRY_MS, on_again, im);
        return;
    }
    LOG(ERROR, NULL, M("import stopped; run it again to go on"), KS("while", what), KS("why", err_text(err)),
        KS("sqlstate", sqlstate));
    finish(im, 1);
}

static void
failed(struct import *im, const struct tx *t, const char *what, void (*again)(struct import *im))
{
    failed_with(im, t->err, t->sqlstate, what, again);
}

/* ---- progress */

static void
tell(struct import *im, bool end)
{
    const struct progress *p = &im->at[im->step];
    int64_t now = clock_ms(), ms = now - im->step_ms;

    if (!end && now - im->told_ms < TELL_MS)
        return;
    im->told_ms = now;
    LOG(INFO, NULL, M(end ? "imported" : "importing"), KS("what", import_step_names[im->step]),
        KI("rows", p->seen), KI("of", p->total), KI("refused", p->refused), KI("seconds", ms / 1000),
        KB("dry_run", dry(im)));
}

static void
account(struct import *im, struct import_batch *b)
{
    struct progress *p = &im->at[im->step];

    if (b->refusals.n)
        fputs(b->refusals.p, stdout);
    p->seen += b->seen;
    p->refused += b->refused;
    im->shortened += b->rows.shortened;
    mem_free(&p->position);
    p->position = b->position;
    b->position = NULL;
    im->tries = 0;
    tell(im, false);
}

/* ---- writing */

static void
from_last_position(struct import *im)
{
    const char *position = im->at[im->step].position;

    mem_free(&im->read_to);
    im->read_to = position ? mem_dup(position) : NULL;
    im->all_read = false;
    read_next(im);
}

/* Everything that was read after the last position is read again. */
static void
write_failed(struct import *im, struct import_batch **b)
{
    enum err err = (*b)->err;
    char sqlstate[6];

    memcpy(sqlstate, (*b)->sqlstate, sizeof sqlstate);
    import_batch_free(b);
    import_batch_free(&im->ready);
    im->writing = false;
    im->turn++;
    failed_with(im, err, sqlstate, "writing", from_last_position);
}

static void
written(struct import *im, struct import_batch **b)
{
    im->writing = false;
    account(im, *b);
    import_batch_free(b);
    write_next(im);
    read_next(im);
}

static void
note_failure(struct import_batch *b, const struct tx *t)
{
    if (b->err || !t->err)
        return;
    b->err = t->err;
    memcpy(b->sqlstate, t->sqlstate, sizeof b->sqlstate);
}

static void
on_checked(struct tx *t)
{
    struct import_batch *b = t->arg;
    size_t missing = tx_rows(t, 1);

    note_failure(b, t);
    if (b->err) {
        write_failed(b->owner, &b);
        return;
    }
    for (size_t i = 0; i < missing; i++)
        import_batch_missing(b, (size_t)(col_i64(t, 1, i, 0) - 1));
    b->refused += (int64_t)missing;
    written(b->owner, &b);
}

/* Fewer rows were taken than there are: which are there from before, which are not? */
static void
check(struct import *im, struct import_batch *b)
{
    struct tx *t = tx_own(im->s->pool, TX_MS, on_checked, b);

    import_check(im->step, &b->rows, t);
    tx_run(t);
}

static void
on_part(struct tx *t)
{
    struct import_batch *b = t->arg;

    note_failure(b, t);
    b->taken += tx_touched(t, 1);
    if (--b->writing > 0)
        return;
    if (b->err)
        write_failed(b->owner, &b);
    else if (b->taken < (int64_t)b->rows.n)
        check(b->owner, b);
    else
        written(b->owner, &b);
}

/* The progress of all that is committed. */
static void
mark(const struct import *im, struct tx *t, bool done)
{
    const struct progress *p = &im->at[im->step];

    TX(t, IMPORT_MARK, p_z(im->s->opt->import_tenant), p_z(im->src.label), p_z(import_step_names[im->step]),
       p->position ? p_z(p->position) : p_str(STR_NONE), p_i64(p->seen), p_i64(p->refused), p_flag(done));
}

static void
write_next(struct import *im)
{
    struct import_batch *b = im->ready;

    if (!b || im->writing || im->stopped)
        return;
    im->ready = NULL;
    im->writing = true;
    b->writing = IMPORT_PARTS;
    mark(im, b->part[0], false);
    for (int i = 0; i < IMPORT_PARTS; i++) {
        struct tx *t = b->part[i];

        b->part[i] = NULL;
        t->deadline_ms = clock_ms() + TX_MS;
        tx_run(t);
    }
}

/* ---- reading */

static void
on_counted_again(struct import *im)
{
    const struct progress *p = &im->at[im->step];

    tell(im, true);
    if (p->seen != p->total)
        LOG(ERROR, NULL, M("the source has changed meanwhile: run it again"),
            KS("what", import_step_names[im->step]), KI("read", p->seen), KI("now", p->total));
    im->step++;
    step_begin(im);
}

static void
on_step_done(struct tx *t)
{
    struct import *im = t->arg;

    if (t->err) {
        failed(im, t, "noting progress", read_next);
        return;
    }
    on_counted_again(im);
}

static void
on_count(struct tx *t)
{
    struct import *im = t->arg;
    struct progress *p = &im->at[im->step];

    if (t->err) {
        failed(im, t, "counting", im->all_read || p->done ? read_next : step_begin);
        return;
    }
    (void)number_first(col_str(t, 0, 0, 0), NUMBER_MOST, &p->total);
    if (!im->all_read) {
        read_next(im);
    } else if (dry(im) || p->done) {
        on_counted_again(im);
    } else {
        struct tx *done = tx_own(im->s->pool, TX_MS, on_step_done, im);

        mark(im, done, true);
        tx_run(done);
    }
}

/* A query of the source. */
static void
ask(struct import *im, tx_fn done)
{
    struct tx *t = tx_own(im->from, TX_MS, done, im);

    t->script = im->script.p;
    tx_run(t);
}

static void
count(struct import *im)
{
    buf_reset(&im->script);
    import_count_sql(&im->src, im->step, &im->script);
    ask(im, on_count);
}

static void
take(struct import *im, const struct tx *t)
{
    struct import_batch *b = import_batch_new(im->step, str_of(im->s->opt->import_tenant),
                                              str_of(im->src.label), im->s->opt->import_base_url, t);

    b->owner = im;
    im->rows = import_batch_rows(tx_rows(t, 0), im->rows);
    mem_free(&im->read_to);
    im->read_to = mem_dup(b->position);
    if (dry(im)) {
        account(im, b);
        import_batch_free(&b);
        return;
    }
    for (int i = 0; i < IMPORT_PARTS; i++) {
        b->part[i] = tx_own(im->s->pool, TX_MS, on_part, b);
        import_take(im->step, &b->rows, i, b->part[i]);
    }
    arena_free(&b->rows.arena);
    im->ready = b;
}

static void
on_read(struct tx *t)
{
    struct import *im = t->arg;

    im->reading = false;
    if (im->read_turn != im->turn) {
        read_next(im);
        return;
    }
    if (t->err) {
        failed(im, t, "reading", read_next);
        return;
    }
    im->all_read = tx_rows(t, 0) == 0;
    if (!im->all_read)
        take(im, t);
    write_next(im);
    read_next(im);
}

static void
read_next(struct import *im)
{
    if (im->stopped || im->reading || im->ready || im->timer)
        return;
    if (im->all_read) {
        if (!im->writing)
            count(im);
        return;
    }
    buf_reset(&im->script);
    import_select(&im->src, im->step, im->read_to, im->rows, &im->script);
    im->reading = true;
    im->read_turn = im->turn;
    ask(im, on_read);
}

/* ---- steps */

static int
report(const struct import *im)
{
    int code = 0;

    printf("%-14s %12s %12s %12s\n", "", "source", dry(im) ? "would take" : "taken", "refused");
    for (enum import_step i = 0; i < STEPS; i++) {
        const struct progress *p = &im->at[i];
        bool agree = p->seen == p->total;

        printf("%-14s %12lld %12lld %12lld%s\n", import_step_names[i], (long long)p->total,
               (long long)(p->seen - p->refused), (long long)p->refused,
               agree ? "" : "  counts differ: run it again");
        if (!agree)
            code = 1;
    }
    if (im->shortened)
        printf("texts shortened to their limit: %zu\n", im->shortened);
    fflush(stdout);
    LOG(INFO, NULL, M(code ? "import: counts differ" : "import: counts agree"), KS("source", im->src.label),
        KI("seconds", (clock_ms() - im->begun_ms) / 1000));
    return code;
}

static void
step_begin(struct import *im)
{
    while (im->step < STEPS && !import_has(&im->src, im->step))
        im->step++;
    if (im->step == STEPS) {
        finish(im, report(im));
        return;
    }
    im->step_ms = im->told_ms = clock_ms();
    im->rows = ROWS_FIRST;
    im->all_read = im->at[im->step].done;
    mem_free(&im->read_to);
    if (im->at[im->step].position)
        im->read_to = mem_dup(im->at[im->step].position);
    count(im);
}

/* ---- the beginning */

static void
load_row(struct import *im, const struct tx *t, size_t row)
{
    for (enum import_step i = 0; i < STEPS; i++)
        if (str_is(col_str(t, 0, row, 0), import_step_names[i])) {
            struct progress *p = &im->at[i];
            struct str position = col_str(t, 0, row, 1);

            p->position = position.p ? mem_dup_str(position) : NULL;
            p->seen = col_i64(t, 0, row, 2);
            p->refused = col_i64(t, 0, row, 3);
            p->done = col_flag(t, 0, row, 4);
        }
}

static void
forget(struct import *im)
{
    for (enum import_step i = 0; i < STEPS; i++) {
        mem_free(&im->at[i].position);
        im->at[i] = (struct progress){ 0 };
    }
}

static void load(struct import *im);

static void
on_reset(struct tx *t)
{
    struct import *im = t->arg;

    if (t->err)
        failed(im, t, "beginning anew", load);
    else
        step_begin(im);
}

/* A run that came to its end is followed by one over everything, which finds what is new. */
static void
on_loaded(struct tx *t)
{
    struct import *im = t->arg;
    bool ended = true, begun = false;
    struct tx *reset;

    if (t->err) {
        failed(im, t, "reading progress", load);
        return;
    }
    for (size_t row = 0; row < tx_rows(t, 0); row++)
        load_row(im, t, row);
    for (enum import_step i = 0; i < STEPS; i++) {
        ended = ended && (im->at[i].done || !import_has(&im->src, i));
        begun = begun || im->at[i].seen > 0;
    }
    if (!ended) {
        if (begun)
            LOG(INFO, NULL, M("an import that did not end goes on"), KS("source", im->src.label));
        step_begin(im);
        return;
    }
    forget(im);
    reset = tx_own(im->s->pool, TX_MS, on_reset, im);
    TX(reset, IMPORT_RESET, p_z(im->s->opt->import_tenant), p_z(im->src.label));
    tx_run(reset);
}

static void
load(struct import *im)
{
    struct tx *t = tx_own(im->s->pool, TX_MS, on_loaded, im);

    forget(im);
    TX(t, IMPORT_LOAD, p_z(im->s->opt->import_tenant), p_z(im->src.label));
    tx_run(t);
}

static void describe(struct import *im);

static void
on_described(struct tx *t)
{
    struct import *im = t->arg;
    struct buf why = BUF_MAX(1024);
    bool ok;

    if (t->err) {
        failed(im, t, "looking at the source", describe);
        return;
    }
    ok = import_describe(&im->src, t, &why);
    if (!ok) {
        LOG(ERROR, NULL,
            M("the source has not the tables of a Python backend (docs/migrating.md); IMPORT_SCHEMA says where they are"),
            KS("schema", im->s->opt->import_schema), KN("why", buf_slice(&why)));
        finish(im, 1);
    } else if (dry(im)) {
        step_begin(im);
    } else {
        load(im);
    }
    buf_free(&why);
}

static void
describe(struct import *im)
{
    buf_reset(&im->script);
    import_describe_sql(im->s->opt->import_schema, &im->script);
    ask(im, on_described);
}

/* ---- life */

struct import *
import_new(struct store *s)
{
    struct import *im = mem_new(sizeof *im);
    struct buf dropped = BUF_MAX(1024);
    const char *why;
    struct pool_config cfg = { .schema = s->opt->import_schema,
                               .size = 1,
                               .recycle_ms = INT32_MAX,
                               .timeout_ms = s->opt->pool_timeout * 1000 };

    im->s = s;
    im->begun_ms = clock_ms();
    im->url = BUF_MAX(8192);
    pg_url_read(s->opt->import_from, &im->url, &dropped, &why); /* main.c has checked it */
    buf_free(&dropped);
    cfg.url = im->url.p;
    im->from = pool_new(s->proc->loop, &cfg);
    describe(im);
    return im;
}

void
import_stop(struct import *im)
{
    im->stopped = true;
}

void
import_free(struct import **i)
{
    struct import *im = *i;

    if (!im)
        return;
    im->stopped = true;
    pool_free(&im->from);
    loop_cancel(im->s->proc->loop, &im->timer);
    import_batch_free(&im->ready);
    forget(im);
    mem_free(&im->read_to);
    buf_free(&im->url);
    buf_free(&im->script);
    mem_free(i);
}
