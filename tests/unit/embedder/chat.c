/* Streaming an answer: what the bus did not take goes with the next part; and which provider ends it
 * when one fails or the caller goes away. The bus is replaced by the functions below, the providers
 * are the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "embedder/chat.h"

static struct {
    int full;         /* parts that are not taken */
    struct buf parts; /* as taken, each with a bar behind it */
    struct buf text;  /* of the reply */
    struct embedder *e;
    int64_t failures; /* calls that failed */
    enum err err;     /* of the last of them */
    bool degraded;    /* of the reply */
    int cancelled;    /* answers that a provider let go of */
    bool may_fail;    /* a failure is what the test waits for */
} w;

bool
worker_abandoned(const struct delivery *c)
{
    (void)c;
    return false;
}

bool
worker_part(struct delivery *c, const void *part)
{
    const struct chat_part *p = part;

    (void)c;
    if (w.full > 0) {
        w.full--;
        return false;
    }
    buf_str(&w.parts, p->text);
    buf_c(&w.parts, '|');
    return true;
}

void
worker_reply(struct delivery *c, const void *rep)
{
    const struct chat_rep *r = rep;

    (void)c;
    w.degraded = r->degraded;
    buf_str(&w.text, r->text);
}

void
worker_fail(struct delivery *c, enum err e, int64_t retry_after_ms, const char *text)
{
    (void)c, (void)retry_after_ms, (void)text;
    w.failures++;
    w.err = e;
    if (!w.may_fail)
        fail_msg("failed: %s", err_name(e));
}

void *
worker_ctx(const struct delivery *c)
{
    (void)c;
    return w.e;
}

struct span *
worker_span(const struct delivery *c)
{
    (void)c;
    return NULL;
}

static void
stream(int full, bool whole)
{
    static struct embedder e;
    static struct chat_provider p;
    struct chat_req req = { .question = STR("?"), .whole = whole };
    struct delivery call = { .req = &req };
    struct chat_run *r = mem_new(sizeof *r);

    *r = (struct chat_run){ .e = &e, .p = &p, .call = &call, .answer = BUF_MAX(262144) };
    w.full = full;
    buf_reset(&w.parts);
    buf_reset(&w.text);
    for (int i = 0; i < 3; i++) {
        assert_true(chat_emit(r, (struct str){ &"abc"[i], 1 }));
        chat_flush(r);
    }
    chat_finish(r, "test");
    buf_c(&w.parts, 0);
    buf_c(&w.text, 0);
}

static void
what_the_bus_did_not_take_goes_with_the_next_part(void **state)
{
    (void)state;
    stream(0, false);
    assert_string_equal(w.parts.p, "a|b|c|");
    stream(1, false);
    assert_string_equal(w.parts.p, "ab|c|");
    stream(2, false);
    assert_string_equal(w.parts.p, "abc|");
    stream(3, false); /* at the latest with the end */
    assert_string_equal(w.parts.p, "abc|");
    assert_string_equal(w.text.p, "abc");
}

static void
a_whole_answer_has_no_parts(void **state)
{
    (void)state;
    stream(0, true);
    assert_string_equal(w.parts.p, "");
    assert_string_equal(w.text.p, "abc");
}

/* ---- providers */

static struct chat_run *waiting; /* what a provider has and did not end */

static void
run_never_ends(struct chat_run *r)
{
    waiting = r;
}

static void
run_fails(struct chat_run *r)
{
    chat_fail(r, ERR_UPSTREAM, 0, "no server");
}

static void
run_breaks(struct chat_run *r)
{
    (void)chat_emit(r, STR("half"));
    chat_fail(r, ERR_UPSTREAM, 0, "no server");
}

static void
run_answers(struct chat_run *r)
{
    (void)chat_emit(r, STR("here"));
    chat_finish(r, r->p->model);
}

static bool
let_go(struct chat_run *r)
{
    (void)r;
    w.cancelled++;
    return true;
}

static void
no_close(struct chat_provider *p)
{
    (void)p;
}

static void
ask(struct delivery *call, struct chat_provider *p, struct chat_provider *fallback)
{
    static struct embedder e;
    static const struct embedder_opt opt = { .max_output_tokens = 1024 };
    static const struct chat_req req = { .question = STR("?") };

    p->close = no_close;
    e.opt = &opt;
    e.chat = chat_new(&e, p);
    if (fallback) {
        fallback->close = no_close;
        chat_fall_back(e.chat, fallback);
    }
    w.e = &e;
    w.failures = 0;
    w.err = ERR_OK;
    w.degraded = false;
    w.cancelled = 0;
    w.may_fail = true;
    buf_reset(&w.text);
    call->req = &req;
    chat_on_call(call);
    buf_c(&w.text, 0);
}

static void
the_other_provider_answers_for_one_that_fails_before_its_first_word(void **state)
{
    struct chat_provider bad = { .model = "bad", .run = run_fails };
    struct chat_provider good = { .model = "good", .local = true, .run = run_answers };
    struct delivery call = { 0 };

    (void)state;
    ask(&call, &bad, &good);
    assert_string_equal(w.text.p, "here");
    assert_true(w.degraded);
    assert_int_equal(w.failures, 0);
    chat_free(&w.e->chat);
    ask(&call, &bad, NULL);
    assert_int_equal(w.err, ERR_UPSTREAM);
    chat_free(&w.e->chat);
    ask(&call, &bad, &bad); /* and no third */
    assert_int_equal(w.failures, 1);
    assert_int_equal(w.err, ERR_UPSTREAM);
    chat_free(&w.e->chat);
}

static void
an_answer_that_broke_off_is_no_others(void **state)
{
    struct chat_provider bad = { .model = "bad", .run = run_breaks };
    struct chat_provider good = { .model = "good", .local = true, .run = run_answers };
    struct delivery call = { 0 };

    (void)state;
    ask(&call, &bad, &good);
    assert_int_equal(w.err, ERR_UPSTREAM_CUT);
    assert_string_equal(w.text.p, "");
    chat_free(&w.e->chat);
}

static void
a_cancelled_answer_ends_at_once_where_the_provider_can_let_go(void **state)
{
    struct chat_provider can = { .model = "can", .run = run_never_ends, .cancel = let_go };
    struct chat_provider cannot = { .model = "cannot", .run = run_never_ends };
    struct delivery call = { 0 };

    (void)state;
    ask(&call, &can, NULL);
    call.on_cancel(&call);
    assert_int_equal(w.cancelled, 1);
    assert_int_equal(w.err, ERR_CANCELLED);
    chat_free(&w.e->chat);
    call = (struct delivery){ 0 };
    ask(&call, &cannot, NULL);
    call.on_cancel(&call);
    assert_int_equal(w.failures, 0); /* its thread is at work */
    chat_finish(waiting, "cannot");
    assert_int_equal(w.err, ERR_CANCELLED);
    assert_int_equal(w.failures, 1);
    chat_free(&w.e->chat);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_bus_did_not_take_goes_with_the_next_part),
        cmocka_unit_test(a_whole_answer_has_no_parts),
        cmocka_unit_test(the_other_provider_answers_for_one_that_fails_before_its_first_word),
        cmocka_unit_test(an_answer_that_broke_off_is_no_others),
        cmocka_unit_test(a_cancelled_answer_ends_at_once_where_the_provider_can_let_go),
    };
    int failed;

    embedder_stats_init();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&w.parts);
    buf_free(&w.text);
    return failed;
}
