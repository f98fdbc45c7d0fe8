/* JSON Lines and the records in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "gateway/upload/jsonl.h"
#include "gateway/upload/record.h"

static void
lines_keep_their_numbers_when_empty_ones_are_passed_over(void **state)
{
    struct jsonl j = { .left = STR("\xEF\xBB\xBF{\"a\":1}\r\n\n  \t\r\n{\"b\":2}\n\n[3]") };
    struct str line;

    (void)state;
    assert_true(jsonl_next(&j, &line) && str_is(line, "{\"a\":1}"));
    assert_int_equal(j.line, 1);
    assert_true(jsonl_next(&j, &line) && str_is(line, "{\"b\":2}"));
    assert_int_equal(j.line, 4);
    assert_true(jsonl_next(&j, &line) && str_is(line, "[3]"));
    assert_int_equal(j.line, 6);
    assert_false(jsonl_next(&j, &line));
    assert_false(jsonl_next(&j, &line));
}

static void
a_body_without_records_has_no_lines(void **state)
{
    static const char *const bodies[] = { "", "\n", "\r\n\r\n", "\xEF\xBB\xBF", " \t" };
    struct str line;

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct jsonl j = { .left = str_of(bodies[i]) };

        assert_false(jsonl_next(&j, &line));
    }
}

static bool
reads(const char *text, struct document_put_req *req, struct fault *f)
{
    static struct arena *a;
    static json_t *o;

    json_decref(o);
    arena_free(&a);
    a = arena_new(1 << 20);
    return record_line(str_of(text), a, &o, req, f);
}

static void
a_record_carries_every_field(void **state)
{
    struct document_put_req r;
    struct fault f;

    (void)state;
    assert_true(reads(
        "{\"id\":\" k/1 \",\"title\":\"T\",\"text\":\"# x\",\"content_type\":\"text/markdown\",\"url\":\"https://e.org/a\","
        "\"chapter\":\"1\",\"section\":\"2\",\"collection\":\"c\",\"metadata\":{\"b\":1,\"a\":[true]}}",
        &r, &f));
    assert_true(str_is(r.external_id, "k/1") && str_is(r.title, "T") && str_is(r.body, "# x"));
    assert_true(str_is(r.mime, "text/markdown") && str_is(r.url, "https://e.org/a") &&
                str_is(r.chapter, "1"));
    assert_true(str_is(r.section, "2") && str_is(r.collection, "c") &&
                str_is(r.metadata, "{\"a\":[true],\"b\":1}"));
    assert_true(reads("{\"text\":\"x\"}", &r, &f));
    assert_true(str_is(r.mime, "text/plain") && !r.external_id.p && !r.collection.p && !r.metadata.p);
}

static void
a_wrong_record_says_which_field_is_wrong(void **state)
{
    static const struct {
        const char *text, *pointer;
    } wrong[] = {
        { "{\"title\":\"T\"}", "/text" },
        { "{\"text\":7}", "/text" },
        { "{\"text\":\" \\n \"}", "/text" },
        { "{\"text\":\"x\",\"titel\":\"T\"}", "/titel" },
        { "{\"text\":\"x\",\"title\":1}", "/title" },
        { "{\"text\":\"x\",\"id\":\"\"}", "/id" },
        { "{\"text\":\"x\",\"metadata\":[]}", "/metadata" },
        { "{\"text\":\"x\",\"url\":\"javascript:alert(1)\"}", "/url" },
        { "{\"text\":\"x\",\"content_type\":\"application/pdf\"}", "/content_type" },
        { "[1]", "/" },
        { "{\"text\":\"x\"", "/" },
        { "{\"text\":\"a\\u0000b\"}", "/" },
    };
    struct document_put_req r;
    struct fault f;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(reads(wrong[i].text, &r, &f));
        assert_string_equal(f.pointer, wrong[i].pointer);
        assert_true(strlen(f.detail) > 0);
    }
    reads("{\"text\":\"x\"}", &r, &f);
}

static void
types_come_from_what_was_sent_or_from_the_name(void **state)
{
    (void)state;
    static const struct {
        const char *type, *name, *body;
        enum format format;
        bool known;
    } rows[] = {
        { "text/markdown", NULL, "x", FORMAT_MARKDOWN, true },
        { "application/octet-stream", "a.MD", "x", FORMAT_MARKDOWN, true },
        { NULL, "a.txt", "x", FORMAT_PLAIN, true },
        { NULL, "a.txt", " \n", FORMAT_NONE, true },
        { NULL, "a.txt", "\xff\xfe", FORMAT_NONE, true },
        { "video/mp4", "a.md", "x", FORMAT_NONE, false },
        { "application/octet-stream", "a.bin", "x", FORMAT_NONE, false },
        /* the bytes beat a wrong name, and what they cannot be is said */
        { "text/plain", "a.txt", "%PDF-1.4\n", FORMAT_PDF, true },
        { "application/octet-stream", "a", "%PDF-1.4\n", FORMAT_PDF, true },
        { NULL, "a.docx", "%PDF-1.4\n", FORMAT_PDF, true },
        { NULL, "a.pdf", "PK\3\4....word/document.xml", FORMAT_DOCX, true },
        { NULL, "a.pdf", "some text", FORMAT_NONE, true },
        { NULL, "a.docx", "PK\3\4....content.xml", FORMAT_NONE, true },
        { NULL, "a.odt", "PK\3\4....mimetypeapplication/vnd.oasis.opendocument.textPK", FORMAT_ODT, true },
        { NULL, "a.odt", "PK\3\4....mimetypeapplication/vnd.oasis.opendocument.spreadsheetPK\3\4content.xml",
          FORMAT_NONE, true },
        { NULL, "a.pdf", "\x89PNG\r\n", FORMAT_NONE, true },
        { NULL, "a.md", "\x89PNG\r\n", FORMAT_NONE, true },
        { NULL, "a.txt", "MZ is how programs begin", FORMAT_PLAIN, true },
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fault f = { 0 };
        bool known;

        assert_int_equal(record_format(str_of(rows[i].type), str_of(rows[i].name), str_of(rows[i].body),
                                       &known, &f),
                         rows[i].format);
        assert_int_equal(known, rows[i].known);
        assert_true((rows[i].format == FORMAT_NONE) == (f.detail[0] != 0));
    }
    assert_true(str_is(record_basename(STR("C:\\x\\y.md")), "y.md") &&
                str_is(record_basename(STR("../x/y.md")), "y.md"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_keep_their_numbers_when_empty_ones_are_passed_over),
        cmocka_unit_test(a_body_without_records_has_no_lines),
        cmocka_unit_test(a_record_carries_every_field),
        cmocka_unit_test(a_wrong_record_says_which_field_is_wrong),
        cmocka_unit_test(types_come_from_what_was_sent_or_from_the_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
