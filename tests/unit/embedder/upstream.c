/* The meaning of an upstream's errors and replies, the wait it asks for, and the breaker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "embedder/openai/embed.h"
#include "embedder/openai/upstream.h"

static void
statuses_and_codes_map_to_our_errors(void **state)
{
    static const struct {
        long status;
        const char *body;
        enum err err;
    } rows[] = {
        { 401, "{}", ERR_UPSTREAM_REFUSED },
        { 403, "", ERR_UPSTREAM_REFUSED },
        { 404, "{\"error\":{\"code\":\"model_not_found\"}}", ERR_UPSTREAM_REFUSED },
        { 400, "{}", ERR_UPSTREAM_REFUSED },
        { 408, "", ERR_UPSTREAM_TIMEOUT },
        { 429, "{}", ERR_UPSTREAM_LIMITED },
        { 429, "{\"error\":{\"code\":\"rate_limit_exceeded\"}}", ERR_UPSTREAM_LIMITED },
        { 429, "{\"error\":{\"code\":\"insufficient_quota\"}}", ERR_UPSTREAM_QUOTA },
        { 429, "{\"error\":{\"code\":null,\"type\":\"insufficient_quota\"}}", ERR_UPSTREAM_QUOTA },
        { 429, "{\"error\":{\"code\":\"billing_hard_limit_reached\"}}", ERR_UPSTREAM_QUOTA },
        { 500, "<html>", ERR_UPSTREAM },
        { 502, "", ERR_UPSTREAM },
        { 503, "", ERR_UPSTREAM },
        { 504, "", ERR_UPSTREAM_TIMEOUT },
        { 501, "", ERR_UPSTREAM_REFUSED },
        { 302, "", ERR_UPSTREAM_REPLY },
        { 204, "", ERR_UPSTREAM_REPLY },
        { 400, "{\"error\":{\"message\":\"Your credit balance is too low to access the API\"}}",
          ERR_UPSTREAM_QUOTA },
        { 403, "{\"code\":30001,\"message\":\"Sorry, your account balance is insufficient\"}",
          ERR_UPSTREAM_QUOTA },
        { 429, "{\"error\":{\"type\":\"exceeded_current_quota_error\"}}", ERR_UPSTREAM_QUOTA },
        { 429,
          "[{\"error\":{\"message\":\"You exceeded your current quota, please check your plan and billing details.\"}}]",
          ERR_UPSTREAM_LIMITED },
        { 424, "", ERR_UPSTREAM },
        { 498, "", ERR_UPSTREAM_LIMITED },
        { 524, "", ERR_UPSTREAM_TIMEOUT },
        { 529, "", ERR_UPSTREAM },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct upstream_fault f = upstream_map(rows[i].status, str_of(rows[i].body));

        assert_int_equal(f.err, rows[i].err);
        assert_non_null(f.text);
    }
}

static void
upstream_text_is_reduced_to_a_clean_code(void **state)
{
    struct upstream_fault f =
        upstream_map(500, STR("{\"error\":{\"code\":\"a b\\n\\\"<c>\",\"message\":\"secret\"}}"));

    (void)state;
    assert_string_equal(f.code, "abc");
    assert_null(strstr(f.text, "secret"));
}

static void
a_refused_parameter_is_recognised_in_every_shape(void **state)
{
    static const char *const names[] = { "stream_options",        "temperature", "max_tokens",
                                         "max_completion_tokens", "stream",      "role system",
                                         "messages\nrole" };
    static const struct {
        const char *body;
        int which;
    } rows[] = {
        { "{\"error\":{\"param\":\"stream_options\",\"message\":\"max_tokens and temperature are fine\"}}",
          0 },
        { "{\"error\":{\"message\":\"Unknown: 'stream_options'\"}}", 0 },
        { "{\"error\":\"Unrecognized argument: stream_options\"}", 0 },
        { "{\"detail\":[{\"loc\":[\"body\",\"stream_options\"],\"msg\":\"extra fields not permitted, see temperature\",\"type\":\"value_error.extra\"}]}",
          0 },
        { "{\"detail\":\"temperature is not supported\"}", 1 },
        { "{\"message\":\"temperature: only 1\"}", 1 },
        { "{\"error\":{\"message\":\"Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.\"}}",
          2 },
        { "{\"error\":{\"message\":\"Unsupported parameter: 'max_completion_tokens'\"}}", 3 },
        { "{\"error\":{\"message\":\"bad\"}}", -1 },
        { "{\"error\":{\"message\":\"streams and mytemperature_x\"}}", -1 },
        { "unknown field temperature", 1 },
        { "{\"error\":{\"message\":\"This model doesn't support \\\"stream\\\"\"}}", 4 },
        { "{\"message\":\"Unexpected role 'system'.\"}", 5 },
        { "{\"detail\":[{\"loc\":[\"body\",\"messages\",0,\"role\"],\"msg\":\"Input should be 'user'\"}]}",
          6 },
        { "", -1 },
        { "{\"error\":[[[[[[[[\"temperature\"]]]]]]]]}", -1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (upstream_blames(str_of(rows[i].body), names, 7) != rows[i].which)
            fail_msg("%s names %d", rows[i].body, upstream_blames(str_of(rows[i].body), names, 7));
}

static void
what_is_too_large_is_told_from_what_is_unknown(void **state)
{
    (void)state;
    assert_true(upstream_too_large(STR(
        "{\"error\":{\"message\":\"max_tokens is too large: 1024. This model's maximum context length is 512\"}}")));
    assert_true(
        upstream_too_large(STR("{\"error\":\"`inputs` tokens + `max_new_tokens` must be <= 2048\"}")));
    assert_true(upstream_too_large(STR("{\"error\":{\"code\":\"context_length_exceeded\"}}")));
    assert_false(upstream_too_large(STR("{\"error\":{\"message\":\"Unsupported parameter: max_tokens\"}}")));
    assert_true(upstream_too_many(
        STR("{\"error\":\"batch size 33 > maximum allowed batch size 32\",\"error_type\":\"Validation\"}")));
    assert_true(upstream_too_many(STR(
        "{\"detail\":[{\"loc\":[\"body\",\"input\"],\"msg\":\"List should have at most 10 items\",\"type\":\"too_long\"}]}")));
    assert_false(upstream_too_many(STR("{\"error\":\"unknown model\"}")));
}

static void
base_urls_are_read_as_people_write_them(void **state)
{
    static const struct {
        const char *text, *prefix, *query;
        bool azure, bare, open;
    } rows[] = {
        { "http://h:1", "http://h:1", "", false, true, true },
        { "http://h:1/", "http://h:1", "", false, true, true },
        { "https://h/v1", "https://h/v1", "", false, false, false },
        { "https://h/v1//", "https://h/v1", "", false, false, false },
        { "https://h/v1/chat/completions", "https://h/v1", "", false, false, false },
        { "https://h/v1/embeddings/", "https://h/v1", "", false, false, false },
        { "https://h/api", "https://h/api", "", false, false, true },
        { "https://h/deployments/x?api-version=2024-06-01", "https://h/deployments/x",
          "api-version=2024-06-01", true, false, false },
        { "https://n.openai.azure.com/", "https://n.openai.azure.com/openai/v1", "", true, false, false },
        { "https://h/v1/responses", "https://h/v1", "", false, false, false },
        { "https://h/v1/models", "https://h/v1", "", false, false, false },
        { "https://h/v1/chat/completions/chat/completions/", "https://h/v1", "", false, false, false },
        { "https://r.services.ai.azure.com/models?api-version=2024-05-01-preview",
          "https://r.services.ai.azure.com/models", "api-version=2024-05-01-preview", true, false, false },
        { "https://x.eastus2.models.ai.azure.com", "https://x.eastus2.models.ai.azure.com", "", true, true,
          true },
        { "https://n.openai.azure.com/openai/v1", "https://n.openai.azure.com/openai/v1", "", true, false,
          false },
        { "HTTP://h/v1", "http://h/v1", "", false, false, false },
    };
    static const char *const bad[] = { "ftp://h",    "h/v1",          "http://",         "http://h:99999/v1",
                                       "http://h:x", "http://h/v1#x", "http://u:p@h/v1", "http://h/a b" };
    struct base_url b;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_null(base_url_read(rows[i].text, &b));
        assert_string_equal(b.prefix, rows[i].prefix);
        assert_string_equal(b.query, rows[i].query);
        assert_true(b.azure == rows[i].azure && b.bare == rows[i].bare && b.open == rows[i].open);
        base_url_fini(&b);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!base_url_read(bad[i], &b))
            fail_msg("%s is taken", bad[i]);
        base_url_fini(&b);
    }
}

static void
waits_are_read_in_every_form(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        { "2", 2000 },
        { " 2 ", 2000 },
        { "0.5", 500 },
        { "6m0s", 360000 },
        { "250ms", 250 },
        { "1.5s", 1500 },
        { "1h", 3600000 },
        { "", -1 },
        { "soon", -1 },
        { "-3", -1 },
        { "1s2", -1 },
        { "99999999999", 86400000 },
        { "Wed, 21 Oct 2015 07:28:00 GMT", -1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(upstream_wait_ms(str_of(rows[i].text)), rows[i].ms);
}

static void
waits_are_read_in_bodies(void **state)
{
    static const struct {
        const char *body;
        int64_t ms;
    } rows[] = {
        { "", 0 },
        { "<html>", 0 },
        { "{}", 0 },
        { "[{\"error\":{\"details\":[{\"retryDelay\":\"22.5s\"}]}}]", 22500 },
        { "{\"error\":{\"metadata\":{\"retry_after_seconds\":7}}}", 7000 },
        { "{\"retry_after\":\"3\"}", 3000 },
        { "{\"retry_after_ms\":250}", 250 },
        { "{\"retry_after_ms\":\"250\"}", 250 },
        { "{\"retry_after\":-1}", 0 },
        { "{\"retry_after\":1e300}", 86400000 },
        { "{\"retry_after_ms\":1e300}", 86400000 },
        { "{\"retry_after\":\"soon\"}", 0 },
        { "{\"error\":{\"message\":\"Please try again in 1m2.5s. Visit us.\"}}", 62500 },
        { "{\"error\":{\"message\":\"Try again in 250ms\"}}", 250 },
        { "{\"message\":\"Please retry after 86400 seconds.\"}", 86400000 },
        { "Please retry after 500 ms", 500 },
        { "retry in 2 minutes", 120000 },
        { "retry after ", 0 },
        { "retry after a while", 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (upstream_wait_in(ERR_UPSTREAM, str_of(rows[i].body)) != rows[i].ms)
            fail_msg("%s: %lld", rows[i].body,
                     (long long)upstream_wait_in(ERR_UPSTREAM, str_of(rows[i].body)));
    assert_int_equal(upstream_wait_in(ERR_UPSTREAM_LIMITED, STR("{}")),
                     1000); /* a limit that names no time */
    assert_int_equal(upstream_wait_in(ERR_UPSTREAM_LIMITED, STR("retry in 2s")), 2000);
}

