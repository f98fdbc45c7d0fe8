/* Callers without a key: the marks of proxies, and the names by which a gateway may be reached. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/edge/stranger.h"

static const char *
sign(const char *name, const char *version)
{
    struct head h = { .method = "GET", .target = "/", .version = version, .n = 3 };

    h.h[0].name = "Host";
    h.h[1].name = name;
    h.h[2].name = "User-Agent";
    h.h[0].value = h.h[1].value = h.h[2].value = "x";
    return proxy_sign(&h);
}

static void
every_mark_of_a_proxy_is_seen_in_any_case(void **s)
{
    static const char *const marks[] = { "X-Forwarded-For",
                                         "x-forwarded-proto",
                                         "X-FORWARDED-HOST",
                                         "X-Forwarded-Prefix",
                                         "X-Forwarded",
                                         "Forwarded",
                                         "forwarded",
                                         "Via",
                                         "VIA",
                                         "X-Real-IP",
                                         "x-real-ip",
                                         "CF-Connecting-IP",
                                         "CF-Connecting-IPv6",
                                         "True-Client-IP",
                                         "X-Client-IP",
                                         "X-Cluster-Client-Ip",
                                         "Fastly-Client-IP",
                                         "Fly-Client-IP",
                                         "CDN-Loop",
                                         "X-Envoy-External-Address",
                                         "X-Azure-ClientIP",
                                         "X-Original-Forwarded-For",
                                         "Tailscale-User-Login" };

    (void)s;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        assert_ptr_not_equal(sign(marks[i], "1.1"), NULL);
}

static void
a_plain_request_has_no_mark_and_one_of_http_1_0_has(void **s)
{
    static const char *const plain[] = { "Accept",        "X-Request-ID", "X-Session-ID",  "Origin",
                                         "Forwarded-Not", "Viaduct",      "Authorization", "Idempotency-Key",
                                         "traceparent",   "X-Filename",   "Referer" };

    (void)s;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        assert_null(sign(plain[i], "1.1"));
    assert_string_equal(sign("Accept", "1.0"),
                        "HTTP/1.0"); /* nginx's proxy_pass sends nothing else of itself */
}

static bool
ours(const char *host, const char *url, const char *list)
{
    struct names n;
    bool got;

    assert_true(names_parse(&n, list, 253));
    got = host_ours(host, url, &n);
    names_free(&n);
    return got;
}

static void
loopback_addresses_and_the_public_name_are_ours(void **s)
{
    static const char *const mine[] = { "localhost",
                                        "LOCALHOST:8080",
                                        "127.0.0.1",
                                        "127.9.9.9:1",
                                        "[::1]:80",
                                        "192.168.1.7:8080",
                                        "10.0.0.1",
                                        "[fd00::1]",
                                        "[2001:db8::1]:8080",
                                        "docs.example.org",
                                        "Docs.Example.ORG:443",
                                        "docs.example.org." };

    (void)s;
    for (size_t i = 0; i < sizeof mine / sizeof *mine; i++)
        assert_true(ours(mine[i], "https://docs.example.org", ""));
}

static void
a_name_that_a_stranger_can_point_at_us_is_not_ours(void **s)
{
    static const char *const theirs[] = { "evil.example",
                                          "evil.example:8080",
                                          "docs.example.org.evil.example",
                                          "xdocs.example.org",
                                          "docs.example",
                                          "127.0.0.1.evil.example",
                                          "localhost.evil.example",
                                          "1.2.3",
                                          "[::1",
                                          "[evil]",
                                          "a_b.evil",
                                          "-x",
                                          "10.0.0.1.nip.io",
                                          "",
                                          ":8080",
                                          "0x7f000001",
                                          "2130706433" };

    (void)s;
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++) {
        assert_false(ours(theirs[i], "https://docs.example.org", ""));
        assert_false(ours(theirs[i], "", ""));
    }
}

static void
a_name_without_a_dot_is_nobody_elses(void **s)
{
    (void)s;
    assert_true(ours("gateway:8080", "", "") && ours("docs-server", "", "") && ours("h", "", ""));
}

static void
listed_names_are_ours_and_a_star_is_everybody(void **s)
{
    (void)s;
    assert_true(ours("docs.lan:8080", "", "gateway, docs.lan"));
    assert_true(ours("DOCS.LAN", "", "gateway, docs.lan"));
    assert_false(ours("xdocs.lan", "", "gateway, docs.lan"));
    assert_true(ours("anything.example", "", "*"));
}

static void
a_list_refuses_what_is_no_name(void **s)
{
    static const char *const bad[] = { "a b/c", "http://x", "x:80", "a,*.example", "[::1]" };
    struct names n;

    (void)s;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(names_parse(&n, bad[i], 64));
        names_free(&n);
    }
    assert_true(names_parse(&n, " docs , manual,,", 64));
    assert_int_equal(n.n, 2);
    assert_true(names_have(&n, STR("manual")) && !names_have(&n, STR("manua")) &&
                !names_have(&n, STR("Docs")));
    names_free(&n);
    assert_true(names_parse(&n, "", 64));
    assert_false(names_have(&n, STR("docs")));
    names_free(&n);
    assert_false(names_parse(&n, "abcdefghi", 8));
    names_free(&n);
}

static void
only_a_loopback_url_belongs_to_this_machine(void **s)
{
    (void)s;
    assert_true(url_loopback("") && url_loopback("http://localhost:8080") &&
                url_loopback("http://127.0.0.1"));
    assert_false(url_loopback("http://docs.lan") || url_loopback("https://docs.example.org") ||
                 url_loopback("http://10.0.0.1:80"));
    assert_false(url_loopback("http://localhost.evil.example"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mark_of_a_proxy_is_seen_in_any_case),
        cmocka_unit_test(a_plain_request_has_no_mark_and_one_of_http_1_0_has),
        cmocka_unit_test(loopback_addresses_and_the_public_name_are_ours),
        cmocka_unit_test(a_name_that_a_stranger_can_point_at_us_is_not_ours),
        cmocka_unit_test(a_name_without_a_dot_is_nobody_elses),
        cmocka_unit_test(listed_names_are_ours_and_a_star_is_everybody),
        cmocka_unit_test(a_list_refuses_what_is_no_name),
        cmocka_unit_test(only_a_loopback_url_belongs_to_this_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
