/* Addresses of pages: each generator's documented routes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "client/client.h"

#define BASE "https://docs.example.org/v1"

static void
assert_url(const char *routes, const char *id, const char *text, const char *want)
{
    struct cli c = { 0 };
    struct buf got = { 0 };
    struct site s;

    c.opt[CLI_ROUTES] = routes;
    c.opt[CLI_BASE_URL] = BASE "/";
    assert_true(site_of(&c, &s));
    site_url(&got, &s, str_of(id), str_of(text));
    assert_true(str_starts(buf_slice(&got), BASE "/"));
    if (strcmp(got.p + strlen(BASE), want) != 0)
        fail_msg("%s, %s: %s is not %s", routes, id, got.p + strlen(BASE), want);
    buf_free(&got);
}

struct route_case {
    const char *routes, *id, *text, *want;
};

static void
assert_all(const struct route_case *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_url(v[i].routes, v[i].id, v[i].text ? v[i].text : "# T\n", v[i].want);
}

static void
plain_sites_take_the_path(void **state)
{
    static const struct route_case cases[] = {
        { "plain", "guide/setup.md", NULL, "/guide/setup#" },
        { "plain", "guide/index.md", NULL, "/guide/#" },
        { "plain", "index.md", NULL, "/#" },
        { "plain", "guide/README.md", NULL, "/guide/README#" },
        { "plain", "guide/Setup.MD", NULL, "/guide/Setup#" },
        { "plain", "a b/c&d.md", NULL, "/a%20b/c%26d#" },
        { "plain", "v1.2.md", NULL, "/v1.2#" },
        { "plain", "notes.txt", NULL, "/notes#" },
        { "plain", "größe.markdown", NULL, "/gr%C3%B6%C3%9Fe#" },
        { "plain,html", "guide/setup.md", NULL, "/guide/setup.html#" },
        { "plain,slash", "guide/setup.md", NULL, "/guide/setup/#" },
        { "plain", "guide/setup.md", "---\nslug: other\n---\n", "/guide/setup#" },
        { "plain", "manual.pdf", "", "/manual.pdf" },
        { "plain", "guide/page.html", "", "/guide/page.html#{ids}" },
        { "plain", "Makefile", "", "/Makefile" },
    };

    (void)state;
    assert_all(cases, sizeof cases / sizeof *cases);
}

static void
docusaurus(void **state)
{
    static const struct route_case cases[] = {
        { "docusaurus", "guide/setup.md", NULL, "/guide/setup#" },
        { "docusaurus", "guide/index.md", NULL, "/guide/#" },
        { "docusaurus", "guide/Index.md", NULL, "/guide/#" },
        { "docusaurus", "guide/README.mdx", NULL, "/guide/#" },
        { "docusaurus", "guide/Guide.md", NULL, "/guide/#" },
        { "docusaurus", "guide.md", NULL, "/guide#" },
        { "docusaurus", "intro.md", NULL, "/intro#" },
        /* number prefixes: the examples of its own tests */
        { "docusaurus", "01-start/02-run.md", NULL, "/start/run#" },
        { "docusaurus", "1-My Doc.md", NULL, "/My%20Doc#" },
        { "docusaurus", "0_a.md", NULL, "/a#" },
        { "docusaurus", "003 - My Doc.md", NULL, "/My%20Doc#" },
        { "docusaurus", "03 . a.md", NULL, "/a#" },
        { "docusaurus", "01 Doc.md", NULL, "/01%20Doc#" },
        { "docusaurus", "2021-01-31 - Doc.md", NULL, "/2021-01-31%20-%20Doc#" },
        { "docusaurus", "7.0-foo.md", NULL, "/7.0-foo#" },
        { "docusaurus", "a1-My.md", NULL, "/a1-My#" },
        { "docusaurus", "3d.md", NULL, "/3d#" },
        { "docusaurus", "03--1.6.X.md", NULL, "/1.6.X#" },
        { "docusaurus", "01-.md", NULL, "/01-#" },
        { "docusaurus", "01-a/02-b.md", "---\nparse_number_prefixes: false\n---\n", "/01-a/02-b#" },
        /* the front matter */
        { "docusaurus", "guide/setup.md", "---\nslug: /install\n---\n", "/install#" },
        { "docusaurus", "guide/setup.md", "---\nslug: install\n---\n", "/guide/install#" },
        { "docusaurus", "01-guide/setup.md", "---\ntitle: a\nslug: 'install'\n---\n", "/guide/install#" },
        { "docusaurus", "guide/setup.md", "---\nslug: \"/\"\n---\n", "/#" },
        { "docusaurus", "guide/setup.md", "---\nslug: ./a/b\n---\n", "/guide/a/b#" },
        { "docusaurus", "guide/deep/setup.md", "---\nslug: ../up\n---\n", "/guide/up#" },
        { "docusaurus", "setup.md", "---\nslug: ../../up\n---\n", "/up#" },
        { "docusaurus", "guide/setup.md", "---\nslug: install # as it was\n---\n", "/guide/install#" },
        { "docusaurus", "guide/setup.md", "---\nid: install\n---\n", "/guide/install#" },
        { "docusaurus", "guide/index.md", "---\nid: install\n---\n", "/guide/#" },
        { "docusaurus", "guide/index.md", "---\nslug: install\n---\n", "/guide/install#" },
        { "docusaurus", "guide/setup.md", "---\nslugs: x\nsidebar: y\n---\n", "/guide/setup#" },
        { "docusaurus", "guide/setup.md", "text\n---\nslug: x\n---\n", "/guide/setup#" },
        { "docusaurus", "guide/setup.md", "---\nslug: x\nnever ends\n", "/guide/setup#" },
        { "docusaurus,slash", "guide/setup.md", NULL, "/guide/setup/#" },
        { "docusaurus,slash", "guide/index.md", NULL, "/guide/#" },
        { "docusaurus", "notes.txt", NULL, "/notes.txt" },
    };

    (void)state;
    assert_all(cases, sizeof cases / sizeof *cases);
}