static void
an_error_in_a_reply_is_told_from_what_was_asked_for(void **state)
{
    static const struct {
        const char *body;
        long status; /* -1: none */
    } rows[] = {
        { "{\"choices\":[{}],\"error\":null}", -1 },
        { "{\"choices\":[{}],\"error\":\"\"}", -1 },
        { "{\"choices\":[{}],\"detail\":\"x\",\"code\":1,\"message\":\"x\"}", -1 },
        { "{\"data\":[1],\"errors\":[]}", -1 },
        { "[[1,2]]", -1 },
        { "[1]", -1 },
        { "{}", -1 },
        { "{\"type\":\"ping\"}", -1 },
        { "{\"status\":\"queued\",\"message\":\"wait\"}", -1 },
        { "{\"base_resp\":{\"status_code\":0}}", -1 },
        { "{\"choices\":[{}],\"error\":\"x\"}", 0 },
        { "{\"choices\":[],\"base_resp\":{\"status_code\":1004}}", 0 },
        { "{\"error\":{\"code\":\"429\"}}", 429 },
        { "[{\"error\":{\"code\":503}}]", 503 },
        { "{\"error\":{\"code\":\"x\"},\"status_code\":400}", 400 },
        { "{\"error\":{\"type\":\"overloaded_error\"}}", 503 },
        { "{\"error\":\"x\",\"error_type\":\"validation\"}", 400 },
        { "{\"error\":{\"status\":\"UNAUTHENTICATED\"}}", 401 },
        { "{\"object\":\"error\",\"type\":\"NotFoundError\"}", 404 },
        { "{\"detail\":\"x\"}", 0 },
        { "{\"success\":false}", 0 },
        { "{\"errors\":[{\"code\":7003}]}", 0 },
        { "{\"code\":50505,\"message\":\"x\"}", 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *root = json_loads(rows[i].body, 0, NULL);
        struct upstream_told told;
        bool is = upstream_told(root, &told);

        if (is != (rows[i].status >= 0) || (is && told.status != rows[i].status))
            fail_msg("%s: %d, %ld", rows[i].body, is, told.status);
        json_decref(root);
    }
}

static void
five_failures_open_it_and_one_probe_at_a_time_tries_again(void **state)
{
    struct breaker f = { .in_a_row = true };
    bool probe;
    int64_t wait, now = 1000;

    (void)state;
    for (int i = 0; i < 4; i++)
        breaker_bad(&f, now, false);
    breaker_good(&f, false);
    for (int i = 0; i < 4; i++)
        breaker_bad(&f, now, false);
    assert_int_equal(upstream_may(&f, now, &probe, &wait), ERR_OK);
    breaker_bad(&f, now, false);
    for (int64_t open = 1000; open <= 16000; open *= 2) {
        assert_int_equal(upstream_may(&f, now, &probe, &wait), ERR_UPSTREAM);
        assert_int_equal(wait, open > 8000 ? 8000 : open);
        now += wait;
        assert_int_equal(upstream_may(&f, now, &probe, &wait), ERR_OK);
        assert_true(probe);
        assert_int_equal(upstream_may(&f, now, &probe, &wait), ERR_UPSTREAM);
        breaker_bad(&f, now, false); /* a late one changes nothing */
        assert_int_equal(f.state, BREAKER_PROBING);
        breaker_bad(&f, now, true);
    }
    now += 8000;
    assert_int_equal(upstream_may(&f, now, &probe, &wait), ERR_OK);
    breaker_drop(&f, now, probe); /* the probe's caller went away: the next one probes */
    assert_int_equal(upstream_may(&f, now, &probe, &wait), ERR_OK);
    assert_true(probe);
    breaker_good(&f, true);
    assert_int_equal(f.state, BREAKER_CLOSED);
}

static void
a_billing_error_allows_one_call_a_minute(void **state)
{
    struct breaker f = { .in_a_row = true };
    bool probe;
    int64_t wait;
    int sent = 0;

    (void)state;
    for (int64_t now = 0; now < 300000; now += 50)
        if (upstream_may(&f, now, &probe, &wait) == ERR_OK) {
            sent++;
            breaker_hold(&f, now, UPSTREAM_QUOTA_MS);
        } else {
            assert_int_equal(upstream_may(&f, now, &probe, &wait), ERR_UPSTREAM_QUOTA);
        }
    assert_int_equal(sent, 5);
}

static bool
reply(const char *body, size_t n, int64_t dims)
{
    struct embed_task t = { .n = n, .dims = dims };
    bool ok = embed_reply_parse(str_of(body), &t);

    assert_int_equal(t.err, ok ? ERR_OK : ERR_UPSTREAM_REPLY);
    if (ok)
        assert_true(t.vectors[0] * t.vectors[0] + t.vectors[1] * t.vectors[1] > 0.999f);
    mem_free(&t.vectors);
    return ok;
}

#define ROW(i, v) "{\"index\":" #i ",\"embedding\":" v "}"

static void
vectors_are_taken_as_base64_or_numbers_and_scaled(void **state)
{
    (void)state;
    assert_true(reply("{\"data\":[" ROW(0, "[3,4]") "," ROW(1, "[1,0.0]") "]}", 2, 0));
    assert_true(reply("{\"data\":[" ROW(0, "\"AABAQAAAgEA=\"") "]}", 1, 2));          /* 3, 4 */
    assert_true(reply("{\"data\":[" ROW(1, "[1,0]") "," ROW(0, "[3,4]") "]}", 2, 0)); /* by index */
    assert_true(reply("{\"data\":[" ROW(0, "[1,0]") "," ROW(0, "[3,4]") "]}", 2, 0)); /* by place */
    assert_true(reply("{\"data\":[{\"embedding\":[1,0]},{\"embedding\":[3,4]}]}", 2, 0));
    assert_true(reply("\xef\xbb\xbf[[1,0],[3,4]]", 2, 0));
    assert_true(reply("{\"embeddings\":[[1,0]]}", 1, 0));
    assert_true(reply("{\"embedding\":[3,4]}", 1, 0));
    assert_int_equal(embed_reply_rows(STR("{\"data\":[{},{}]}")), 2);
    assert_int_equal(embed_reply_rows(STR("{\"embedding\":[3,4]}")), 1);
    assert_int_equal(embed_reply_rows(STR("[[1,2],[3,4],[5,6]]")), 3);
    assert_int_equal(embed_reply_rows(STR("no")), 0);
}

static void
every_unusable_reply_is_refused(void **state)
{
    static const struct {
        const char *body;
        size_t n;
        int64_t dims;
    } rows[] = {
        { "<html>nope</html>", 1, 0 },
        { "", 1, 0 },
        { "{}", 1, 0 },
        { "{\"data\":{}}", 1, 0 },
        { "{\"data\":[]}", 1, 0 },
        { "{\"data\":[" ROW(0, "[3,4]") "]}", 2, 0 },
        { "{\"data\":[" ROW(0, "[3,4]") "," ROW(1, "[3,4]") "]}", 1, 0 },
        { "{\"data\":[" ROW(0, "[3,4]") "," ROW(0, "[3,4]") "," ROW(2, "[3,4]") "]}", 3, 0 },
        { "{\"data\":[" ROW(2, "[3,4]") "," ROW(3, "[3,4]") "]}", 2, 0 },
        { "{\"data\":[" ROW(0, "[3,4]") ",{\"embedding\":[3,4]}]}", 2, 0 },
        { "{\"data\":[" ROW(0, "[3,4]") "," ROW(1, "[3,4,5]") "]}", 2, 0 },
        { "{\"data\":[" ROW(0, "[3,4]") "]}", 1, 3 },
        { "{\"data\":[" ROW(0, "[]") "]}", 1, 0 },
        { "{\"data\":[" ROW(0, "[0,0]") "]}", 1, 0 },
        { "{\"data\":[" ROW(0, "[3,NaN]") "]}", 1, 0 },
        { "{\"data\":[" ROW(0, "[3,1e999]") "]}", 1, 0 },
        { "{\"data\":[" ROW(0, "[3,1e300]") "]}", 1, 0 },
        { "{\"data\":[" ROW(0, "[3,\"four\"]") "]}", 1, 0 },
        { "{\"data\":[" ROW(0, "[3,\"\"]") "]}", 1, 0 },
        { "{\"data\":[" ROW(0, "null") "]}", 1, 0 },
        { "{\"data\":[" ROW(0, "\"AABAQAAAgE\"") "]}", 1, 0 },
        { "{\"data\":[" ROW(0, "\"!!!!\"") "]}", 1, 0 },
        { "{\"data\":[" ROW(0, "\"AADAfwAAgEA=\"") "]}", 1, 0 }, /* NaN */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (reply(rows[i].body, rows[i].n, rows[i].dims))
            fail_msg("row %zu was taken: %s", i, rows[i].body);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_and_codes_map_to_our_errors),
        cmocka_unit_test(upstream_text_is_reduced_to_a_clean_code),
        cmocka_unit_test(a_refused_parameter_is_recognised_in_every_shape),
        cmocka_unit_test(what_is_too_large_is_told_from_what_is_unknown),
        cmocka_unit_test(base_urls_are_read_as_people_write_them),
        cmocka_unit_test(waits_are_read_in_every_form),
        cmocka_unit_test(waits_are_read_in_bodies),
        cmocka_unit_test(an_error_in_a_reply_is_told_from_what_was_asked_for),
        cmocka_unit_test(five_failures_open_it_and_one_probe_at_a_time_tries_again),
        cmocka_unit_test(a_billing_error_allows_one_call_a_minute),
        cmocka_unit_test(vectors_are_taken_as_base64_or_numbers_and_scaled),
        cmocka_unit_test(every_unusable_reply_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
