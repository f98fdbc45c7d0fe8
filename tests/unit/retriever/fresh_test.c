/* Chunks that were just stored: kept whole, given once, and never more than there is room for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/text/uuid.h"
#include "retriever/fresh.h"

static const struct str text = { "One sentence. \xc3\x84nother.", 23 };
static const float vector[4] = { 0.5f, 0.5f, 0.5f, 0.5f };

static struct chunk
chunk_of(int64_t ord, int64_t start, int64_t end)
{
    return (struct chunk){ .id = uuid_v7(),
                           .ord = ord,
                           .start = start,
                           .end = end,
                           .section = STR("Section"),
                           .hash = STR("0123456789abcdef0123456789abcdef"),
                           .vector = { (const char *)vector, sizeof vector } };
}

static void
put(struct fresh *f, const struct uuid *id, int64_t seq)
{
    struct chunk v[2] = { chunk_of(0, 0, 13), chunk_of(1, 14, 23) };

    fresh_put(f, id, seq, v, 2, text);
}

static void
what_was_put_is_given_whole_and_once(void **state)
{
    struct fresh *f = fresh_new(1 << 20);
    struct uuid id = uuid_v7();
    struct fresh_doc *d;

    (void)state;
    put(f, &id, 7);
    assert_true(fresh_bytes(f) > 2 * sizeof vector);
    d = fresh_take(f, &id, 7);
    assert_non_null(d);
    assert_int_equal(d->n, 2);
    assert_true(str_is(d->v[0].text, "One sentence."));
    assert_true(str_is(d->v[1].text, "\xc3\x84nother."));
    assert_true(str_is(d->v[1].section, "Section"));
    assert_false(d->v[1].chapter.p);
    assert_int_equal(d->v[1].vector.n, sizeof vector);
    assert_memory_equal(d->v[1].vector.p, vector, sizeof vector);
    assert_null(fresh_take(f, &id, 7));
    fresh_doc_free(&d);
    assert_int_equal(fresh_bytes(f), 0);
    fresh_free(&f);
}

static void
only_the_change_that_was_stored_is_given(void **state)
{
    struct fresh *f = fresh_new(1 << 20);
    struct uuid id = uuid_v7(), other = uuid_v7();
    struct fresh_doc *d;

    (void)state;
    put(f, &id, 7);
    assert_null(fresh_take(f, &id, 8));
    assert_null(fresh_take(f, &other, 7));
    put(f, &id, 9); /* a newer version beside it */
    d = fresh_take(f, &id, 9);
    assert_non_null(d);
    fresh_doc_free(&d);
    fresh_free(&f);
}

static void
a_text_that_the_offsets_cut_is_left_out_as_the_store_leaves_it_out(void **state)
{
    struct fresh *f = fresh_new(1 << 20);
    struct chunk v[3] = { chunk_of(0, 0, 15), chunk_of(1, 20, 90), chunk_of(2, 5, 2) };
    struct uuid id = uuid_v7();
    struct fresh_doc *d;

    (void)state;
    fresh_put(f, &id, 1, v, 3, text);
    d = fresh_take(f, &id, 1);
    assert_non_null(d);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(d->v[i].text.n, 0);
    fresh_doc_free(&d);
    fresh_free(&f);
}

static void
what_was_read_past_goes_and_what_has_no_room_is_not_kept(void **state)
{
    struct fresh *f = fresh_new(2000);
    struct uuid id[8];
    size_t kept = 0, full;

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        id[i] = uuid_v7();
        put(f, &id[i], (int64_t)i + 1);
    }
    full = fresh_bytes(f);
    assert_true(full > 0 && full <= 2000);
    fresh_reached(f, 1);
    assert_true(fresh_bytes(f) < full);
    assert_null(fresh_take(f, &id[0], 1));
    for (size_t i = 1; i < 8; i++) {
        struct fresh_doc *d = fresh_take(f, &id[i], (int64_t)i + 1);

        kept += d != NULL;
        fresh_doc_free(&d);
    }
    assert_true(kept >= 1 && kept < 7);
    assert_int_equal(fresh_bytes(f), 0);
    put(f, &id[0], 1); /* the feed was there before the store's answer */
    assert_int_equal(fresh_bytes(f), 0);
    fresh_clear(f); /* another database: it counts anew */
    put(f, &id[0], 1);
    assert_true(fresh_bytes(f) > 0);
    fresh_free(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_given_whole_and_once),
        cmocka_unit_test(only_the_change_that_was_stored_is_given),
        cmocka_unit_test(a_text_that_the_offsets_cut_is_left_out_as_the_store_leaves_it_out),
        cmocka_unit_test(what_was_read_past_goes_and_what_has_no_room_is_not_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
