/* Promises of the codec: what goes in comes out; what is malformed is refused, cheaply. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/random.h"
#include "proto/answer.h"
#include "proto/bus.h"

static struct search_rep
sample(struct hit *hits, size_t n)
{
    struct search_rep r = { .seq = 7 };

    for (size_t i = 0; i < n; i++) {
        hits[i] = (struct hit){ .collection = STR("docs"),
                                .text = STR("päss"),
                                .start = (int64_t)i,
                                .end = 9,
                                .score = 0.5,
                                .vector = -0.25,
                                .title = STR("T") };
        random_bytes(&hits[i].chunk_id, 16);
        random_bytes(&hits[i].document_id, 16);
    }
    r.hits.v = hits;
    r.hits.n = n;
    return r;
}

static void
what_goes_in_comes_out(void **state)
{
    struct hit hits[3];
    struct search_rep in = sample(hits, 3), out;
    struct buf b = { 0 };
    struct arena *a = arena_new(1 << 20);

    (void)state;
    assert_int_equal(msg_encode(search_rep_desc(), &in, &b), ERR_OK);
    assert_true(msg_scan(b.p, b.n, 1000));
    assert_int_equal(msg_decode(search_rep_desc(), b.p, b.n, a, &out), ERR_OK);
    assert_int_equal(out.seq, 7);
    assert_int_equal(out.hits.n, 3);
    assert_true(str_is(out.hits.v[2].text, "päss"));
    assert_int_equal(out.hits.v[2].start, 2);
    assert_true(out.hits.v[1].vector == -0.25);
    assert_true(uuid_eq(&out.hits.v[0].chunk_id, &hits[0].chunk_id));
    assert_null(out.hits.v[0].url.p);
    buf_free(&b);
    arena_free(&a);
}

static void
every_truncation_is_refused(void **state)
{
    struct hit hits[2];
    struct search_rep in = sample(hits, 2), out;
    struct buf b = { 0 };

    (void)state;
    assert_int_equal(msg_encode(search_rep_desc(), &in, &b), ERR_OK);
    for (size_t n = 0; n < b.n; n++) {
        struct arena *a = arena_new(1 << 20);

        assert_int_equal(msg_decode(search_rep_desc(), b.p, n, a, &out), ERR_BAD_FRAME);
        arena_free(&a);
    }
    buf_free(&b);
}

static void
a_five_byte_bomb_reserves_nothing(void **state)
{
    static const uint8_t bombs[][5] = { { 0xdd, 0x7f, 0xff, 0xff, 0xff },
                                        { 0xdf, 0x7f, 0xff, 0xff, 0xff },
                                        { 0xdb, 0xff, 0xff, 0xff, 0xff },
                                        { 0xc6, 0xff, 0xff, 0xff, 0xff } };
    struct arena *a = arena_new(1 << 20);
    struct search_rep out;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_false(msg_scan(bombs[i], 5, 1000000));
        assert_int_equal(msg_decode(search_rep_desc(), bombs[i], 5, a, &out), ERR_BAD_FRAME);
    }
    assert_true(arena_used(a) == 0);
    arena_free(&a);
}

static void
a_required_id_of_zeros_is_refused(void **state)
{
    struct head_cancel h = { { "0123456789abcdef" }, 1 };
    struct arena *a = arena_new(4096);
    struct buf b = { 0 };

    (void)state;
    assert_int_equal(msg_encode(head_cancel_desc(), &h, &b), ERR_OK);
    assert_int_equal(msg_decode(head_cancel_desc(), b.p, b.n, a, &h), ERR_OK);
    memset((char *)memmem(b.p, b.n, "0123456789abcdef", 16), 0, 16);
    assert_int_equal(msg_decode(head_cancel_desc(), b.p, b.n, a, &h), ERR_BAD_FRAME);
    buf_free(&b);
    arena_free(&a);
}

static void
nesting_over_sixteen_is_refused(void **state)
{
    uint8_t deep[40];

    (void)state;
    memset(deep, 0x91, sizeof deep);
    deep[14] = 0xc0;
    assert_true(msg_scan(deep, 15, 1000));
    deep[14] = 0x91;
    deep[39] = 0xc0;
    assert_false(msg_scan(deep, 40, 1000));
}

static void
an_unknown_key_is_skipped_a_missing_one_refuses(void **state)
{
    /* {"x":[1,{"y":2}],"job":"a"} lacks limit; with limit it is a cleanup_req */
    static const uint8_t lacks[] = "\x82\xa1x\x92\x01\x81\xa1y\x02\xa3job\xa1"
                                   "a";
    static const uint8_t whole[] = "\x83\xa1x\x92\x01\x81\xa1y\x02\xa3job\xa1"
                                   "a\xa5limit\x05";
    struct arena *a = arena_new(4096);
    struct cleanup_req q;

    (void)state;
    assert_int_equal(msg_decode(cleanup_req_desc(), lacks, sizeof lacks - 1, a, &q), ERR_BAD_FRAME);
    assert_string_equal(msg_fault(), "cleanup_req.limit: missing");
    assert_int_equal(msg_decode(cleanup_req_desc(), whole, sizeof whole - 1, a, &q), ERR_OK);
    assert_int_equal(q.limit, 5);
    arena_free(&a);
}

