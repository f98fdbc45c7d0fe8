/* Vectors in the index: the scan against brute force, inner products, other models and nonsense, a second set. */
#include "indexkit.h"

#include <math.h>

#include "retriever/index/dot.h"

static void
the_scan_finds_what_brute_force_finds(void **state)
{
    enum { N = 3000 };
    struct index *ix = index_new(1 << 28);
    float *v = noise((size_t)N * DIMS, 3), *q = noise(DIMS, 99);

    (void)state;
    index_set_weight(ix, 1);
    assert_int_equal(put(ix, &(struct spec){ .tenant = "t",
                                             .collection = "c",
                                             .id = "d",
                                             .text = "p%zu",
                                             .n = N,
                                             .dims = DIMS,
                                             .vectors = v }),
                     ERR_OK);
    struct found f = find(ix,
                          (struct engine_query){ .tenant = STR("t"),
                                                 .text = STR("zzz"),
                                                 .vector = q,
                                                 .dims = DIMS,
                                                 .model = STR("m"),
                                                 .all = true },
                          "c");
    double norm_q = sqrt((double)dot_f32(q, q, DIMS)), last = 2;

    assert_int_equal(f.rep.hits.n, 10);
    for (size_t k = 0; k < 10; k++) {
        double best = -2;

        for (size_t i = 0; i < N; i++) {
            const float *x = v + i * DIMS;
            double c = (double)dot_f32(q, x, DIMS) / norm_q / sqrt((double)dot_f32(x, x, DIMS));

            if (c < last - 1e-9 && c > best)
                best = c;
        }
        assert_true(fabs(f.rep.hits.v[k].vector * 1.0 / norm_q - best) < 1e-4 ||
                    fabs(f.rep.hits.v[k].vector - best) < 1e-4);
        last = best;
    }
    arena_free(&f.a);
    mem_free(&v);
    mem_free(&q);
    index_free(&ix);
}

static void
fast_and_plain_inner_products_agree(void **state)
{
    int8_t a[300], b[300];
    unsigned seed = 5;

    (void)state;
    for (size_t i = 0; i < 300; i++) {
        seed = seed * 1103515245u + 12345u;
        a[i] = (int8_t)((int)((seed >> 16) % 255) - 127);
        seed = seed * 1103515245u + 12345u;
        b[i] = (int8_t)((int)((seed >> 16) % 255) - 127);
    }
    for (size_t n = 0; n <= 300; n++)
        assert_int_equal(dot_i8()(a, b, n), dot_i8_plain(a, b, n));
    memset(a, 127, sizeof a);
    memset(b, -127, sizeof b);
    assert_int_equal(dot_i8()(a, b, 300), -127 * 127 * 300);
}

