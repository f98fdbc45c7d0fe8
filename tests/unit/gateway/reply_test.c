/* Heads of answers and problem objects, without a connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/text/json.h"
#include "gateway/edge/status.h"
#include "gateway/gateway.h"
#include "gateway/request/head.h"
#include "gateway/request/problem.h"
#include "gateway/serve.h"

static struct http_conn conn;

static struct request
request_of(void)
{
    conn = (struct http_conn){ .fd = -1, .frame.keep = true, .body_done = true, .limits.violated = -1 };
    return (struct request){ .conn = &conn, .id = "req-1", .method = METHOD_GET };
}

static void
an_unknown_status_is_labelled_other(void **s)
{
    (void)s;
    assert_string_equal(status_labels[status_label(429)], "429");
    assert_string_equal(status_labels[status_label(299)], "other");
    assert_string_equal(status_text(503), "Service Unavailable");
}

static void
a_problem_object_has_every_field_of_the_contract(void **s)
{
    static const char *const keys[] = { "type",     "title", "status",     "detail",
                                        "instance", "code",  "request_id", "errors" };
    struct request r = request_of();
    struct buf b = BUF_MAX(4096);
    enum json_fault fault;
    const char *why;
    json_t *o;

    (void)s;
    problem_json(&r, ERR_VALIDATION, "must \"have\" 1 to 500\ncharacters", "/question", &b);
    o = json_read(buf_slice(&b), &fault, &why);
    assert_non_null(o);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_non_null(json_object_get(o, keys[i]));
    assert_int_equal(json_int(o, "status", 0), 422);
    assert_true(str_is(json_str(o, "code"), "validation"));
    assert_true(str_is(json_str(json_array_get(json_object_get(o, "errors"), 0), "pointer"), "/question"));
    json_decref(o);
    buf_free(&b);
}

static void
a_429_says_when_to_come_again_and_may_be_read_by_the_page(void **s)
{
    struct request r = request_of();
    struct buf b = BUF_MAX(8192);

    (void)s;
    conn.origin = "https://docs.example";
    request_retry_after(&r, 1500);
    reply_head(&r, 429, "application/problem+json", 10, &b);
    assert_non_null(strstr(b.p, "HTTP/1.1 429 Too Many Requests\r\n"));
    assert_non_null(strstr(b.p, "Retry-After: 2\r\nretry-after-ms: 1500\r\n"));
    assert_non_null(strstr(b.p, "Access-Control-Allow-Origin: https://docs.example\r\n"));
    assert_non_null(strstr(b.p, "Vary: Origin\r\n"));
    assert_null(strstr(b.p, "x-should-retry: false"));
    buf_reset(&b);
    request_retry_after(&r, 61000);
    reply_head(&r, 429, NULL, 0, &b);
    assert_non_null(strstr(b.p, "x-should-retry: false\r\n"));
    buf_free(&b);
}

static void
a_503_always_has_retry_after(void **s)
{
    struct request r = request_of();
    struct buf b = BUF_MAX(8192);

    (void)s;
    reply_head(&r, 503, NULL, 0, &b);
    assert_non_null(strstr(b.p, "Retry-After: 1\r\n"));
    assert_null(strstr(b.p, "x-should-retry: false"));
    assert_null(strstr(b.p, "Access-Control-Allow-Origin"));
    buf_free(&b);
}

static void
an_added_header_cannot_split_the_answer(void **s)
{
    struct request r = request_of();
    struct buf b = BUF_MAX(8192);

    (void)s;
    request_header_add(&r, "Location", "/x\r\nSet-Cookie: a=b");
    request_header_add(&r, "Cache-Control", "no-cache, no-transform");
    reply_head(&r, 200, "text/plain", 0, &b);
    assert_null(strstr(b.p, "Set-Cookie"));
    assert_non_null(strstr(b.p, "Cache-Control: no-cache, no-transform\r\n"));
    assert_null(strstr(b.p, "no-store"));
    buf_free(&b);
    buf_free(&r.headers);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_status_is_labelled_other),
        cmocka_unit_test(a_problem_object_has_every_field_of_the_contract),
        cmocka_unit_test(a_429_says_when_to_come_again_and_may_be_read_by_the_page),
        cmocka_unit_test(a_503_always_has_retry_after),
        cmocka_unit_test(an_added_header_cannot_split_the_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
