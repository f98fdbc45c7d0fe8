/* The janitor's schedule and runs with a faked clock, a faked loop and a faked store: hours pass in no time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "janitor/janitor.h"

#define HOUR 3600
#define DAY 86400

/* ---- the world: nothing of the real clock, loop or bus is linked */

static int64_t wall_ms, mono_ms;
static struct {
    loop_fn fn;
    void *arg;
    int64_t at_ms;
} timer;
static struct {
    reply_fn fn;
    void *arg;
    struct cleanup_req q;
    bool out;
} call;
static struct cleanup_rep store; /* how the next question is answered; clock_ms is added */
static enum err store_err;
static int64_t store_skew_ms, store_rows;
static bool store_slow; /* has no time to count all */
static int halves;      /* warnings that much of a table goes */
static int batches, counts, vacuums, runs, failures, marks;
static int64_t ran_at[64];

struct stat_set janitor_stats;
const char *const cleanup_names[] = { "messages", "sessions", NULL };

int64_t
clock_ms(void)
{
    return mono_ms;
}
int64_t
clock_us(void)
{
    return mono_ms * 1000;
}
int64_t
clock_wall_ms(void)
{
    return wall_ms;
}
char *
clock_rfc3339(int64_t ms, char out[32])
{
    (void)ms;
    out[0] = '\0';
    return out;
}
void
stat_add_at(struct stat_set *s, int id, size_t i, size_t j, uint64_t n)
{
    (void)s, (void)id, (void)i, (void)j, (void)n;
}
void
stat_set_at(struct stat_set *s, int id, size_t i, size_t j, double v)
{
    (void)s, (void)id, (void)i, (void)j, (void)v;
}
void
stat_observe_traced(struct stat_set *s, int id, size_t i, size_t j, double v, const char *trace)
{
    (void)s, (void)id, (void)i, (void)j, (void)v, (void)trace;
}

void
log_init(const char *service, const char *level, bool json)
{
    (void)service, (void)level, (void)json;
}
enum log_level
log_threshold(void)
{
    return LOG_DEBUG;
}
bool
log_gate(struct log_gate *g)
{
    (void)g;
    return true;
}
uint64_t
log_dropped(void)
{
    return 0;
}

void
log_write(enum log_level lv, const char *trace, const struct log_kv *kv)
{
    (void)trace;
    halves += lv == LOG_WARN && str_is(kv[0].s, "this run deletes more than half of a table");
}

uint64_t
loop_after(struct loop *l, int64_t delay_ms, loop_fn fn, void *arg)
{
    (void)l;
    assert_null(timer.fn); /* one thing at a time */
    timer.fn = fn;
    timer.arg = arg;
    timer.at_ms = mono_ms + delay_ms;
    return 1;
}

uint64_t
worker_call(struct worker *w, struct delivery *parent, enum kind kind, const void *req, const char *tenant,
            const char *trace, int64_t timeout_ms, reply_fn fn, void *arg)
{
    (void)w, (void)parent, (void)tenant, (void)trace, (void)timeout_ms;
    assert_int_equal(kind, KIND_CLEANUP);
    assert_false(call.out);
    call.fn = fn;
    call.arg = arg;
    call.q = *(const struct cleanup_req *)req;
    call.out = true;
    return 1;
}

static void
run_ended(struct janitor *j, bool complete)
{
    ran_at[runs++ % 64] = wall_ms / 1000;
    failures += !complete;
    j->phase = RUN_IDLE;
    schedule_next(j);
}

static void
answer(void)
{
    struct cleanup_rep rep = store;
    enum err err = store_slow && call.q.all ? ERR_DEADLINE : store_err;
    struct reply r = { .err = err, .rep = err ? NULL : &rep };

    call.out = false;
    rep.clock_ms = wall_ms + store_skew_ms;
    rep.deleted = call.q.vacuum               ? 0
                  : call.q.all                ? store_rows
                  : call.q.limit < store_rows ? call.q.limit
                                              : store_rows;
    if (!call.q.dry_run && !store_err) {
        store_rows -= rep.deleted;
        batches++;
    }
    counts += call.q.all;
    vacuums += call.q.vacuum;
    if (call.q.mark && !store_err) {
        marks++;
        store.last_run_ms = wall_ms + store_skew_ms;
    }
    call.fn(call.arg, &r);
}

static void
pass(int64_t seconds)
{
    int64_t end = mono_ms + seconds * 1000;

    while (mono_ms < end) {
        int64_t step = end - mono_ms;

        if (call.out) {
            answer();
            continue;
        }
        if (timer.fn && timer.at_ms - mono_ms < step)
            step = timer.at_ms - mono_ms;
        mono_ms += step;
        wall_ms += step;
        if (timer.fn && timer.at_ms <= mono_ms) {
            loop_fn fn = timer.fn;

            timer.fn = NULL;
            fn(timer.arg);
        }
    }
}

static struct janitor_opt opt = { .batch = 5000, .max_skew_s = 60 };
static struct proc proc;
static struct janitor jan;

