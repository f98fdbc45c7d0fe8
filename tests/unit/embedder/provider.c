/* Which provider is in use: named ones, auto, and what is said of a name that nobody has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "embedder/provider.h"

/* The options as they stand when nothing is set. */
static struct embedder_opt
unset(void)
{
    return (struct embedder_opt){ .embedding_provider = "auto",
                                  .chat_provider = "auto",
                                  .chat_fallback = "off",
                                  .api_key = "",
                                  .base_url = "",
                                  .embedding_base_url = "",
                                  .rerank_url = "",
                                  .rerank_key = "",
                                  .embedding_api_key = "",
                                  .key_header = "",
                                  .model = "m",
                                  .embedding_model = "e",
                                  .model_file = "" };
}

static void
auto_takes_openai_where_a_key_or_a_server_is_set(void **state)
{
    struct embedder_opt o = unset();

    (void)state;
    assert_string_equal(provider_for_embed(&o)->name, "builtin");
    assert_string_equal(provider_for_chat(&o)->name, "builtin");
    o.embedding_base_url = "http://e/v1"; /* of embeddings alone */
    assert_string_equal(provider_for_embed(&o)->name, "openai");
    assert_string_equal(provider_for_chat(&o)->name, "builtin");
    o = unset();
    o.api_key = "k";
    assert_string_equal(provider_for_embed(&o)->name, "openai");
    assert_string_equal(provider_for_chat(&o)->name, "openai");
    o = unset();
    o.base_url = "http://c/v1";
    assert_string_equal(provider_for_embed(&o)->name, "openai");
    assert_string_equal(provider_for_chat(&o)->name, "openai");
}

static void
a_name_comes_before_what_else_is_set(void **state)
{
    struct embedder_opt o = unset();

    (void)state;
    o.api_key = "k";
    o.embedding_provider = "builtin";
    assert_string_equal(provider_for_embed(&o)->name, "builtin");
    assert_string_equal(provider_for_chat(&o)->name, "openai");
    o.chat_provider = "builtin";
    assert_string_equal(provider_for_chat(&o)->name, "builtin");
    assert_null(provider_for_fallback(&o));
    o.chat_fallback = "builtin";
    assert_string_equal(provider_for_fallback(&o)->name, "builtin");
}

static void
auto_takes_a_model_file_where_no_server_is_set(void **state)
{
    struct embedder_opt o = unset();

    (void)state;
    o.model_file = "m.model";
    assert_string_equal(provider_for_embed(&o)->name, "minilm");
    assert_string_equal(provider_for_chat(&o)->name, "builtin");
    o.embedding_provider = "ngram";
    assert_string_equal(provider_for_embed(&o)->name, "ngram");
    o.embedding_provider = "auto";
    o.api_key = "k";
    assert_string_equal(provider_for_embed(&o)->name, "openai");
}

static void
a_name_that_nobody_has_is_told_with_those_that_are_there(void **state)
{
    struct embedder_opt o = unset();
    struct buf err = BUF_MAX(4096);

    (void)state;
    provider_check(&o, &err);
    assert_int_equal(err.n, 0);
    o.embedding_provider = "opnai";
    o.chat_provider = "off";
    o.chat_fallback = "openai"; /* it would fail together with what it stands in for */
    provider_check(&o, &err);
    buf_c(&err, 0);
    assert_string_equal(
        err.p, "EMBEDDING_PROVIDER: \"opnai\" is not known; allowed: auto, openai, minilm, ngram, builtin\n"
               "CHAT_PROVIDER: \"off\" is not known; allowed: auto, openai, builtin\n"
               "CHAT_FALLBACK: \"openai\" is not known; allowed: off, builtin\n");
    buf_free(&err);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auto_takes_openai_where_a_key_or_a_server_is_set),
        cmocka_unit_test(a_name_comes_before_what_else_is_set),
        cmocka_unit_test(auto_takes_a_model_file_where_no_server_is_set),
        cmocka_unit_test(a_name_that_nobody_has_is_told_with_those_that_are_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