static void
mkdocs_and_mdbook(void **state)
{
    static const struct route_case cases[] = {
        { "mkdocs", "index.md", NULL, "/#{mkdocs}" },
        { "mkdocs", "README.md", NULL, "/#{mkdocs}" },
        { "mkdocs", "about.md", NULL, "/about/#{mkdocs}" },
        { "mkdocs", "license/README.md", NULL, "/license/#{mkdocs}" },
        { "mkdocs", "user-guide/writing.md", NULL, "/user-guide/writing/#{mkdocs}" },
        { "mkdocs", "01-a/02-b.md", NULL, "/01-a/02-b/#{mkdocs}" },
        { "mkdocs", "a.md", "---\nslug: b\n---\n", "/a/#{mkdocs}" },
        { "mkdocs,html", "about.md", NULL, "/about.html#{mkdocs}" },
        { "mkdocs,html", "license/index.md", NULL, "/license/#{mkdocs}" },
        { "mkdocs", "img/plan.txt", NULL, "/img/plan.txt" },
        { "mdbook", "README.md", NULL, "/index.html#{mdbook}" },
        { "mdbook", "guide/README.md", NULL, "/guide/index.html#{mdbook}" },
        { "mdbook", "guide/index.md", NULL, "/guide/index.html#{mdbook}" },
        { "mdbook", "ch01-00-getting-started.md", NULL, "/ch01-00-getting-started.html#{mdbook}" },
        { "mdbook,clean", "guide/setup.md", NULL, "/guide/setup#{mdbook}" },
        { "mdbook,clean", "guide/README.md", NULL, "/guide/#{mdbook}" },
    };

    (void)state;
    assert_all(cases, sizeof cases / sizeof *cases);
}

