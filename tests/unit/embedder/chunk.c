/* The chunks of a chat completion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "embedder/openai/stream.h"

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
    assert_int_equal(chunk("{\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}", &c),
                     CHAT_EV_CHUNK);
    assert_true(str_is(c.text, "hi"));
    assert_null(c.finish.p);
    assert_int_equal(c.prompt_tokens, -1);
    chat_chunk_free(&c);
    assert_int_equal(
        chunk(
            "{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null},\"finish_reason\":\"stop\"}]}",
            &c),
        CHAT_EV_CHUNK);
    assert_int_equal(c.text.n, 0);
    assert_true(str_is(c.finish, "stop"));
    chat_chunk_free(&c);
    assert_int_equal(chunk("{\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}", &c),
                     CHAT_EV_CHUNK);
    assert_int_equal(c.prompt_tokens, 3);
    assert_int_equal(c.completion_tokens, 4);
    chat_chunk_free(&c);
    assert_int_equal(chunk("{\"error\":{\"message\":\"m\",\"code\":\"boom\"}}", &c), CHAT_EV_ERROR);
    assert_true(str_is(c.told.code, "boom"));
    chat_chunk_free(&c);
    assert_int_equal(chunk("[DONE]", &c), CHAT_EV_DONE);
    chat_chunk_free(&c);
}

static void
what_can_be_no_text_is_skipped_and_broken_json_is_junk(void **state)
{
    static const char *const junk[] = { "{", "{\"choices\":7}", "{\"choices\":[{]}", "\xff{", "<html>" };
    static const char *const skipped[] = { "",  " ",    "null", "[]", "{}", "ping", "{\"type\":\"ping\"}",
                                           "7", "\"x\"" };
    struct chat_chunk c;

    (void)state;
    for (size_t i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        if (i == 3)
            continue;
        assert_int_equal(chunk(junk[i], &c), CHAT_EV_JUNK);
        chat_chunk_free(&c);
    }
    for (size_t i = 0; i < sizeof skipped / sizeof skipped[0]; i++) {
        if (chunk(skipped[i], &c) != CHAT_EV_SKIP)
            fail_msg("%s is not skipped", skipped[i]);
        chat_chunk_free(&c);
    }
}

static void
every_shape_of_a_chunk_gives_its_text(void **state)
{
    static const struct {
        const char *json, *text;
        bool message, thought;
    } rows[] = {
        { "{\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}}]}",
          "ab", false, false },
        { "{\"choices\":[{\"delta\":{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"x\"}]}]}}]}",
          "", false, true },
        { "{\"choices\":[{\"message\":{\"content\":\"all\"}}]}", "all", true, false },
        { "{\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}", "", false, true },
        { "{\"choices\":[{\"delta\":{\"content\":null,\"reasoning\":\"hm\"}}]}", "", false, true },
        { "{\"choices\":[{\"delta\":{\"content\":\"a\",\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}}]}",
          "a", false, false },
        { "{\"choices\":[{\"text\":\"old\"}]}", "old", false, false },
        { "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"second\"}}]}", "second", false, false },
        { "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}},{\"index\":0,\"delta\":{\"content\":\"a\"}}]}",
          "a", false, false },
        { "{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"null\",\"error\":null}],\"error\":\"\"}",
          "a", false, false },
        { "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}", "a", false, false },
        { "{\"choices\":[{\"delta\":{\"refusal\":\"no\"}}]}", "no", false, false },
        { "{\"choices\":[{}]}", "", false, false },
        { "{\"choices\":[]}", "", false, false },
        { "{\"choices\":null,\"usage\":{\"prompt_tokens\":\"3\"}}", "", false, false },
    };
    struct chat_chunk c;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(chunk(rows[i].json, &c), CHAT_EV_CHUNK);
        if (!str_eq(c.text, str_of(rows[i].text)) || c.message != rows[i].message ||
            c.thought != rows[i].thought)
            fail_msg("%s", rows[i].json);
        chat_chunk_free(&c);
    }
    assert_int_equal(chunk("{\"error\":\"overloaded\"}", &c), CHAT_EV_ERROR);
    chat_chunk_free(&c);
    assert_int_equal(chunk("{\"object\":\"error\",\"message\":\"m\",\"code\":40001}", &c), CHAT_EV_ERROR);
    chat_chunk_free(&c);
    assert_int_equal(chunk("{\"choices\":[{\"delta\":{},\"error\":{\"code\":429,\"message\":\"m\"}}]}", &c),
                     CHAT_EV_ERROR);
    assert_int_equal(c.told.status, 429);
    chat_chunk_free(&c);
    assert_int_equal(chunk("{\"choices\":[{\"index\":0},{\"index\":1}]}", &c), CHAT_EV_CHUNK);
    assert_true(c.several && c.index == 0);
    chat_chunk_free(&c);
    assert_string_equal(chat_finish_name(STR("MAX_TOKENS")), "length");
    assert_string_equal(chat_finish_name(STR("eos")), "stop");
    assert_string_equal(chat_finish_name(STR("SAFETY")), "content_filter");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_give_text_finish_usage_and_errors),
        cmocka_unit_test(what_can_be_no_text_is_skipped_and_broken_json_is_junk),
        cmocka_unit_test(every_shape_of_a_chunk_gives_its_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