static int64_t
utc(int y, int mon, int d, int h, int min)
{
    struct tm t = { .tm_year = y - 1900, .tm_mon = mon - 1, .tm_mday = d, .tm_hour = h, .tm_min = min };

    return timegm(&t);
}

/* A janitor that starts now; its last complete run ended at last_s (0: never). */
static void
begin(const char *tz, const char *schedule, int64_t now_s, int64_t last_s)
{
    const char *why;

    setenv("TZ", tz, 1);
    tzset();
    memset(&timer, 0, sizeof timer);
    memset(&call, 0, sizeof call);
    store = (struct cleanup_rep){ .last_run_ms = last_s * 1000 };
    store_err = ERR_OK;
    store_skew_ms = store_rows = 0;
    store_slow = false;
    batches = halves = counts = vacuums = runs = failures = marks = 0;
    wall_ms = now_s * 1000;
    mono_ms = 1000000;
    jan = (struct janitor){ .proc = &proc, .opt = &opt, .run_ended = run_ended };
    assert_true(cron_parse(schedule, &jan.cron, &why));
    schedule_start(&jan);
}

/* ---- promises */

static void
two_o_clock_comes_and_a_run_begins(void **state)
{
    (void)state;
    begin("UTC", "0 2 * * *", utc(2026, 6, 1, 12, 0), utc(2026, 6, 1, 2, 0));
    store_rows = 12000;
    pass(14 * HOUR - 1);
    assert_int_equal(runs, 0);
    pass(60);
    assert_int_equal(runs, 1);
    assert_int_equal(batches, 3);
    assert_int_equal(store_rows, 0);
    assert_int_equal(marks, 1);
    pass(10 * DAY);
    assert_int_equal(runs, 11);
}

static void
on_the_nights_when_clocks_change_it_runs_exactly_once(void **state)
{
    static const struct {
        const char *tz;
        int mon, d;
    } nights[] = {
        { "Europe/Berlin", 3, 29 },    { "Europe/Berlin", 10, 25 },     { "America/New_York", 3, 8 },
        { "America/New_York", 11, 1 }, { "Australia/Lord_Howe", 4, 5 }, { "Australia/Lord_Howe", 10, 4 },
        { "America/Santiago", 4, 5 },  { "America/Santiago", 9, 6 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof nights / sizeof nights[0]; i++) {
        int64_t noon;
        struct tm t = { .tm_year = 126,
                        .tm_mon = nights[i].mon - 1,
                        .tm_mday = nights[i].d - 1,
                        .tm_hour = 12,
                        .tm_isdst = -1 };

        setenv("TZ", nights[i].tz, 1);
        tzset();
        noon = mktime(&t);
        begin(nights[i].tz, "0 2 * * *", noon, noon - 10 * HOUR);
        pass(24 * HOUR); /* to noon, give or take the change */
        if (runs != 1)
            fail_msg("%s, night of %d-%d: %d runs", nights[i].tz, nights[i].mon, nights[i].d, runs);
    }
}

static void
a_missed_run_is_caught_up_at_start_and_only_then(void **state)
{
    (void)state;
    begin("UTC", "0 2 * * *", utc(2026, 6, 3, 12, 0), utc(2026, 6, 1, 2, 0));
    pass(60);
    assert_int_equal(runs, 1);
    begin("UTC", "0 2 * * *", utc(2026, 6, 3, 12, 0), 0); /* never ran */
    pass(60);
    assert_int_equal(runs, 1);
    begin("UTC", "0 2 * * *", utc(2026, 6, 3, 12, 0), utc(2026, 6, 3, 2, 5));
    pass(60);
    assert_int_equal(runs, 0);
    begin("UTC", "0 2 * * sun", utc(2026, 6, 3, 12, 0),
          utc(2026, 5, 31, 2, 5)); /* weekly: three days ago is no miss */
    pass(60);
    assert_int_equal(runs, 0);
}

static void
a_janitor_that_was_killed_in_its_run_begins_it_again_at_start(void **state)
{
    (void)state;
    begin("UTC", "0 2 * * *", utc(2026, 6, 3, 2, 1),
          utc(2026, 6, 2, 2, 5)); /* 02:00 is a minute ago, nothing noted */
    pass(60);
    assert_int_equal(runs, 1);
}

static void
a_clock_that_is_set_changes_nothing_for_the_night(void **state)
{
    static const int64_t jumps[] = { HOUR, -HOUR, 365 * DAY, -365 * DAY };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        int before;

        begin("UTC", "0 2 * * *", utc(2026, 6, 1, 12, 0), utc(2026, 6, 1, 2, 0));
        pass(HOUR);
        wall_ms += jumps[i] * 1000;
        store_skew_ms = -jumps[i] * 1000; /* the database's clock is right */
        pass(2 * HOUR);
        assert_int_equal(runs, failures); /* a run that the jump caused deleted nothing */
        assert_int_equal(batches, 0);
        wall_ms -= jumps[i] * 1000; /* set right again */
        store_skew_ms = 0;
        before = runs;
        pass(3 * DAY);
        assert_in_range(runs - before, 3,
                        4); /* every night; and at once when the set clock came past a time */
        assert_true(ran_at[(runs - 1) % 64] % DAY == 2 * HOUR ||
                    ran_at[(runs - 1) % 64] % DAY < 2 * HOUR + 60);
        assert_int_equal(failures, before);
    }
}

