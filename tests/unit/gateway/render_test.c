/* The API's words about things: whole JSON, every field of docs/api.md, offsets that fit the excerpt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "gateway/request/render.h"

static json_t *
parsed(struct buf *b)
{
    enum json_fault fault;
    const char *detail;
    json_t *o = json_read(buf_slice(b), &fault, &detail);

    assert_non_null(o);
    buf_free(b);
    return o;
}

static void
assert_keys(const json_t *o, const char *const *keys)
{
    size_t n = 0;

    for (; keys[n]; n++)
        if (!json_object_get(o, keys[n]))
            fail_msg("%s is missing", keys[n]);
    assert_int_equal(json_object_size(o), n);
}

static void
a_source_has_every_field_and_absent_ones_are_null(void **state)
{
    static const char *const keys[] = { "id",
                                        "n",
                                        "document_id",
                                        "external_id",
                                        "chunk_id",
                                        "chapter",
                                        "section",
                                        "title",
                                        "content_excerpt",
                                        "start",
                                        "end",
                                        "link",
                                        "confidence_score",
                                        "kind",
                                        NULL };
    struct citation c = { .id = uuid_v4(),
                          .n = 2,
                          .document_id = uuid_v4(),
                          .chunk_id = uuid_v4(),
                          .excerpt = STR("a \"quote\"\n"),
                          .start = 7,
                          .end = 17,
                          .score = 0.5 };
    struct buf b = BUF_MAX(0);
    char text[37];
    json_t *o;

    (void)state;
    render_source(&b, &c, NULL);
    o = parsed(&b);
    assert_keys(o, keys);
    assert_true(str_is(json_str(o, "content_excerpt"), "a \"quote\"\n"));
    assert_true(str_is(json_str(o, "id"), uuid_text(&c.id, text)));
    assert_true(json_is_null(json_object_get(o, "title")) && json_is_null(json_object_get(o, "link")));
    assert_int_equal(json_int(o, "start", 0), 7);
    json_decref(o);
}

static void
a_candidate_is_a_verbatim_slice_of_at_most_300_characters(void **state)
{
    struct hit h = { .chunk_id = uuid_v4(), .document_id = uuid_v4(), .start = 100 };
    struct uuid id = uuid_v4();
    struct buf text = BUF_MAX(0), b = BUF_MAX(0);
    json_t *o;

    (void)state;
    for (int i = 0; i < 400; i++)
        buf_z(&text, "é");
    h.text = buf_slice(&text);
    h.end = 100 + (int64_t)text.n;
    render_candidate(&b, &h, 3, &id);
    o = parsed(&b);
    assert_int_equal(json_str(o, "content_excerpt").n, 600);
    assert_int_equal(utf8_count(json_str(o, "content_excerpt")), 300);
    assert_int_equal(json_int(o, "start", 0), 100);
    assert_int_equal(json_int(o, "end", 0), 700);
    json_decref(o);
    buf_free(&text);
}

static void
a_link_is_a_web_address_or_a_path_in_sources_and_in_hits(void **state)
{
    static const char *const urls[][2] = { { "https://d.example/a#", "https://d.example/a#part" },
                                           { "/a", "/a" },
                                           { "javascript:alert(1)", NULL },
                                           { "", NULL } };

    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct citation c = { .url = str_of(urls[i][0]), .section = STR("Part") };
        struct hit h = { .url = c.url, .section = c.section };

        for (int k = 0; k < 2; k++) {
            struct buf b = BUF_MAX(0);
            json_t *o;

            if (k)
                render_hit(&b, &h, false);
            else
                render_source(&b, &c, NULL);
            o = parsed(&b);
            if (urls[i][1])
                assert_true(str_is(json_str(o, "link"), urls[i][1]));
            else
                assert_true(json_is_null(json_object_get(o, "link")));
            json_decref(o);
        }
    }
}

static void
messages_of_users_have_no_facts_of_an_answer(void **state)
{
    struct citation c = {
        .id = uuid_v4(), .n = 1, .document_id = uuid_v4(), .chunk_id = uuid_v4(), .excerpt = STR("e")
    };
    struct message m = { .id = uuid_v4(),
                         .conversation_id = uuid_v4(),
                         .role = STR("user"),
                         .content = STR("q?"),
                         .created_ms = 1764000000000 };
    struct buf b = BUF_MAX(0);
    json_t *o;

    (void)state;
    render_message(&b, &m, NULL);
    o = parsed(&b);
    assert_null(json_object_get(o, "confidence"));
    assert_int_equal(json_array_size(json_object_get(o, "sources")), 0);
    assert_true(str_is(json_str(o, "created_at"), "2025-11-24T16:00:00.000Z"));
    json_decref(o);
    m.role = STR("assistant");
    m.from_cache = true;
    m.citations.v = &c;
    m.citations.n = 1;
    render_message(&b, &m, NULL);
    o = parsed(&b);
    assert_true(str_is(json_str(o, "cached"), "query"));
    assert_int_equal(json_array_size(json_object_get(o, "sources")), 1);
    json_decref(o);
}

static void
documents_keep_their_metadata_as_json(void **state)
{
    uint8_t sha[32] = { 0xab };
    struct document d = { .id = uuid_v4(),
                          .collection = STR("docs"),
                          .status = STR("ready"),
                          .chunks = 3,
                          .metadata = STR("{\"lang\":\"en\"}"),
                          .sha256 = { (const char *)sha, 32 } };
    struct buf b = BUF_MAX(0);
    json_t *o;

    (void)state;
    render_document(&b, &d);
    o = parsed(&b);
    assert_true(str_is(json_str(json_object_get(o, "metadata"), "lang"), "en"));
    assert_int_equal(json_str(o, "sha256").n, 64);
    assert_true(json_is_null(json_object_get(o, "error")));
    json_decref(o);
}

static void
a_listed_key_does_not_show_the_key(void **state)
{
    uint8_t hash[32] = { 1 };
    struct str scopes[] = { STR("chat") };
    struct api_key k = { .hash = { (const char *)hash, 32 },
                         .label = STR("l"),
                         .tenant = STR("t"),
                         .scopes = { scopes, 1 },
                         .created_ms = 1 };
    struct buf b = BUF_MAX(0);
    json_t *o;

    (void)state;
    render_api_key(&b, &k);
    o = parsed(&b);
    assert_null(json_object_get(o, "key"));
    assert_int_equal(json_str(o, "id").n, 64);
    assert_int_equal(json_array_size(json_object_get(o, "scopes")), 1);
    json_decref(o);
}

static void
number_item(struct buf *b, const void *item, void *arg)
{
    buf_printf(b, "%d", *(const int *)item + *(int *)arg);
}

static void
a_list_has_its_items_in_order_and_none_is_an_empty_one(void **state)
{
    static const int v[] = { 1, 2, 3 };
    static const char *const want[] = { "[]", "[11]", "[11,12]", "[11,12,13]" };
    int ten = 10;
    struct buf b = BUF_MAX(0);

    (void)state;
    for (size_t n = 0; n <= 3; n++) {
        buf_reset(&b);
        render_list(&b, &(struct list){ v, n, sizeof *v, number_item, &ten });
        assert_string_equal(b.p, want[n]);
    }
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_has_its_items_in_order_and_none_is_an_empty_one),
        cmocka_unit_test(a_source_has_every_field_and_absent_ones_are_null),
        cmocka_unit_test(a_candidate_is_a_verbatim_slice_of_at_most_300_characters),
        cmocka_unit_test(a_link_is_a_web_address_or_a_path_in_sources_and_in_hits),
        cmocka_unit_test(messages_of_users_have_no_facts_of_an_answer),
        cmocka_unit_test(documents_keep_their_metadata_as_json),
        cmocka_unit_test(a_listed_key_does_not_show_the_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
