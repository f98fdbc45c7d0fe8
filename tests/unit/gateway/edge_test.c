/* The strict request check: what two programs in a row could read differently is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/edge/check.h"
#include "gateway/edge/origin.h"

static struct head
head_of(const char *method, const char *target)
{
    struct head h = { .method = method, .target = target, .version = "1.1", .n = 1 };

    h.h[0].name = "Host";
    h.h[0].value = "h";
    return h;
}

static void
add(struct head *h, const char *name, const char *value)
{
    h->h[h->n].name = name;
    h->h[h->n].value = value;
    h->n++;
}

static enum err
verdict(const struct head *h, struct frame *f)
{
    const char *why = NULL;
    enum err e = edge_check(h, f, &why);

    assert_true((e == ERR_OK) == (!why));
    return e;
}

/* The verdict over one or two extra headers. */
static enum err
with(const char *n1, const char *v1, const char *n2, const char *v2, struct frame *f)
{
    struct head h = head_of("POST", "/x");

    add(&h, n1, v1);
    if (n2)
        add(&h, n2, v2);
    return verdict(&h, f);
}

static void
a_plain_request_passes_with_its_length(void **s)
{
    struct frame f;

    (void)s;
    assert_int_equal(with("Content-Length", "262145", NULL, NULL, &f), ERR_OK);
    assert_int_equal(f.length, 262145);
    assert_true(f.keep && !f.chunked && !f.expect && !f.old);
    assert_int_equal(with("Transfer-Encoding", "Chunked", "Expect", "100-Continue", &f), ERR_OK);
    assert_true(f.chunked && f.expect);
    assert_int_equal(f.length, -1);
}

static void
every_unclear_length_is_refused(void **s)
{
    static const char *const bad[] = {
        "", "+5", "-1", "0x25", "5, 5", "5 5", "5x", "1e3", "9999999999999999999", " 5"
    };
    struct frame f;

    (void)s;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(with("Content-Length", bad[i], NULL, NULL, &f), ERR_BAD_REQUEST);
    assert_int_equal(with("Content-Length", "5", "content-length", "5", &f), ERR_BAD_REQUEST);
}

static void
a_length_beside_a_coding_and_two_codings_are_refused(void **s)
{
    struct frame f;

    (void)s;
    assert_int_equal(with("Transfer-Encoding", "chunked", "Content-Length", "5", &f), ERR_BAD_REQUEST);
    assert_int_equal(with("Content-Length", "5", "Transfer-Encoding", "chunked", &f), ERR_BAD_REQUEST);
    assert_int_equal(with("Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked", &f),
                     ERR_BAD_REQUEST);
    assert_int_equal(with("Transfer-Encoding", "gzip, chunked", NULL, NULL, &f), ERR_TRANSFER_CODING);
    assert_int_equal(with("Transfer-Encoding", "identity", NULL, NULL, &f), ERR_TRANSFER_CODING);
}

static void
headers_that_say_who_asks_must_be_single(void **s)
{
    static const char *const once[] = { "Authorization", "Origin", "X-Session-ID", "Content-Type", "Host" };
    struct frame f;

    (void)s;
    for (size_t i = 0; i < sizeof once / sizeof once[0]; i++)
        assert_int_equal(with(once[i], "a", once[i], "a", &f), ERR_BAD_REQUEST);
    assert_int_equal(with("X-A", "a", "X-A", "b", &f), ERR_OK);
}

static void
a_host_is_needed_and_holds_only_a_name(void **s)
{
    static const char *const bad[] = { "", "a b", "a/b", "a,b", "u@h", "h?x", "h#x", "h\\x" };
    struct frame f;
    struct head h = head_of("GET", "/x");

    (void)s;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        h.h[0].value = bad[i];
        assert_int_equal(verdict(&h, &f), ERR_BAD_REQUEST);
    }
    h.n = 0;
    assert_int_equal(verdict(&h, &f), ERR_BAD_REQUEST);
}

static void
what_the_raw_bytes_showed_decides(void **s)
{
    static const struct {
        enum head_fault fault;
        int n;
        enum err e;
    } rows[] = { { HEAD_LINE_END, 1, ERR_BAD_REQUEST }, { HEAD_SPACE_COLON, 1, ERR_BAD_REQUEST },
                 { HEAD_SPACES, 1, ERR_BAD_REQUEST },   { HEAD_LEADING, 1, ERR_BAD_REQUEST },
                 { HEAD_HIDDEN, 1, ERR_BAD_REQUEST },   { HEAD_HIDDEN, HEAD_MAX, ERR_HEADERS_LARGE } };
    struct frame f;

    (void)s;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct head h = head_of("GET", "/x");

        while (h.n < rows[i].n)
            add(&h, "X-A", "b");
        h.fault = rows[i].fault;
        assert_int_equal(verdict(&h, &f), rows[i].e);
    }
}

