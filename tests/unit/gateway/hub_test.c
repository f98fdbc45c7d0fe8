/* Promises of the bus with real sockets: a hub in this process, real workers in children that can be killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/process/stat.h"
#include "gateway/hub/hub.h"
#include "gateway/hub/call_int.h"
#include "proto/worker.h"

static char address[64];
static struct hub *hub;

/* ---- the worker: embed answers after `dims` milliseconds with its pid as tokens; chat streams three parts */

static void
later(void *arg)
{
    struct delivery *c = arg;
    const struct embed_req *q = c->req;
    struct embed_rep r = {
        .model = STR("test"), .dims = 4, .vectors = STR("0123456789abcdef"), .tokens = getpid()
    };

    if (str_is(q->texts.v[0], "die"))
        _exit(1);
    worker_reply(c, &r);
}

static void
on_embed(struct delivery *c)
{
    const struct embed_req *q = c->req;

    loop_after(worker_ctx(c), q->dims, later, c);
}

static void
on_chat(struct delivery *c)
{
    struct chat_rep r = { .text = STR("abc"), .model = STR("test") };

    for (int i = 0; i < 3; i++) {
        struct chat_part p = { { &"abc"[i], 1 } };

        worker_part(c, &p);
    }
    worker_reply(c, &r);
}

/* chat calls that arrive at the second worker call embed through the hub */
static void
on_embedded(void *arg, struct reply *r)
{
    struct delivery *c = arg;
    const struct embed_rep *e = r->rep;
    struct search_rep s = { 0 };

    if (r->err) {
        worker_fail(c, r->err, 0, r->text);
        return;
    }
    s.seq = e->dims;
    worker_reply(c, &s);
}

static void
on_search(struct delivery *c)
{
    struct str t = STR("text");
    struct embed_req q = { .texts = { &t, 1 }, .dims = 1 };

    worker_call(c->worker, c, KIND_EMBED, &q, NULL, NULL, 2000, on_embedded, c);
}

static struct loop *child_loop;
static void
drained(void *arg)
{
    (void)arg;
    loop_stop(child_loop);
}
static struct worker *child_worker;
static volatile sig_atomic_t term;
static void
on_term(int sig)
{
    (void)sig;
    term = 1;
}
static void
look_for_term(void *arg)
{
    if (term)
        worker_drain(child_worker, drained, NULL);
    else
        loop_after(child_loop, 5, look_for_term, arg);
}