static void
vitepress_and_hugo(void **state)
{
    static const struct route_case cases[] = {
        { "vitepress", "index.md", NULL, "/#{vitepress}" },
        { "vitepress", "prologue.md", NULL, "/prologue.html#{vitepress}" },
        { "vitepress", "guide/index.md", NULL, "/guide/#{vitepress}" },
        { "vitepress", "guide/getting-started.md", NULL, "/guide/getting-started.html#{vitepress}" },
        { "vitepress", "guide/README.md", NULL, "/guide/README.html#{vitepress}" },
        { "vitepress,clean", "guide/getting-started.md", NULL, "/guide/getting-started#{vitepress}" },
        { "vitepress,clean", "guide/index.md", NULL, "/guide/#{vitepress}" },
        { "hugo", "_index.md", NULL, "/#{hugo}" },
        { "hugo", "posts/_index.md", NULL, "/posts/#{hugo}" },
        { "hugo", "posts/post-1.md", NULL, "/posts/post-1/#{hugo}" },
        { "hugo", "about/index.md", NULL, "/about/#{hugo}" },
        { "hugo", "Posts/My Post.md", NULL, "/posts/my-post/#{hugo}" },
        { "hugo", "posts/C# & Go!.md", NULL, "/posts/c%23-go/#{hugo}" },
        { "hugo", "posts/Über.md", NULL, "/posts/%C3%BCber/#{hugo}" },
        { "hugo", "posts/readme.md", NULL, "/posts/readme/#{hugo}" },
        { "hugo", "posts/post-1.md", "---\nslug: my-first-post\n---\n", "/posts/my-first-post/#{hugo}" },
        { "hugo", "posts/post-1.md", "+++\nslug = 'my-first-post'\ntitle = \"x\"\n+++\n",
          "/posts/my-first-post/#{hugo}" },
        { "hugo", "posts/bundle/index.md", "---\nslug: x\n---\n", "/posts/x/#{hugo}" },
        { "hugo", "posts/bundle/index.md", NULL, "/posts/bundle/#{hugo}" },
        { "hugo", "posts/_index.md", "---\nslug: x\n---\n", "/posts/#{hugo}" },
        { "hugo", "posts/post-1.md", "---\nurl: /other/place/\nslug: x\n---\n", "/other/place/#{hugo}" },
        { "hugo", "posts/post-1.md", "---\nurl: other/place\n---\n", "/other/place/#{hugo}" },
        { "hugo", "posts/post-1.md", "+++\nurl = \"other/Place.html\"\n+++\n", "/other/Place.html#{hugo}" },
        { "hugo,html", "posts/post-1.md", NULL, "/posts/post-1.html#{hugo}" },
    };

    (void)state;
    assert_all(cases, sizeof cases / sizeof *cases);
}

static void
what_is_no_rule_is_said(void **state)
{
    static const char *const bad[] = { "",          "docusauru",        "docusaurus2", "plain,",
                                       "plain,htm", "plain,html,slash", ",html",       "Plain" };
    struct cli c = { 0 };
    struct site s;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        c.opt[CLI_ROUTES] = bad[i];
        if (site_of(&c, &s))
            fail_msg("\"%s\" was taken", bad[i]);
    }
    c.opt[CLI_ROUTES] = "plain";
    c.opt[CLI_SITE] = "mkdocs"; /* the older name */
    assert_true(site_of(&c, &s) && !s.base && strcmp(s.ending, "/") == 0);
    c.opt[CLI_BASE_URL] = "ftp://x.example/";
    assert_false(site_of(&c, &s));
    c.opt[CLI_BASE_URL] = "https://x.example/?a";
    assert_false(site_of(&c, &s));
}

static void
every_byte_of_a_path_is_escaped_that_an_address_has_not(void **state)
{
    struct buf b = { 0 };

    (void)state;
    url_escape(&b, (struct str){ "a\0b/c~.\xff", 8 });
    assert_string_equal(b.p, "a%00b%2Fc~.%FF");
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_sites_take_the_path),
        cmocka_unit_test(docusaurus),
        cmocka_unit_test(mkdocs_and_mdbook),
        cmocka_unit_test(vitepress_and_hugo),
        cmocka_unit_test(what_is_no_rule_is_said),
        cmocka_unit_test(every_byte_of_a_path_is_escaped_that_an_address_has_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