static void
only_paths_and_visible_header_bytes_pass(void **s)
{
    static const char *const targets[] = { "*", "http://h/x", "x", "", "/x#y", "/x\x7f", "/\xc3\xa4" };
    struct frame f;

    (void)s;
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        struct head h = head_of("GET", targets[i]);

        assert_int_equal(verdict(&h, &f), ERR_BAD_REQUEST);
    }
    assert_int_equal(with("X-A", "\xc3\xa4", NULL, NULL, &f), ERR_BAD_REQUEST);
    assert_int_equal(with("X-A", "a\x01", NULL, NULL, &f), ERR_BAD_REQUEST);
    assert_int_equal(with("X A", "a", NULL, NULL, &f), ERR_BAD_REQUEST);
    assert_int_equal(with("", "a", NULL, NULL, &f), ERR_BAD_REQUEST);
    assert_int_equal(with("X-A", "tab\tand space", NULL, NULL, &f), ERR_OK);
}

static void
old_clients_get_no_coding_and_no_second_request(void **s)
{
    struct head h = head_of("GET", "/x");
    struct frame f;

    (void)s;
    h.version = "1.0";
    assert_int_equal(verdict(&h, &f), ERR_OK);
    assert_true(f.old && !f.keep);
    add(&h, "Transfer-Encoding", "chunked");
    assert_int_equal(verdict(&h, &f), ERR_BAD_REQUEST);
    h.version = "2.0";
    assert_int_equal(verdict(&h, &f), ERR_BAD_REQUEST);
}

static void
an_origin_matches_exactly_or_not_at_all(void **s)
{
    struct origins o;

    (void)s;
    assert_true(origins_parse(&o, "https://docs.example, http://localhost:3000/"));
    assert_true(origins_have(&o, "https://docs.example") && origins_have(&o, "http://localhost:3000"));
    assert_false(origins_have(&o, "https://docs.example.evil") || origins_have(&o, "http://docs.example") ||
                 origins_have(&o, "null") || origins_have(&o, "https://docs.example:443"));
    origins_free(&o);
    assert_false(origins_parse(&o, "docs.example"));
    origins_free(&o);
    assert_true(origin_same("http://127.0.0.1:8080", "127.0.0.1:8080", ""));
    assert_true(origin_same("https://a.example", "b", "https://a.example"));
    assert_false(origin_same("https://a.example", "b", "https://a.example.org"));
    assert_false(origin_same("null", "null", ""));
}