/* A worker is this program once more: a ZeroMQ context does not survive a fork. */
static pid_t
start_worker(long capacity)
{
    char cap[16];
    pid_t pid;

    snprintf(cap, sizeof cap, "%ld", capacity);
    if ((pid = fork()) == 0) {
        execl("/proc/self/exe", "worker", address, cap, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static int
worker_main(long capacity)
{
    struct worker_service s[] = { { SERVICE_EMBED, capacity }, { SERVICE_CHAT, 8 }, { SERVICE_RETRIEVE, 8 } };
    struct worker_config cfg = { .endpoints = address, .services = s, .n_services = 3, .drain_ms = 3000 };

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    log_init("worker", getenv("TEST_LOG") ? "debug" : "error", false);
    signal(SIGTERM, on_term);
    child_loop = loop_new();
    cfg.ctx = child_loop;
    cfg.handlers[KIND_EMBED] = on_embed;
    cfg.handlers[KIND_CHAT] = on_chat;
    cfg.handlers[KIND_SEARCH] = on_search;
    child_worker = worker_new(child_loop, &cfg);
    look_for_term(NULL);
    loop_run(child_loop);
    worker_free(&child_worker);
    loop_free(&child_loop);
    return 0;
}

static void wait_workers(long n);

/* Every test begins when the hub has seen the workers of the one before go. */
static int
begin(void **state)
{
    (void)state;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    wait_workers(0);
    return 0;
}

static void
wait_workers(long n)
{
    struct hub_view v;

    for (int64_t end = clock_ms() + 20000; clock_ms() < end; usleep(2000)) {
        hub_look(hub, &v);
        if (v.service[SERVICE_EMBED].workers == n)
            return;
    }
    fail_msg("%ld workers did not appear", n);
}

static void
stop_worker(pid_t pid, int sig, int *status)
{
    kill(pid, sig);
    assert_int_equal(waitpid(pid, status, 0), pid);
}

static struct call *
ask_embed(const char *text, int64_t delay_ms, int64_t deadline_ms)
{
    struct str t = str_of(text);
    struct embed_req q = { .texts = { &t, 1 }, .dims = delay_ms };

    return hub_call(hub, KIND_EMBED, &q, "default", "trace", clock_ms() + deadline_ms);
}

static void
a_question_is_answered_and_parts_come_in_order(void **state)
{
    pid_t w = start_worker(4);
    struct outcome a;
    struct chat_req q = { .question = STR("?") };
    char got[8] = "";
    struct call *k;

    (void)state;
    k = ask_embed("hello", 1, 5000); /* waits for the first worker */
    assert_int_equal(call_wait(k, INT64_MAX, &a), CALL_DONE);
    assert_int_equal(a.err, ERR_OK);
    assert_int_equal(((const struct embed_rep *)a.msg)->tokens, w);
    call_free(&k);
    k = hub_call(hub, KIND_CHAT, &q, "default", "t", clock_ms() + 3000);
    while (call_wait(k, INT64_MAX, &a) == CALL_PART)
        strncat(got, ((const struct chat_part *)a.msg)->text.p, 1);
    assert_int_equal(a.err, ERR_OK);
    assert_string_equal(got, "abc");
    call_free(&k);
    stop_worker(w, SIGKILL, NULL);
}

static long
overruns(void)
{
    static const char name[] = "\nfootnote_bus_overrun_total ";
    struct buf b = { 0 };
    const char *at;
    long n;

    stat_print(&b);
    at = strstr(b.p, name);
    n = at ? strtol(at + sizeof name - 1, NULL, 10) : 0;
    buf_free(&b);
    return n;
}

static void
an_answer_that_is_read_too_slowly_fails_whole_and_is_counted(void **state)
{
    struct chat_req q = { .question = STR("?") };
    struct call *k = hub_call(hub, KIND_CHAT, &q, "default", "t",
                              clock_ms() + 30000); /* waits for a worker */
    struct chat_part p = { STR("x") };
    struct buf b = BUF_MAX(64);
    struct blob *payload;
    struct outcome a;
    size_t parts = 0;

    (void)state;
    assert_int_equal(msg_encode(chat_part_desc(), &p, &b), ERR_OK);
    payload = blob_of_buf(&b);
    for (size_t i = 0; i < 65536 + 10; i++)
        call_add_part(k, payload);
    blob_drop(&payload);
    while (call_wait(k, INT64_MAX, &a) == CALL_PART)
        parts++;
    assert_int_equal(parts, 65536);
    assert_int_equal(a.err, ERR_BUSY);
    assert_int_equal(overruns(), 1);
    call_free(&k);
}

static void
a_worker_calls_another_service_through_the_hub(void **state)
{
    pid_t w = start_worker(4);
    struct str c = STR("docs");
    struct search_req q = { .query = STR("?"), .collections = { &c, 1 } };
    struct outcome a;
    struct call *k;

    (void)state;
    assert_int_equal(call_once(hub, KIND_SEARCH, &q, "default", "t", clock_ms() + 3000, &k, &a), ERR_OK);
    assert_int_equal(((const struct search_rep *)a.msg)->seq, 4);
    call_free(&k);
    stop_worker(w, SIGKILL, NULL);
}

static void
a_killed_workers_request_runs_elsewhere_within_300_ms(void **state)
{
    pid_t w[2] = { start_worker(4), start_worker(4) };
    struct outcome a;
    struct call *k;
    int64_t start;

    (void)state;
    wait_workers(2);
    k = ask_embed("x", 1000, 5000);
    usleep(50000);
    /* whoever has it dies: kill the one that was given work, found by asking the view */
    struct hub_view v;

    do
        hub_look(hub, &v);
    while (v.service[SERVICE_EMBED].outstanding != 1);
    start = clock_ms();
    stop_worker(w[0], SIGKILL, NULL);
    assert_int_equal(call_wait(k, INT64_MAX, &a), CALL_DONE);
    assert_int_equal(a.err, ERR_OK);
    assert_int_equal(((const struct embed_rep *)a.msg)->tokens, w[1]);
    assert_true(clock_ms() - start < 300 + 1000 + 300);
    call_free(&k);
    stop_worker(w[1], SIGKILL, NULL);
}

static void
a_request_that_kills_two_workers_is_poison(void **state)
{
    pid_t w[3] = { start_worker(4), start_worker(4), start_worker(4) };
    struct outcome a;
    struct call *k;
    int gone = 0;

    (void)state;
    wait_workers(3);
    k = ask_embed("die", 1, 5000);
    assert_int_equal(call_wait(k, INT64_MAX, &a), CALL_DONE);
    assert_int_equal(a.err, ERR_POISON);
    call_free(&k);
    for (int64_t end = clock_ms() + 3000; gone < 2 && clock_ms() < end; usleep(1000))
        gone += waitpid(-1, NULL, WNOHANG) > 0;
    assert_int_equal(gone, 2);
    wait_workers(1); /* the third one lives */
    for (int i = 0; i < 3; i++)
        kill(w[i], SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

static void
a_drained_worker_finishes_its_work_and_leaves_with_0(void **state)
{
    pid_t w = start_worker(4);
    struct outcome a;
    struct call *k;
    int status;

    (void)state;
    wait_workers(1);
    k = ask_embed("x", 1000, 5000);
    struct hub_view v;

    do
        hub_look(hub, &v);
    while (v.service[SERVICE_EMBED].outstanding != 1);
    stop_worker(w, SIGTERM, &status);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(call_wait(k, INT64_MAX, &a), CALL_DONE);
    assert_int_equal(a.err, ERR_OK);
    call_free(&k);
    wait_workers(0);
}

static void
without_a_worker_a_request_waits_two_seconds_for_503(void **state)
{
    struct outcome a;
    struct call *k;
    int64_t start = clock_ms();

    (void)state;
    wait_workers(0);
    k = ask_embed("x", 1, 10000);
    assert_int_equal(call_wait(k, INT64_MAX, &a), CALL_DONE);
    assert_int_equal(a.err, ERR_NO_WORKER);
    assert_true(clock_ms() - start < 2600);
    call_free(&k);
}

static void
the_deadline_ends_it(void **state)
{
    pid_t w = start_worker(4);
    struct outcome a;
    struct call *k;

    (void)state;
    wait_workers(1);
    k = ask_embed("x", 3000, 200);
    assert_int_equal(call_wait(k, INT64_MAX, &a), CALL_DONE);
    assert_int_equal(a.err, ERR_DEADLINE);
    call_free(&k);
    stop_worker(w, SIGKILL, NULL);
}

static void *
wait_long(void *arg)
{
    struct call *k = ask_embed("x", 0, 20000);
    struct outcome a;

    (void)arg;
    call_wait(k, INT64_MAX, &a);
    call_free(&k);
    return (void *)(uintptr_t)a.err;
}

/* The last test: the hub stays closed. */
static void
a_closed_hub_lets_nobody_wait(void **state)
{
    pid_t w = start_worker(1);
    int64_t start;
    struct hub_view v = { 0 };
    pthread_t threads[4];
    struct outcome a;
    struct call *k;

    (void)state;
    wait_workers(1);
    k = ask_embed("x", 3000, 20000); /* at the worker */
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wait_long, NULL), 0);
    while (v.service[SERVICE_EMBED].outstanding + v.service[SERVICE_EMBED].queued < 5)
        hub_look(hub, &v);
    start = clock_ms();
    hub_close(hub);
    for (size_t i = 0; i < 4; i++) {
        void *err;

        pthread_join(threads[i], &err);
        assert_int_equal((uintptr_t)err, ERR_DRAINING);
    }
    assert_int_equal(call_wait(k, INT64_MAX, &a), CALL_DONE);
    assert_int_equal(a.err, ERR_DRAINING);
    call_free(&k);
    k = ask_embed("y", 0, 20000); /* and whoever comes later */
    assert_int_equal(call_wait(k, INT64_MAX, &a), CALL_DONE);
    assert_int_equal(a.err, ERR_DRAINING);
    call_free(&k);
    k = ask_embed("z", 0, 20000); /* or does not even wait */
    call_free(&k);
    hub_close(hub);
    assert_true(clock_ms() - start < 1000);
    stop_worker(w, SIGKILL, NULL);
}

#define T(f) cmocka_unit_test_setup(f, begin)

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(a_question_is_answered_and_parts_come_in_order),
        T(an_answer_that_is_read_too_slowly_fails_whole_and_is_counted),
        T(a_worker_calls_another_service_through_the_hub),
        T(a_killed_workers_request_runs_elsewhere_within_300_ms),
        T(a_request_that_kills_two_workers_is_poison),
        T(a_drained_worker_finishes_its_work_and_leaves_with_0),
        T(without_a_worker_a_request_waits_two_seconds_for_503),
        T(the_deadline_ends_it),
        T(a_closed_hub_lets_nobody_wait),
    };
    struct hub_config cfg = { .bind = address };

    if (argc == 3) {
        snprintf(address, sizeof address, "%s", argv[1]);
        return worker_main(strtol(argv[2], NULL, 10));
    }
    log_init("test", getenv("TEST_LOG") ? "debug" : "error", false);
    for (int port = 20000 + getpid() % 20000; !hub && port < 60000; port++) {
        snprintf(address, sizeof address, "tcp://127.0.0.1:%d", port);
        hub = hub_new(&cfg);
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    hub_free(&hub);
    return failed;
}
