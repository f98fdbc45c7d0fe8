/* The things that a sync reads of strangers: robots.txt, sitemaps, addresses; and its own state file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "client/sync/sync.h"

/* ---- robots.txt */

static void
assert_allowed(const char *text, const char *path, bool want)
{
    struct robots r;

    robots_read(&r, str_of(text), "footnote");
    if (robots_allow(&r, path) != want)
        fail_msg("%s after\n%s", path, text);
    robots_fini(&r);
}

static void
the_longest_rule_decides(void **state)
{
    static const char rules[] =
        "User-agent: *\nDisallow: /private/\nAllow: /private/open\nDisallow: /*.pdf$\nDisallow: /a*b/c\n";
    static const struct {
        const char *path;
        bool allowed;
    } cases[] = {
        { "/", true },           { "/private/", false },    { "/private/x", false },
        { "/private", true },    { "/private/open", true }, { "/private/opener", true },
        { "/x.pdf", false },     { "/x.pdf?y", true },      { "/x.pdfs", true },
        { "/axxb/c", false },    { "/ab/c/d", false },      { "/axb", true },
        { "/robots.txt", true }, { "/a/b/a/b/c", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_allowed(rules, cases[i].path, cases[i].allowed);
    assert_allowed("User-agent: *\nDisallow: /page\nAllow: /page\n", "/page", true); /* RFC 9309, 2.2.2 */
    assert_allowed("User-agent: *\nAllow: /page\nDisallow: /page\n", "/page", true);
    assert_allowed("User-agent: *\nDisallow: /\n", "/robots.txt", true);
    assert_allowed("User-agent: *\nDisallow:\n", "/x", true);
    assert_allowed("", "/x", true);
}

static void
the_group_of_our_name_counts_alone(void **state)
{
    static const char text[] =
        "User-agent: *\nDisallow: /\nCrawl-delay: 9\n\nUser-agent: other\nDisallow: /b\n\n"
        "user-AGENT : FootNote/1.0\r\nDisallow: /c # not this\r\nCrawl-Delay: 1.5\r\n\r\n"
        "User-agent: a\nUser-agent: footnote\nDisallow: /d\nSitemap: https://x.example/s.xml\n";
    struct robots r;

    (void)state;
    assert_allowed(text, "/", true);
    assert_allowed(text, "/b", true);
    assert_allowed(text, "/c", false);
    assert_allowed(text, "/d", false); /* groups of one name are one */
    assert_allowed("User-agent: footnote\nDisallow: /e\n\nUser-agent: *\nDisallow: /\n", "/x", true);
    assert_allowed("User-agent: footnote\nDisallow: /e\n\nUser-agent: *\nAllow: /e\n", "/e", false);
    assert_allowed("User-agent: footnotes\nDisallow: /\n", "/x", true);
    assert_allowed("Disallow: /\n", "/x", true); /* of no group */
    assert_allowed("\xEF\xBB\xBFUser-agent: *\nDisallow: /x\n", "/x", false);
    robots_read(&r, STR(text), "footnote");
    assert_true(r.delay_s > 1.4 && r.delay_s < 1.6);
    assert_int_equal(r.n_sitemaps, 1);
    assert_string_equal(r.sitemap[0], "https://x.example/s.xml");
    robots_fini(&r);
    robots_read(&r, STR("User-agent: *\nDisallow:\0\0x\nSitemap:\0x\n"),
                "footnote"); /* found by the fuzzer */
    assert_true(r.n == 0 && r.n_sitemaps == 0 && robots_allow(&r, "/x"));
    robots_fini(&r);
    robots_read(&r, STR("User-agent: *\nCrawl-delay: 100000\n"), "footnote");
    assert_true(r.delay_s == 60);
    robots_fini(&r);
}

static void
a_rule_of_many_stars_costs_no_time(void **state)
{
    struct buf rules = { 0 }, path = { 0 };

    (void)state;
    buf_z(&rules, "User-agent: *\nDisallow: /");
    for (int i = 0; i < 500; i++)
        buf_z(&rules, "*a");
    buf_z(&rules, "*b\n");
    buf_z(&path, "/");
    for (int i = 0; i < 20000; i++)
        buf_c(&path, 'a');
    assert_allowed(rules.p, path.p, true); /* with backtracking over all stars: never */
    buf_free(&rules);
    buf_free(&path);
}

/* ---- sitemaps */

#define SET \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">"

static void
a_sitemap_is_read(void **state)
{
    static const char text[] = SET
        "\n <url>\n  <loc> https://x.example/a?b=1&amp;c=2 </loc>\n  <lastmod>2026-01-02</lastmod>\n"
        "<changefreq>daily</changefreq></url><url><lastmod>2026</lastmod></url>"
        "<url><loc><![CDATA[https://x.example/b]]></loc><image:image xmlns:image=\"urn:i\"><image:loc>"
        "https://x.example/i.png</image:loc></image:image></url></urlset>";
    struct listing l = { 0 };
    enum sitemap_kind kind;

    (void)state;
    assert_null(sitemap_read(&l, STR(text), 10, &kind));
    assert_int_equal(kind, SITEMAP_PAGES);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.v[0].url, "https://x.example/a?b=1&c=2");
    assert_string_equal(l.v[0].lastmod, "2026-01-02");
    assert_string_equal(l.v[1].url, "https://x.example/b");
    assert_string_equal(l.v[1].lastmod, "");
    listing_fini(&l);
    assert_null(sitemap_read(
        &l, STR("<sitemapindex><sitemap><loc>https://x.example/1.xml</loc></sitemap></sitemapindex>"), 10,
        &kind));
    assert_int_equal(kind, SITEMAP_INDEX);
    assert_int_equal(l.n, 1);
    listing_fini(&l);
}

static void
what_is_no_sitemap_is_refused_with_a_reason(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        { "", "no element" },
        { "<html></html>", "no sitemap" },
        { "not xml", "" },
        { SET "<url><loc>https://x.example/</loc></url>", "" }, /* cut */
        { "<!DOCTYPE urlset [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><urlset><url><loc>&b;</loc></url></urlset>",
          "document type" },
        { "<!DOCTYPE urlset SYSTEM \"file:///etc/passwd\"><urlset></urlset>", "document type" },
        { SET "<url><loc>1</loc></url><url><loc>2</loc></url><url><loc>3</loc></url></urlset>", "too many" },
        { "\x1f\x8b\x08garbage", "gzip" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct listing l = { 0 };
        enum sitemap_kind kind;
        const char *why = sitemap_read(&l, str_of(cases[i].text), 2, &kind);

        if (!why || !strstr(why, cases[i].why))
            fail_msg("case %zu: %s", i, why ? why : "was read");
        listing_fini(&l);
    }
    struct buf deep = { 0 };
    struct listing l = { 0 };
    enum sitemap_kind kind;

    buf_z(&deep, "<urlset>");
    for (int i = 0; i < 100000; i++)
        buf_z(&deep, "<a>");
    assert_non_null(strstr(sitemap_read(&l, buf_slice(&deep), 2, &kind), "too deep"));
    buf_free(&deep);
    listing_fini(&l);
}

/* ---- addresses */

static void
only_the_sites_own_pages_are_pages(void **state)
{
    static const char *const ours[] = { "https://x.example/docs/", "https://x.example/docs/a",
                                        "HTTPS://X.example/docs/a?b=c", "https://x.example:443/docs/a" };
    static const char *const others[] = { "https://x.example/",
                                          "https://x.example/docs",
                                          "http://x.example/docs/a",
                                          "https://x.example:444/docs/a",
                                          "https://x.example:80/docs/a",
                                          "https://x.example:443",
                                          "https://x.example.evil.example/docs/a",
                                          "https://evil@x.example/docs/a",
                                          "https://x.example/docs/a b",
                                          "https://x.example/docs/\"",
                                          "//x.example/docs/",
                                          "/docs/a",
                                          "",
                                          "javascript:x",
                                          "https://x.example/docs/a#b" };
    static const char *const no_sites[] = { "",
                                            "x.example",
                                            "ftp://x.example/",
                                            "https://",
                                            "https:///a",
                                            "https://u@x.example/",
                                            "https://x.example/?a",
                                            "https://x.example/ a" };
    struct host h;

    (void)state;
    assert_true(host_of(&h, "https://X.example/docs/sitemap.xml"));
    assert_string_equal(h.origin, "https://x.example");
    assert_string_equal(h.folder, "/docs/");
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        assert_true(host_has(&h, ours[i]));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (host_has(&h, others[i]))
            fail_msg("%s", others[i]);
    host_fini(&h);
    assert_true(host_of(&h, "https://x.example"));
    assert_string_equal(h.folder, "/");
    assert_true(host_has(&h, "https://x.example") && host_has(&h, "https://x.example/"));
    host_fini(&h);
    for (size_t i = 0; i < sizeof no_sites / sizeof *no_sites; i++) {
        assert_false(host_of(&h, no_sites[i]));
        host_fini(&h);
    }
}

static void
an_origin_is_one_in_whatever_letters_and_with_the_port_it_has_anyway(void **state)
{
    struct host h;

    (void)state;
    assert_true(host_of(&h, "HTTP://X.Example:80/"));
    assert_string_equal(h.origin, "http://x.example");
    assert_string_equal(host_path(&h, "http://x.example/sitemap.xml"), "/sitemap.xml");
    assert_string_equal(host_path(&h, "hTTp://x.EXAMPLE:80/Sitemap.xml"), "/Sitemap.xml");
    assert_string_equal(host_path(&h, "http://x.example"), "");
    assert_null(host_path(&h, "http://x.example.evil.example/"));
    assert_null(host_path(&h, "http://x.example:8080/"));
    assert_null(host_path(&h, "https://x.example/"));
    assert_null(host_path(&h, "/sitemap.xml"));
    assert_null(host_path(&h, ""));
    host_fini(&h);
}

static void
patience_is_a_number_or_a_date_and_at_most_a_day(void **state)
{
    static const struct {
        const char *ms, *seconds;
        int64_t want;
    } cases[] = {
        { "", "", -1 },
        { "", "0", 0 },
        { "", "2", 2000 },
        { "250", "1", 250 },
        { "", "86400", RETRY_MAX_MS },
        { "", "86401", RETRY_MAX_MS },
        { "", "9223372036854775807", RETRY_MAX_MS },
        { "", "99999999999999999999999999999999", RETRY_MAX_MS },
        { "99999999999999999999999999999999", "", RETRY_MAX_MS },
        { "", "-1", -1 },
        { "", "1.5", -1 },
        { "", "soon", -1 },
        { "", "Wed, 21 Oct 2015 07:28:00 GMT", 0 },
        { "", "Fri, 31 Dec 9999 23:59:59 GMT", RETRY_MAX_MS },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (fetch_patience(cases[i].ms, cases[i].seconds) != cases[i].want)
            fail_msg("case %zu: %lld", i, (long long)fetch_patience(cases[i].ms, cases[i].seconds));
}

/* ---- the state file */

static char path[64];

static void
set(struct state *s, const char *url, const char *lastmod, char digit)
{
    struct known *k = state_get(s, url);

    mem_free(&k->lastmod);
    k->lastmod = mem_dup(lastmod);
    memset(k->sha256, digit, 64);
    assert_true(state_note(s, k));
}

static void
open_state(struct state *s)
{
    bool busy;

    assert_true(state_open(s, path, STR("{\"footnote_sync\":1}"), &busy) && !busy);
}

static void
a_state_is_what_was_noted(void **state)
{
    struct state s;
    struct known *k;

    (void)state;
    snprintf(path, sizeof path, "/tmp/footnote-state-%d/deep/x.jsonl", (int)getpid());
    open_state(&s);
    assert_true(state_begin(&s));
    set(&s, "https://x.example/a", "1", 'a');
    set(&s, "https://x.example/\"quoted\"", "2", 'b');
    set(&s, "https://x.example/c", "3", 'c');
    assert_true(state_forget(&s, state_find(&s, "https://x.example/c")));
    assert_true(state_end(&s));
    state_fini(&s);
    open_state(&s);
    assert_false(s.resumed);
    k = state_find(&s, "https://x.example/a");
    assert_true(k && !k->done && strcmp(k->lastmod, "1") == 0 && k->sha256[63] == 'a');
    assert_non_null(state_find(&s, "https://x.example/\"quoted\""));
    assert_null(state_find(&s, "https://x.example/c"));
    assert_null(state_find(&s, "https://x.example/d"));
    state_fini(&s);
}

static void
a_run_that_was_cut_goes_on_and_a_line_that_was_cut_is_none(void **state)
{
    struct state s;
    FILE *f;

    (void)state;
    open_state(&s);
    assert_true(state_begin(&s));
    set(&s, "https://x.example/new", "9", 'd');
    state_fini(&s); /* killed */
    f = fopen(path, "ae");
    assert_non_null(f);
    fputs("{\"url\":\"https://x.example/torn\",\"lastm", f);
    fclose(f);
    open_state(&s);
    assert_true(s.resumed);
    assert_true(state_find(&s, "https://x.example/new")->done);
    assert_false(state_find(&s, "https://x.example/a")->done);
    assert_null(state_find(&s, "https://x.example/torn"));
    set(&s, "https://x.example/torn", "1", 'e'); /* stands on a line of its own */
    state_fini(&s);
    open_state(&s);
    assert_true(s.resumed && state_find(&s, "https://x.example/torn")->done);
    assert_true(state_end(&s));
    state_fini(&s);
    /* one of long ago is over */
    f = fopen(path, "ae");
    fputs("{\"run\":\"begin\",\"at\":1000}\n", f);
    fclose(f);
    open_state(&s);
    assert_false(s.resumed);
    state_fini(&s);
}

static void
what_was_sent_and_not_heard_of_is_read_again(void **state)
{
    struct state s;
    struct known *k;

    (void)state;
    open_state(&s);
    set(&s, "https://x.example/sent", "1", 'a');
    k = state_find(&s, "https://x.example/sent");
    memset(k->document, 'd', 36);
    k->seen = true;
    assert_true(state_note(&s, k) && state_begin(&s) && state_doubt(&s, k));
    assert_true(k->seen && state_has(k) && !k->sha256[0] && !*k->lastmod);
    state_fini(&s); /* killed */
    for (int i = 0; i < 2; i++) {
        open_state(&s);
        k = state_find(&s, "https://x.example/sent");
        assert_true(k && state_has(k) && !k->done && !k->sha256[0] && k->document[35] == 'd');
        assert_true(i == 1 || state_end(&s)); /* a whole run keeps it, too */
        state_fini(&s);
    }
    open_state(&s);
    assert_true(state_forget(&s, state_find(&s, "https://x.example/sent")) && state_end(&s));
    state_fini(&s);
}

static void
two_runs_and_other_sites_are_kept_apart(void **state)
{
    struct state s, t;
    bool busy;

    (void)state;
    open_state(&s);
    assert_false(state_open(&t, path, STR("{\"footnote_sync\":1}"), &busy));
    assert_true(busy);
    state_fini(&t);
    state_fini(&s);
    assert_false(state_open(&t, path, STR("{\"footnote_sync\":2}"), &busy));
    assert_false(busy);
    state_fini(&t);
    assert_false(state_open(&t, "/proc/nowhere/x", STR("{}"), &busy));
    state_fini(&t);
}

static void
thousands_of_pages_are_found(void **state)
{
    struct state s;
    char url[64];

    (void)state;
    open_state(&s);
    for (int i = 0; i < 20000; i++) {
        snprintf(url, sizeof url, "https://x.example/%d", i);
        state_get(&s, url)->seen = i % 2;
    }
    for (int i = 0; i < 20000; i++) {
        snprintf(url, sizeof url, "https://x.example/%d", i);
        assert_true(state_find(&s, url) && state_find(&s, url)->seen == i % 2);
    }
    state_fini(&s);
    unlink(path);
}

/* ---- whose a server is */

static void
only_addresses_of_this_machine_are_local(void **state)
{
    static const char *const local[] = { "http://127.0.0.1:8080/x", "https://127.9.9.9", "http://localhost",
                                         "https://LOCALHOST:8443/", "http://[::1]:8080", "http://[::1]" };
    static const char *const others[] = { "http://127.evil.example/",
                                          "http://127.0.0.1.evil.example",
                                          "http://localhost.evil.example/",
                                          "http://localhost:x@evil.example/",
                                          "http://[::1",
                                          "http://[::10]/",
                                          "http://x.example/?a=http://localhost",
                                          "localhost",
                                          "" };

    (void)state;
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (!fetch_local(local[i]))
            fail_msg("%s", local[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (fetch_local(others[i]))
            fail_msg("%s", others[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_rule_decides),
        cmocka_unit_test(the_group_of_our_name_counts_alone),
        cmocka_unit_test(a_rule_of_many_stars_costs_no_time),
        cmocka_unit_test(a_sitemap_is_read),
        cmocka_unit_test(what_is_no_sitemap_is_refused_with_a_reason),
        cmocka_unit_test(only_the_sites_own_pages_are_pages),
        cmocka_unit_test(a_state_is_what_was_noted),
        cmocka_unit_test(a_run_that_was_cut_goes_on_and_a_line_that_was_cut_is_none),
        cmocka_unit_test(an_origin_is_one_in_whatever_letters_and_with_the_port_it_has_anyway),
        cmocka_unit_test(patience_is_a_number_or_a_date_and_at_most_a_day),
        cmocka_unit_test(what_was_sent_and_not_heard_of_is_read_again),
        cmocka_unit_test(two_runs_and_other_sites_are_kept_apart),
        cmocka_unit_test(thousands_of_pages_are_found),
        cmocka_unit_test(only_addresses_of_this_machine_are_local),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
