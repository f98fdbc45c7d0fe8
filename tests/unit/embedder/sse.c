/* The event stream parser and the chunks of a chat completion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "embedder/embedder.h"

static void
collect(void *arg, struct str data)
{
    struct buf *b = arg;

    buf_c(b, '<');
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

static const char stream[] = "\xef\xbb\xbf" "data: one\n\n"
                             ": a comment\r\n\r\n"
                             "event: x\r\nid: 7\r\ndata:two\r\ndata:  three\r\n\r\n"
                             "data\rdata: \r\r"
                             "dataset: no\n\nretry: 5\n\n"
                             "data: {\"a\":\"\xc3\xa9\"}\n\ndata: [DONE]\n\ndata: unfinished\n";
static const char expected[] = "<one><two\n three><\n><{\"a\":\"\xc3\xa9\"}><[DONE]>";

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

static enum chat_event
chunk(const char *json, struct chat_chunk *c)
{
    return chat_chunk_parse(str_of(json), c);
}

static void
chunks_give_text_finish_usage_and_errors(void **state)
{
    struct chat_chunk c;

    (void)state;
    assert_int_equal(chunk("{\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}", &c), CHAT_EV_CHUNK);
    assert_true(str_is(c.text, "hi"));
    assert_null(c.finish.p);
    assert_int_equal(c.prompt_tokens, -1);
    chat_chunk_free(&c);
    assert_int_equal(chunk("{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null},\"finish_reason\":\"stop\"}]}", &c),
                     CHAT_EV_CHUNK);
    assert_int_equal(c.text.n, 0);
    assert_true(str_is(c.finish, "stop"));
    chat_chunk_free(&c);
    assert_int_equal(chunk("{\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}", &c), CHAT_EV_CHUNK);
    assert_int_equal(c.prompt_tokens, 3);
    assert_int_equal(c.completion_tokens, 4);
    chat_chunk_free(&c);
    assert_int_equal(chunk("{\"error\":{\"message\":\"m\",\"code\":\"boom\"}}", &c), CHAT_EV_ERROR);
    assert_true(str_is(c.code, "boom"));
    chat_chunk_free(&c);
    assert_int_equal(chunk("[DONE]", &c), CHAT_EV_DONE);
    chat_chunk_free(&c);
}

static void
an_event_that_is_no_chunk_is_junk(void **state)
{
    static const char *const junk[] = { "", "{", "[]", "7", "{\"choices\":7}", "{}", "\"x\"", "{\"choices\":[{]}", "\xff" };
    struct chat_chunk c;

    (void)state;
    for (size_t i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        assert_int_equal(chunk(junk[i], &c), CHAT_EV_JUNK);
        chat_chunk_free(&c);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_of_a_stream_gives_the_same_events),
        cmocka_unit_test(an_event_over_the_limit_stops_the_stream),
        cmocka_unit_test(chunks_give_text_finish_usage_and_errors),
        cmocka_unit_test(an_event_that_is_no_chunk_is_junk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
