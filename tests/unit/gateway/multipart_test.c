/* multipart/form-data and JSON Lines: what clients send is read as it is, what is malformed is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "gateway/upload/multipart.h"

static struct arena *arena;

static const char form[] = "preamble\r\n--xYz\r\n"
                           "Content-Disposition: form-data; name=\"collection\"\r\n\r\n"
                           "docs\r\n--xYz \t\r\n"
                           "content-disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".md\"\r\n"
                           "Content-Type: text/markdown; charset=utf-8\r\n\r\n"
                           "# One\r\n--xY\r\n\r\n--xYz\r\n"
                           "Content-Disposition: form-data; name=file; filename=\"\"\r\n\r\n\r\n"
                           "--xYz--\r\nepilogue";

static void
parts_are_read_as_they_were_sent(void **state)
{
    struct multipart m;
    struct part p;

    (void)state;
    assert_true(multipart_init(&m, STR(form), STR("xYz")));
    assert_int_equal(multipart_next(&m, arena, &p), MULTIPART_PART);
    assert_true(str_is(p.name, "collection") && str_is(p.body, "docs") && !p.filename.p && !p.type.p);
    assert_int_equal(multipart_next(&m, arena, &p), MULTIPART_PART);
    assert_true(str_is(p.name, "file") && str_is(p.filename, "a \"b\".md") &&
                str_is(p.type, "text/markdown"));
    assert_true(str_is(p.body, "# One\r\n--xY\r\n"));
    assert_int_equal(multipart_next(&m, arena, &p), MULTIPART_PART);
    assert_true(p.filename.p && p.filename.n == 0 && p.body.n == 0);
    assert_int_equal(multipart_next(&m, arena, &p), MULTIPART_END);
}

/* RFC 8187, as browsers' libraries write names that are not ASCII; it counts before the plain one, wherever it stands. */
static void
a_wide_file_name_is_decoded(void **state)
{
    static const struct {
        const char *sent, *name;
    } names[] = {
        { "filename*=utf-8''%C3%9Cbersicht.md", "\xc3\x9c"
                                                "bersicht.md" },
        { "filename*=UTF-8'de'%c3%9cber%20uns.md; filename=\"x.md\"", "\xc3\x9c"
                                                                      "ber uns.md" },
        { "filename=\"x.md\"; filename*=utf-8''a%2Fb.md", "a/b.md" },
        { "filename*=utf-8''%C3.md", NULL },
        { "filename*=utf-8''%zz.md", NULL },
        { "filename*=koi8-r''x.md", NULL },
        { "filename*=x.md", NULL },
        { "filename*=utf-8''a%2", NULL },
        { "filename*=utf-8''", NULL },
        { "filename*=iso-8859-1'en'%DCbersicht.md", "\xc3\x9c"
                                                    "bersicht.md" },
        { "filename*=\"UTF-8''a%20b.md\"", "a b.md" },
        { "filename*=koi8-r''x.md; filename=y.md", "y.md" },
        { "filename=\"y.md\"; filename*=utf-8''%C3.md", "y.md" },
        { "filename=\"a%22b.md\"", "a\"b.md" },
        { "filename=\"a\\\"b.md\"", "a\"b.md" },
        { "filename=\"100%25.md\"", "100%25.md" },
        { "filename=\"=?UTF-8?B?w5xiZXJzaWNodC5tZA==?=\"", "\xc3\x9c"
                                                           "bersicht.md" },
        { "filename=\"=?utf-8?Q?=C3=9Cber_uns.md?=\"", "\xc3\x9c"
                                                       "ber uns.md" },
        { "filename=\"=?x.md\"", "=?x.md" },
        { "FileName=plain.md", "plain.md" },
        { "filename = \"x;y.md\" ; size=3", "x;y.md" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char body[300];
        struct multipart m;
        struct part p;

        snprintf(body, sizeof body, "--b\r\nContent-Disposition: form-data; name=\"f\"; %s\r\n\r\nx\r\n--b--",
                 names[i].sent);
        assert_true(multipart_init(&m, str_of(body), STR("b")));
        assert_int_equal(multipart_next(&m, arena, &p), names[i].name ? MULTIPART_PART : MULTIPART_BAD);
        assert_true(!names[i].name || str_is(p.filename, names[i].name));
    }
}

static void
a_form_that_is_cut_anywhere_is_refused(void **state)
{
    size_t whole = (size_t)(strstr(form, "--xYz--") + 7 - form);

    (void)state;
    for (size_t n = 0; n < whole; n++) {
        char *copy = malloc(n + 1); /* exact size: a read beyond the end is found by the sanitizer */
        struct multipart m;
        struct part p;
        enum multipart_step step = MULTIPART_BAD;

        memcpy(copy, form, n);
        if (multipart_init(&m, (struct str){ copy, n }, STR("xYz")))
            while ((step = multipart_next(&m, arena, &p)) == MULTIPART_PART)
                ;
        assert_int_equal(step, MULTIPART_BAD);
        assert_non_null(m.fault);
        free(copy);
    }
}

static void
boundaries_are_taken_from_the_content_type(void **state)
{
    struct str b;

    (void)state;
    assert_true(multipart_boundary(STR("multipart/form-data; boundary=abc"), &b) && str_is(b, "abc"));
    assert_true(multipart_boundary(STR("multipart/form-data; charset=x; Boundary=\"a b:c\""), &b) &&
                str_is(b, "a b:c"));
    assert_false(multipart_boundary(STR("multipart/form-data"), &b));
    assert_false(multipart_boundary(STR("multipart/form-data; boundary="), &b));
    assert_false(multipart_boundary(STR("multipart/form-data; boundary=\"open"), &b));
    assert_false(multipart_boundary(STR("multipart/form-data; boundary=a\x01"), &b));
    assert_false(
        multipart_boundary(STR("multipart/form-data; boundary=1234567890123456789012345678901234567890"
                               "1234567890123456789012345678901"),
                           &b));
}

static enum multipart_step
first(const char *body, struct part *p)
{
    struct multipart m;

    return multipart_init(&m, str_of(body), STR("b")) ? multipart_next(&m, arena, p) : MULTIPART_BAD;
}

static void
malformed_parts_are_refused(void **state)
{
    struct part p;

    (void)state;
    assert_int_equal(first("no boundary here", &p), MULTIPART_BAD);
    assert_int_equal(first("--bx\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b--", &p),
                     MULTIPART_BAD);
    assert_int_equal(first("--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--", &p), MULTIPART_BAD);
    assert_int_equal(first("--b\r\nno colon\r\n\r\nx\r\n--b--", &p), MULTIPART_BAD);
    assert_int_equal(first("--b\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--b--", &p),
                     MULTIPART_BAD);
    assert_int_equal(first("--b\r\nContent-Disposition: form-data; name=a\r\n"
                           "Content-Transfer-Encoding: base64\r\n\r\nx\r\n--b--",
                           &p),
                     MULTIPART_BAD);
    assert_int_equal(first("--b--", &p), MULTIPART_END);
}

static void
headers_and_parts_have_a_maximum(void **state)
{
    struct buf b = BUF_MAX(0);
    struct multipart m;
    struct part p;
    enum multipart_step step;
    size_t n = 0;

    (void)state;
    buf_z(&b, "--b\r\nContent-Disposition: form-data; name=a; x=");
    for (size_t i = 0; i < MULTIPART_HEAD; i++)
        buf_c(&b, 'x');
    buf_z(&b, "\r\n\r\nv\r\n--b--");
    assert_int_equal(first(b.p, &p), MULTIPART_BAD);
    buf_reset(&b);
    for (size_t i = 0; i < MULTIPART_PARTS + 1; i++)
        buf_z(&b, "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nv\r\n");
    buf_z(&b, "--b--");
    assert_true(multipart_init(&m, buf_slice(&b), STR("b")));
    while ((step = multipart_next(&m, arena, &p)) == MULTIPART_PART)
        n++;
    assert_int_equal(step, MULTIPART_BAD);
    assert_int_equal(n, MULTIPART_PARTS);
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wide_file_name_is_decoded),
        cmocka_unit_test(parts_are_read_as_they_were_sent),
        cmocka_unit_test(a_form_that_is_cut_anywhere_is_refused),
        cmocka_unit_test(boundaries_are_taken_from_the_content_type),
        cmocka_unit_test(malformed_parts_are_refused),
        cmocka_unit_test(headers_and_parts_have_a_maximum),
    };

    int failed;

    arena = arena_new((size_t)1 << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(&arena);
    return failed;
}