static void
vectors_of_other_models_sizes_or_nonsense_do_not_count(void **state)
{
    struct index *ix = index_new(1 << 28);
    float good[4] = { 1, 0, 0, 0 }, nan[4] = { NAN, 0, 0, 1 }, zero[4] = { 0 }, q[4] = { 1, 0, 0, 0 };
    /* clang-format off: a table */
    const struct spec s[] = {
        { .tenant = "t",
          .collection = "c",
          .id = "1",
          .text = "one %zu",
          .n = 1,
          .dims = 4,
          .vectors = good },
        { .tenant = "t",
          .collection = "c",
          .id = "2",
          .text = "two %zu",
          .n = 1,
          .dims = 4,
          .vectors = good,
          .model = "else" },
        { .tenant = "t",
          .collection = "c",
          .id = "3",
          .text = "three %zu",
          .n = 1,
          .dims = 3,
          .vectors = good },
        { .tenant = "t",
          .collection = "c",
          .id = "4",
          .text = "four %zu",
          .n = 1,
          .dims = 4,
          .vectors = nan },
        { .tenant = "t",
          .collection = "c",
          .id = "5",
          .text = "five %zu",
          .n = 1,
          .dims = 4,
          .vectors = zero },
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(put(ix, &s[i]), ERR_OK);
    struct engine_query ask = { .tenant = STR("t"), .vector = q, .dims = 4, .model = STR("m"), .all = true };

    ask.text = STR("five four three two");
    struct found f = find(ix, ask, "c");

    assert_int_equal(f.rep.hits.n, 5);
    for (size_t i = 0; i < 5; i++) {
        bool first = str_is(f.rep.hits.v[i].external_id, "1");

        assert_true(fabs(f.rep.hits.v[i].vector - (first ? 1 : 0)) < 1e-6);
    }
    arena_free(&f.a);
    index_free(&ix);
}

/* One passage with vectors of both models; in_use is the one that questions are compared with. */
static enum err
put_both(struct index *ix, const char *id, const float *first, const float *second, size_t second_dims,
         const char *in_use)
{
    struct chunk c = { .id = id_of(id),
                       .end = 5,
                       .text = STR("alpha"),
                       .vector = { (const char *)first, DIMS * sizeof(float) },
                       .second = { (const char *)second, second_dims * sizeof(float) } };
    struct document d = {
        .id = id_of(id), .external_id = str_of(id), .collection = STR("c"), .status = STR("ready")
    };
    struct chunks_get_rep rep = { .tenant = STR("t"),
                                  .document = { &d, 1 },
                                  .model = STR("old"),
                                  .second_model = STR("new"),
                                  .space = str_of(in_use),
                                  .chunks = { &c, 1 } };
    struct index_doc *doc = index_doc_new(&rep);

    assert_non_null(doc);
    assert_true(index_doc_add(doc, words, &rep));
    return index_put(ix, &doc);
}

/* The cosine of the best passage; 0: it was compared by words only. */
static double
cosine(struct index *ix, const char *model, const float *v, size_t dims)
{
    struct found f = find(ix,
                          (struct engine_query){ .tenant = STR("t"),
                                                 .text = STR("alpha"),
                                                 .vector = v,
                                                 .dims = dims,
                                                 .model = str_of(model),
                                                 .all = true },
                          "c");
    double got = f.rep.hits.n ? f.rep.hits.v[0].vector : -2;

    arena_free(&f.a);
    return got;
}

static void
a_passage_with_two_sets_is_compared_by_the_model_that_is_asked_for(void **state)
{
    struct index *ix = index_new(1 << 24);
    float *old = noise(DIMS, 1), *other = noise(2 * DIMS, 2), *unit = noise(DIMS, 1);
    double n = 0;

    (void)state;
    for (size_t i = 0; i < DIMS; i++)
        n += (double)unit[i] * unit[i];
    for (size_t i = 0; i < DIMS; i++)
        unit[i] = (float)(unit[i] / sqrt(n));
    assert_int_equal(put_both(ix, "d", old, other, 2 * DIMS, "old"), ERR_OK);
    assert_true(fabs(cosine(ix, "old", unit, DIMS) - 1) < 1e-5);
    assert_true(cosine(ix, "new", other, 2 * DIMS) > 0.5);
    assert_true(fabs(cosine(ix, "new", unit, DIMS)) < 1e-9); /* of another length: never compared */
    assert_true(fabs(cosine(ix, "third", unit, DIMS)) < 1e-9);
    mem_free(&old);
    mem_free(&other);
    mem_free(&unit);
    index_free(&ix);
}

static void
without_room_for_both_the_set_in_use_stays(void **state)
{
    float *v = noise(4096, 3);

    (void)state;
    for (int second = 0; second < 2; second++) {
        struct index *ix = index_new(14000); /* one of 40 and one of 4096 numbers take over 20,000 */
        const char *in_use = second ? "new" : "old";
        enum err e = put_both(ix, "d", v, v, 4096, in_use);

        assert_int_equal(e, second ? ERR_INDEX_FULL : ERR_OK); /* the large one alone has no room either */
        if (!second) {
            assert_true(cosine(ix, "old", v, DIMS) > 0.5);
            assert_true(fabs(cosine(ix, "new", v, 4096)) < 1e-9);
        }
        index_free(&ix);
    }
    mem_free(&v);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scan_finds_what_brute_force_finds),
        cmocka_unit_test(fast_and_plain_inner_products_agree),
        cmocka_unit_test(vectors_of_other_models_sizes_or_nonsense_do_not_count),
        cmocka_unit_test(a_passage_with_two_sets_is_compared_by_the_model_that_is_asked_for),
        cmocka_unit_test(without_room_for_both_the_set_in_use_stays),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
