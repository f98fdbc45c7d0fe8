/* Streaming an answer: what the bus did not take goes with the next part. The bus is replaced by the functions below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "embedder/chat.h"

static struct {
    int full;            /* parts that are not taken */
    struct buf parts;    /* as taken, each with a bar behind it */
    struct buf text;     /* of the reply */
} w;

bool
worker_part(struct call *c, const void *part)
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
worker_reply(struct call *c, const void *rep)
{
    (void)c;
    buf_str(&w.text, ((const struct chat_rep *)rep)->text);
}

void
worker_fail(struct call *c, enum err e, int64_t retry_after_ms, const char *text)
{
    (void)c, (void)retry_after_ms, (void)text;
    fail_msg("failed: %s", err_name(e));
}

void *
worker_ctx(const struct call *c)
{
    (void)c;
    return NULL;
}

static void
stream(int full, bool whole)
{
    static struct embedder e;
    struct chat_req req = { .question = STR("?"), .whole = whole };
    struct call call = { .req = &req };
    struct chat_run *r = mem_new(sizeof *r);

    *r = (struct chat_run){ .e = &e, .call = &call, .answer = BUF_MAX(262144) };
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_bus_did_not_take_goes_with_the_next_part),
        cmocka_unit_test(a_whole_answer_has_no_parts),
    };
    int failed;

    embedder_stats_init();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&w.parts);
    buf_free(&w.text);
    return failed;
}