static void
a_clock_difference_of_more_than_a_minute_stops_the_run_before_anything_is_deleted(void **state)
{
    static const int64_t skews[] = { 61500, -61500, 30000 };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        begin("UTC", "0 2 * * *", utc(2026, 6, 3, 12, 0), 0);
        store_rows = 100;
        store_skew_ms = skews[i];
        pass(60);
        assert_int_equal(failures, i < 2);
        assert_int_equal(store_rows, i < 2 ? 100 : 0);
    }
}

static void
a_store_that_is_away_for_a_while_is_waited_for_and_one_that_stays_away_ends_the_run(void **state)
{
    (void)state;
    begin("UTC", "0 2 * * *", utc(2026, 6, 3, 12, 0), 0);
    store_rows = 20000;
    pass(0);
    while (batches < 2)
        call.out ? answer() : pass(1);
    store_err = ERR_STORE_DOWN;
    pass(10);
    store_err = ERR_OK;
    pass(30);
    assert_int_equal(failures, 0);
    assert_int_equal(store_rows, 0);
    begin("UTC", "0 2 * * *", utc(2026, 6, 3, 12, 0), 0);
    pass(1);
    begin("UTC", "0 2 * * *", utc(2026, 6, 3, 1, 59), utc(2026, 6, 2, 2, 0));
    pass(30);
    store_err = ERR_STORE_DOWN;
    pass(120);
    assert_int_equal(failures, 1);
}

static void
a_batch_that_another_janitor_has_is_waited_for(void **state)
{
    (void)state;
    begin("UTC", "0 2 * * *", utc(2026, 6, 3, 12, 0), 0);
    store_rows = 20000;
    while (batches < 1)
        call.out ? answer() : pass(1);
    store_err = ERR_CONFLICT; /* more than twenty times */
    pass(60);
    assert_int_equal(failures, 0);
    store_err = ERR_OK;
    pass(60);
    assert_int_equal(store_rows, 0);
    assert_int_equal(failures, 0);
}

static void
after_many_rows_their_space_is_made_usable_and_after_few_it_is_not(void **state)
{
    (void)state;
    begin("UTC", "0 2 * * *", utc(2026, 6, 3, 12, 0), 0);
    store_rows = 20001;
    pass(60);
    assert_int_equal(vacuums, 1);
    begin("UTC", "0 2 * * *", utc(2026, 6, 3, 12, 0), 0);
    store_rows = 9000;
    pass(60);
    assert_int_equal(vacuums, 0);
}

static void
a_run_that_deletes_more_than_half_of_a_large_table_says_so(void **state)
{
    static const struct {
        int64_t expired, rows;
        int warned;
    } cases[] = {
        { 5002, 10001, 1 }, { 5001, 10002, 0 }, { 5001, 10001, 1 }, { 10000, 10000, 0 }, { 1, 1000000, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin("UTC", "0 2 * * *", utc(2026, 6, 3, 12, 0), 0);
        store_rows = cases[i].expired;
        store.rows = cases[i].rows;
        pass(60);
        assert_int_equal(halves, cases[i].warned);
        assert_int_equal(store_rows, 0); /* a warning, no more */
    }
}

static void
what_cannot_be_counted_in_time_is_counted_up_to_a_limit_and_deleted_all_the_same(void **state)
{
    (void)state;
    begin("UTC", "0 2 * * *", utc(2026, 6, 3, 12, 0), 0);
    store_slow = true;
    store_rows = 250000;
    store.rows = 150000; /* the limit is more than half of it */
    pass(600);
    assert_int_equal(store_rows, 0);
    assert_int_equal(runs, 1);
    assert_int_equal(failures, 0);
    assert_int_equal(halves, 1);
    assert_int_equal(counts, 2); /* each job was asked for all once */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_o_clock_comes_and_a_run_begins),
        cmocka_unit_test(on_the_nights_when_clocks_change_it_runs_exactly_once),
        cmocka_unit_test(a_missed_run_is_caught_up_at_start_and_only_then),
        cmocka_unit_test(a_janitor_that_was_killed_in_its_run_begins_it_again_at_start),
        cmocka_unit_test(a_clock_that_is_set_changes_nothing_for_the_night),
        cmocka_unit_test(a_clock_difference_of_more_than_a_minute_stops_the_run_before_anything_is_deleted),
        cmocka_unit_test(a_store_that_is_away_for_a_while_is_waited_for_and_one_that_stays_away_ends_the_run),
        cmocka_unit_test(a_batch_that_another_janitor_has_is_waited_for),
        cmocka_unit_test(after_many_rows_their_space_is_made_usable_and_after_few_it_is_not),
        cmocka_unit_test(a_run_that_deletes_more_than_half_of_a_large_table_says_so),
        cmocka_unit_test(what_cannot_be_counted_in_time_is_counted_up_to_a_limit_and_deleted_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
