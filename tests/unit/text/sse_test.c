/* Server-sent events: what a server may send, in pieces of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/sse.h"

static void
collect(void *arg, struct str event, struct str data)
{
    struct buf *b = arg;

    buf_c(b, '<');
    if (event.n > 0) {
        buf_str(b, event);
        buf_c(b, '|');
    }
    buf_str(b, data);
    buf_c(b, '>');
}

static void
parse(const char *bytes, size_t n, size_t cut1, size_t cut2, struct buf *out)
{
    struct sse s;

    buf_reset(out);
    sse_init(&s, 4096, collect, out);
    sse_push(&s, bytes, cut1);
    sse_push(&s, bytes + cut1, cut2 - cut1);
    sse_push(&s, bytes + cut2, n - cut2);
    sse_fini(&s);
}

static const char stream[] = "\xef\xbb\xbf"
                             "data: one\n\n"
                             ": a comment\r\n\r\n"
                             "event: x\r\nid: 7\r\ndata:two\r\ndata:  three\r\n\r\n"
                             "data\rdata: \r\r"
                             "dataset: no\n\nretry: 5\n\n"
                             "error: {\"code\":3}\n\n"
                             "event:one\nevent: y\ndata: four\n\ndata: five\n\nevent: alone\n\ndata: six\n\n"
                             "data: {\"a\":\"\xc3\xa9\"}\n\ndata: [DONE]\n\ndata: unfinished\n";
static const char expected[] =
    "<one><x|two\n three><\n><{\"error\": {\"code\":3}}><y|four><five><six><{\"a\":\"\xc3\xa9\"}><[DONE]>";

static void
every_split_of_a_stream_gives_the_same_events(void **state)
{
    struct buf out = { 0 };
    size_t n = sizeof stream - 1;

    (void)state;
    for (size_t i = 0; i <= n; i++)
        for (size_t k = i; k <= n; k++) {
            parse(stream, n, i, k, &out);
            assert_string_equal(out.p, expected);
        }
    buf_free(&out);
}

static void
an_event_over_the_limit_stops_the_stream(void **state)
{
    struct buf out = { 0 };
    struct sse s;

    (void)state;
    sse_init(&s, 100, collect, &out);
    sse_push(&s, "data: ok\n\n", 10);
    for (int i = 0; i < 50; i++)
        sse_push(&s, "data: xxxxxxxxxx\n", 17);
    sse_push(&s, "\n\ndata: late\n\n", 14);
    assert_true(sse_overflow(&s));
    assert_string_equal(out.p, "<ok>");
    sse_fini(&s);
    buf_free(&out);
}

/* A stream pushed at once; clean: its end, too. */
static void
expect(const char *bytes, bool clean, const char *events)
{
    struct buf out = { 0 };
    struct sse s;

    buf_z(&out, "");
    sse_init(&s, 4096, collect, &out);
    sse_push(&s, bytes, strlen(bytes));
    if (clean)
        sse_end(&s);
    assert_string_equal(buf_slice(&out).p, events);
    sse_fini(&s);
    buf_free(&out);
}

static void
an_event_without_its_blank_line_counts_only_at_a_clean_end(void **state)
{
    (void)state;
    expect("data: a\n\nevent: done\ndata: b\n", false, "<a>");
    expect("data: a\n\nevent: done\ndata: b\n", true, "<a><done|b>");
    expect("data: a\n\nevent: done\ndata: b", true, "<a><done|b>");
    expect("data: a\n\n: ping\n", true, "<a>");
}

static void
a_name_over_the_limit_stops_the_stream(void **state)
{
    char name[300] = "event: ";
    struct buf out = { 0 };
    struct sse s;

    (void)state;
    memset(name + 7, 'x', sizeof name - 7);
    sse_init(&s, 100, collect, &out);
    sse_push(&s, "event: delta\ndata: ok\n\n", 24);
    sse_push(&s, name, sizeof name);
    sse_push(&s, "\ndata: late\n\n", 14);
    sse_end(&s);
    assert_true(sse_overflow(&s));
    assert_string_equal(out.p, "<delta|ok>");
    sse_fini(&s);
    buf_free(&out);
}

static void
lines_that_belong_to_no_event_are_kept_where_they_are_wanted(void **state)
{
    static const char bytes[] = "data: a\n\n: ping\n{\n  \"error\": 1\n}\nid: 2\nretry: 3\ndata: b\n\n";
    struct buf out = { 0 }, others = BUF_MAX(100);
    struct sse s;

    (void)state;
    sse_init(&s, 4096, collect, &out);
    s.others = &others;
    for (size_t i = 0; i < sizeof bytes - 1; i++)
        sse_push(&s, bytes + i, 1);
    assert_string_equal(out.p, "<a><b>");
    assert_string_equal(others.p, "{\n  \"error\": 1\n}\n");
    sse_fini(&s);
    buf_free(&others);
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_of_a_stream_gives_the_same_events),
        cmocka_unit_test(an_event_over_the_limit_stops_the_stream),
        cmocka_unit_test(an_event_without_its_blank_line_counts_only_at_a_clean_end),
        cmocka_unit_test(a_name_over_the_limit_stops_the_stream),
        cmocka_unit_test(lines_that_belong_to_no_event_are_kept_where_they_are_wanted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
