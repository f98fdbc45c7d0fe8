/* Requests to rerank servers, and their replies. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "embedder/openai/rerank.h"

static void
both_shapes_of_replies_are_read(void **state)
{
    static const char *const good[] = {
        "{\"results\":[{\"index\":1,\"relevance_score\":0.75},{\"index\":0,\"relevance_score\":0.25}]}",
        "{\"results\":[{\"index\":1,\"document\":{},\"relevance_score\":0.75},{\"index\":0,\"relevance_score\":0.25}]}",
        "[{\"index\":1,\"score\":0.75},{\"index\":0,\"score\":0.25,\"text\":null}]",
        "{\"object\":\"list\",\"data\":[{\"index\":0,\"score\":0.25},{\"index\":1,\"score\":0.75}]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        float s[2] = { 9, 9 };
        int64_t tokens = 7;

        assert_true(rerank_parse(str_of(good[i]), 2, s, &tokens));
        assert_true(fabsf(s[0] - 0.25f) < 1e-6f && fabsf(s[1] - 0.75f) < 1e-6f);
    }
}

static void
a_text_that_is_left_out_gets_nothing_and_logits_become_shares(void **state)
{
    float s[3] = { 9, 9, 9 };
    int64_t tokens = 7;

    (void)state;
    assert_true(rerank_parse(STR("{\"results\":[{\"index\":2,\"relevance_score\":1}]}"), 3, s, &tokens));
    rerank_shares(s, 3);
    assert_true(s[0] <= 0 && s[1] <= 0 && s[2] >= 1 && tokens == 0);
    assert_true(rerank_parse(
        STR("{\"results\":[{\"index\":0,\"relevance_score\":1}],\"usage\":{\"total_tokens\":41}}"), 1, s,
        &tokens));
    assert_int_equal(tokens, 41);
    assert_true(rerank_parse(
        STR("[{\"index\":0,\"score\":-9.5},{\"index\":1,\"score\":0},{\"index\":2,\"score\":3}]"), 3, s,
        &tokens));
    rerank_shares(s, 3);
    assert_true(s[0] > 0 && s[0] < 1e-3f && fabsf(s[1] - 0.5f) < 1e-6f && s[2] > 0.95f && s[2] < 1);
}

static void
anything_else_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"results\":[]}",
        "{\"results\":{}}",
        "[1,2]",
        "[{\"index\":2,\"score\":1}]",
        "[{\"index\":-1,\"score\":1}]",
        "[{\"index\":0.5,\"score\":1}]",
        "[{\"index\":\"0\",\"score\":1}]",
        "[{\"index\":0}]",
        "[{\"index\":0,\"score\":\"1\"}]",
        "[{\"index\":0,\"score\":1e300}]",
        "[{\"index\":0,\"score\":0.1},{\"index\":0,\"score\":0.2}]",
        "[{\"index\":0,\"score\":0.1}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        float s[2];
        int64_t tokens;

        if (rerank_parse(str_of(bad[i]), 2, s, &tokens))
            fail_msg("taken: %s", bad[i]);
    }
}

static void
a_request_has_the_members_of_its_shape_alone(void **state)
{
    struct str texts[] = { STR("a \"quote\""), STR("b"), STR("c") };
    struct rerank_req req = { .query = STR("q"), .texts = { texts, 3 } };
    struct rerank_form documents = { .shape = RERANK_DOCUMENTS, .n = 2 },
                       shapes = { .shape = RERANK_TEXTS, .n = 2 },
                       bare = { .without = RERANK_NO_TOP | RERANK_NO_RETURN, .first = 1, .n = 2 };
    struct buf b = BUF_MAX(4096);

    (void)state;
    rerank_body(&documents, "m", &req, &b);
    assert_true(str_is(buf_slice(&b),
                       "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"a \\\"quote\\\"\",\"b\"],"
                       "\"top_n\":2,\"return_documents\":false}"));
    b.n = 0;
    rerank_body(&shapes, "m", &req, &b);
    assert_true(str_is(buf_slice(&b),
                       "{\"query\":\"q\",\"texts\":[\"a \\\"quote\\\"\",\"b\"],\"truncate\":true}"));
    b.n = 0;
    rerank_body(&bare, "", &req, &b);
    assert_true(str_is(buf_slice(&b), "{\"query\":\"q\",\"documents\":[\"b\",\"c\"]}"));
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_shapes_of_replies_are_read),
        cmocka_unit_test(a_text_that_is_left_out_gets_nothing_and_logits_become_shares),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(a_request_has_the_members_of_its_shape_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
