/* Formats of documents: one table, which gateway, client and retriever read. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>

#include "proto/format.h"

static void
a_type_and_a_name_say_what_a_file_is(void **state)
{
    static const struct {
        const char *type, *name;
        enum format format;
    } rows[] = {
        { "text/markdown", NULL, FORMAT_MARKDOWN },
        { "Text/X-Markdown; charset=utf-8", NULL, FORMAT_MARKDOWN },
        { "text/markdown", "a.mdx", FORMAT_MDX },
        { "text/markdown", "a.txt", FORMAT_MARKDOWN },
        { "text/mdx", "a.md", FORMAT_MDX },
        { "text/plain", "a.MD", FORMAT_MARKDOWN },
        { "text/plain", "a.mdx", FORMAT_MDX },
        { "application/octet-stream", "x/a.markdown", FORMAT_MARKDOWN },
        { "text/plain", "a.unknown", FORMAT_PLAIN },
        { NULL, "a.txt", FORMAT_PLAIN },
        { NULL, ".md", FORMAT_NONE },
        { NULL, "md", FORMAT_NONE },
        { NULL, NULL, FORMAT_NONE },
        { "application/octet-stream", NULL, FORMAT_NONE },
        { "video/mp4", "a.md", FORMAT_NONE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(format_of_file(str_of(rows[i].type), str_of(rows[i].name)), rows[i].format);
    assert_int_equal(format_ending(STR("dir/a.Markdown")), 9);
    assert_int_equal(format_ending(STR("a.md.bak")), 0);
}

/* Two rows of one ending or one type: the second would never be taken. */
static void
every_ending_and_every_type_means_one_format(void **state)
{
    (void)state;
    for (int i = 0; i < FORMAT_COUNT; i++) {
        const char *e = formats[i].endings;

        assert_int_equal(format_of_type(str_of(formats[i].type)), i);
        assert_true(formats[i].name[0] && e[0] == '.');
        while (*e) {
            size_t n = strcspn(e, " ");
            char name[64] = "a";

            assert_true(n < 40);
            memcpy(name + 1, e, n);
            for (size_t k = 0; k < n; k++)
                assert_false(isupper((unsigned char)e[k]));
            assert_int_equal(format_of_name(str_of(name)), i);
            e += n + (e[n] == ' ');
        }
    }
}

static void
their_names_are_told(void **state)
{
    struct buf b = { 0 };

    (void)state;
    format_names(&b);
    assert_non_null(strstr(b.p, "plain text, Markdown"));
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_type_and_a_name_say_what_a_file_is),
        cmocka_unit_test(every_ending_and_every_type_means_one_format),
        cmocka_unit_test(their_names_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