static void
a_wrong_type_and_a_twice_given_key_are_refused(void **state)
{
    static const uint8_t type[] = "\x82\xa3job\x01\xa5limit\x05";
    static const uint8_t twice[] = "\x83\xa3job\xa1"
                                   "a\xa3job\xa1"
                                   "b\xa5limit\x05";
    static const uint8_t utf8[] = "\x82\xa3job\xa1\xff\xa5limit\x05";
    struct arena *a = arena_new(4096);
    struct cleanup_req q;

    (void)state;
    assert_int_equal(msg_decode(cleanup_req_desc(), type, sizeof type - 1, a, &q), ERR_BAD_FRAME);
    assert_int_equal(msg_decode(cleanup_req_desc(), twice, sizeof twice - 1, a, &q), ERR_BAD_FRAME);
    assert_int_equal(msg_decode(cleanup_req_desc(), utf8, sizeof utf8 - 1, a, &q), ERR_BAD_FRAME);
    arena_free(&a);
}

static void
a_field_over_its_maximum_is_not_encoded(void **state)
{
    char big[40];
    struct cleanup_req q = { .limit = 1 };
    struct buf b = { 0 };

    (void)state;
    memset(big, 'x', sizeof big);
    q.job = (struct str){ big, sizeof big };
    assert_int_equal(msg_encode(cleanup_req_desc(), &q, &b), ERR_VALIDATION);
    assert_int_equal(b.n, 0);
    buf_free(&b);
}

static void
integers_of_every_width_come_back(void **state)
{
    static const int64_t values[] = { 0,     1,         127,       128,       255,      256, 65535,
                                      65536, INT32_MAX, INT64_MAX, -1,        -32,      -33, -128,
                                      -129,  -32768,    -32769,    INT32_MIN, INT64_MIN };
    struct arena *a = arena_new(1 << 20);

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct cleanup_rep in = { .deleted = values[i] }, out;
        struct buf b = { 0 };

        assert_int_equal(msg_encode(cleanup_rep_desc(), &in, &b), ERR_OK);
        assert_int_equal(msg_decode(cleanup_rep_desc(), b.p, b.n, a, &out), ERR_OK);
        assert_true(out.deleted == values[i]);
        buf_free(&b);
    }
    arena_free(&a);
}

static void
a_packed_answer_survives_and_a_cut_one_is_refused(void **state)
{
    struct turn_finish_req t = { .answer = STR("Yes [1]."), .status = STR("complete"), .expiry_days = 30 },
                           back;
    uint8_t sha[32], got[32];
    struct buf b = { 0 };
    struct arena *a = arena_new(1 << 20);
    struct str json;
    int64_t epoch;

    (void)state;
    t.session = (struct str){ (const char *)sha, 32 };
    random_bytes(sha, 32);
    random_bytes(&t.question_id, 16);
    random_bytes(&t.message_id, 16);
    assert_int_equal(answer_pack(sha, 1234567, STR("{\"answer\":1"), &t, &b), ERR_OK);
    assert_int_equal(answer_unpack(buf_slice(&b), a, got, &epoch, &json, &back), ERR_OK);
    assert_memory_equal(sha, got, 32);
    assert_true(epoch == 1234567 && str_is(json, "{\"answer\":1") && str_is(back.answer, "Yes [1]."));
    for (size_t n = 0; n < b.n; n++)
        assert_int_not_equal(answer_unpack((struct str){ b.p, n }, a, NULL, NULL, NULL, &back), ERR_OK);
    buf_free(&b);
    arena_free(&a);
}

static void
every_error_has_a_name_and_a_status(void **state)
{
    (void)state;
    assert_string_equal(err_name(ERR_STORE_DOWN), "store_unavailable");
    assert_int_equal(err_http(ERR_LIMITED), 429);
    assert_true(err_retryable(ERR_WORKER_LOST));
    assert_false(err_retryable(ERR_VALIDATION));
    assert_false(err_known(9999));
    assert_int_equal(err_http((enum err)9999), 500);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(a_five_byte_bomb_reserves_nothing),
        cmocka_unit_test(a_required_id_of_zeros_is_refused),
        cmocka_unit_test(nesting_over_sixteen_is_refused),
        cmocka_unit_test(an_unknown_key_is_skipped_a_missing_one_refuses),
        cmocka_unit_test(a_wrong_type_and_a_twice_given_key_are_refused),
        cmocka_unit_test(a_field_over_its_maximum_is_not_encoded),
        cmocka_unit_test(integers_of_every_width_come_back),
        cmocka_unit_test(a_packed_answer_survives_and_a_cut_one_is_refused),
        cmocka_unit_test(every_error_has_a_name_and_a_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