static void
only_loopback_names_are_loopback(void **s)
{
    static const char *const good[] = { "localhost", "LOCALHOST:8080", "127.0.0.1", "127.9.9.9:1",
                                        "[::1]:80" };
    static const char *const bad[] = { "localhost.evil", "127.0.0.1.evil", "evil",   "",
                                       "128.0.0.1",      "[::2]",          "0.0.0.0" };

    (void)s;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(host_loopback(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(host_loopback(bad[i]));
    assert_true(host_of_url("docs.example:8443", "https://docs.example:8443/x"));
    assert_false(host_of_url("docs.example", "https://docs.example.evil"));
}

static void
forwarded_addresses_count_only_from_trusted_proxies(void **s)
{
    struct cidrs c;
    char out[64];

    (void)s;
    assert_true(cidrs_parse(&c, "10.0.0.0/8, 192.168.1.1, fd00::/8"));
    client_addr("1.2.3.4", "9.9.9.9", &c, out);
    assert_string_equal(out, "1.2.3.4");
    client_addr("10.1.1.1", "6.6.6.6, 9.9.9.9, 10.2.2.2", &c, out);
    assert_string_equal(out, "9.9.9.9");
    client_addr("10.1.1.1", "9.9.9.9, garbage", &c, out);
    assert_string_equal(out, "10.1.1.1");
    client_addr("10.1.1.1", NULL, &c, out);
    assert_string_equal(out, "10.1.1.1");
    client_addr("2001:db8:1:2:3:4:5:6", NULL, &c, out);
    assert_string_equal(out, "2001:db8:1:2::");
    cidrs_free(&c);
    assert_false(cidrs_parse(&c, "10.0.0.0/33"));
    cidrs_free(&c);
    assert_false(cidrs_parse(&c, "10.0.0.0/"));
    cidrs_free(&c);
    assert_false(cidrs_parse(&c, "10.0.0.0/+8"));
    cidrs_free(&c);
}

/* Each block with its last address inside and its neighbours outside: prefixes that end within a byte. */
static void
a_block_ends_at_its_last_bit_and_not_at_a_byte(void **s)
{
    static const struct {
        const char *block, *in[4], *out[4];
    } v[] = {
        { "172.16.0.0/12",
          { "172.16.0.0", "172.31.255.255", "172.20.1.1" },
          { "172.15.255.255", "172.32.0.0", "172.0.0.1", "172.255.0.1" } },
        { "128.0.0.0/1", { "128.0.0.0", "255.255.255.255" }, { "127.255.255.255", "0.0.0.0" } },
        { "10.128.0.0/9",
          { "10.128.0.0", "10.255.255.255" },
          { "10.127.255.255", "10.0.0.1", "11.128.0.0" } },
        { "192.0.2.4/31", { "192.0.2.4", "192.0.2.5" }, { "192.0.2.3", "192.0.2.6" } },
        { "192.0.2.4/30", { "192.0.2.4", "192.0.2.7" }, { "192.0.2.3", "192.0.2.8" } },
        { "100.64.0.0/10", { "100.64.0.0", "100.127.255.255" }, { "100.63.255.255", "100.128.0.0" } },
        { "192.0.2.129/25", { "192.0.2.128", "192.0.2.255" }, { "192.0.2.127" } },
        { "0.0.0.0/0", { "255.1.2.3", "0.0.0.0" }, { "2001:db8::1" } },
        { "2001:db8::/33",
          { "2001:db8::1", "2001:db8:7fff:ffff::1" },
          { "2001:db8:8000::1", "2001:db9::1", "10.0.0.1" } },
        { "fc00::/7", { "fc00::1", "fdff:ffff::1" }, { "fbff::1", "fe00::1" } },
        { "fe80::/10", { "fe80::1", "febf::1" }, { "fec0::1", "fe7f::1" } },
        { "2001:db8::4/127", { "2001:db8::4", "2001:db8::5" }, { "2001:db8::3", "2001:db8::6" } },
    };

    (void)s;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        struct cidrs c;

        assert_true(cidrs_parse(&c, v[i].block));
        for (size_t k = 0; k < 4; k++) {
            assert_true(!v[i].in[k] || cidrs_have(&c, v[i].in[k]));
            assert_false(v[i].out[k] && cidrs_have(&c, v[i].out[k]));
        }
        cidrs_free(&c);
    }
}

static void
a_forwarded_address_counts_only_behind_a_proxy_inside_the_block(void **s)
{
    struct cidrs c;
    char out[64];

    (void)s;
    assert_true(cidrs_parse(&c, "172.16.0.0/12"));
    client_addr("172.31.0.9", "203.0.113.9", &c, out);
    assert_string_equal(out, "203.0.113.9");
    client_addr("172.32.0.9", "203.0.113.9", &c, out);
    assert_string_equal(out, "172.32.0.9");
    client_addr("172.17.0.1", "203.0.113.9, 172.200.1.1, 172.18.0.2", &c,
                out); /* the middle one is nobody's proxy: the client */
    assert_string_equal(out, "172.200.1.1");
    cidrs_free(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request_passes_with_its_length),
        cmocka_unit_test(every_unclear_length_is_refused),
        cmocka_unit_test(a_length_beside_a_coding_and_two_codings_are_refused),
        cmocka_unit_test(headers_that_say_who_asks_must_be_single),
        cmocka_unit_test(a_host_is_needed_and_holds_only_a_name),
        cmocka_unit_test(what_the_raw_bytes_showed_decides),
        cmocka_unit_test(only_paths_and_visible_header_bytes_pass),
        cmocka_unit_test(old_clients_get_no_coding_and_no_second_request),
        cmocka_unit_test(an_origin_matches_exactly_or_not_at_all),
        cmocka_unit_test(only_loopback_names_are_loopback),
        cmocka_unit_test(forwarded_addresses_count_only_from_trusted_proxies),
        cmocka_unit_test(a_block_ends_at_its_last_bit_and_not_at_a_byte),
        cmocka_unit_test(a_forwarded_address_counts_only_behind_a_proxy_inside_the_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
