/* The sentence model without its weights: files that are refused, pieces of words, passes, windows, and who is computed first. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "embedder/minilm/pool.h"
#include "tests/unit/embedder/tinykit.h"

static struct bert_file *file; /* of all tests */

static void
expect_tokens(const char *text, const uint32_t *ids, size_t n)
{
    uint32_t got[64];

    assert_int_equal(bert_tokens(file, str_of(text), got, 64), n);
    assert_memory_equal(got, ids, n * sizeof *ids);
}
#define TOKENS(text, ...) \
    expect_tokens(text, (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)

static void
a_word_is_its_longest_pieces_and_else_unknown(void **state)
{
    (void)state;
    TOKENS("unaffable", 4, 5, 6);
    TOKENS("Hello, THE hellos!", 7, 9, 8, 7, 11, 10);
    TOKENS("unaff\xc3\xa0"
           "ble",
           4, 5, 6);                                    /* the accent falls */
    TOKENS("caf\xc3\xa9 cafe\xcc\x81", 13, 14, 13, 14); /* composed or not */
    TOKENS("the\xe4\xb8\x96the", 8, 12, 8);             /* a letter of Han stands alone */
    TOKENS("\xd0\x9c\xd0\x98\xd0\xa0", 15);             /* any script has small letters */
    TOKENS("unx the", 1, 8);                            /* all of a word is unknown, not its rest */
    TOKENS("th\xc2\xad"
           "e \t\n\xc2\xa0 h\x01"
           "ello\xff!",
           8, 7, 10); /* soft hyphen, control, bytes that are no UTF-8 */
    assert_int_equal(bert_tokens(file, STR(""), (uint32_t[1]){ 0 }, 1), 0);
}

static void
a_word_of_more_than_100_characters_is_unknown(void **state)
{
    struct buf b = BUF_MAX(0);
    uint32_t ids[300];

    (void)state;
    buf_z(&b, "un");
    for (size_t i = 0; i < 98; i++)
        buf_c(&b, 's');
    assert_int_equal(bert_tokens(file, buf_slice(&b), ids, 300), 99);
    buf_c(&b, 's');
    assert_int_equal(bert_tokens(file, buf_slice(&b), ids, 300), 1);
    assert_int_equal(ids[0], 1);
    assert_int_equal(bert_tokens(file, STR("the the the"), ids, 2), 2); /* never more than there is room */
    buf_free(&b);
}

static void
expect_refused(struct buf *b, const char *word)
{
    struct buf why = BUF_MAX(1000);
    struct bert_file *f = tiny_open(b, &why);

    if (f || !strstr(why.p, word))
        fail_msg("expected \"%s\", got \"%s\"", word, f != NULL ? "a model" : why.p);
    buf_free(&why);
}

static void
a_damaged_file_is_refused_in_words(void **state)
{
    struct buf b = tiny_model(), cut;

    (void)state;
    for (size_t i = 64; i < b.n; i += 97) {
        b.p[i] ^= 1;
        expect_refused(&b, "damaged");
        b.p[i] ^= 1;
    }
    cut = b;
    cut.n -= 64;
    expect_refused(&cut, "missing");
    cut.n = 100;
    expect_refused(&cut, "no file of a model's size");
    b.p[8] = 9;
    expect_refused(&b, "version");
    b.p[0] = 'X';
    expect_refused(&b, "no model file");
    buf_free(&b);
}

/* One field set, the checksum made to fit: refused, or a model that can be used without leaving its bounds. */
static void
try_field(struct buf *b, size_t at, uint32_t value)
{
    struct buf why = BUF_MAX(1000);
    uint32_t was;
    struct bert_file *f;

    memcpy(&was, b->p + at, 4);
    memcpy(b->p + at, &value, 4);
    tiny_seal(b);
    f = tiny_open(b, &why);
    if (f) {
        struct bert_packer *p = bert_packer_new(f);
        float *out = mem_new(f->hidden * sizeof *out);

        bert_embed(p, &STR("hello, unaffable the the the the the the the the the the the"), &out, 1, NULL,
                   NULL);
        bert_packer_free(&p);
        mem_free(&out);
    }
    bert_close(&f);
    buf_free(&why);
    memcpy(b->p + at, &was, 4);
}

static void
no_size_and_no_index_leads_out_of_the_file(void **state)
{
    static const uint32_t values[] = { 0,  1,    3,     16,         17,         48,
                                       64, 4096, 65536, 0x7fffffff, 0x80000000, 0xffffffff };
    struct buf b = tiny_model();

    (void)state;
    for (size_t at = 64; at < 128; at += 4)
        for (size_t i = 0; i < sizeof values / sizeof *values; i++)
            try_field(&b, at, values[i]);
    for (size_t at = TINY_HEAD; at < TINY_HEAD + 64 + 64 + 256; at += 4) /* the vocabulary */
        for (size_t i = 0; i < sizeof values / sizeof *values; i++)
            try_field(&b, at, values[i]);
    buf_free(&b);
}

static void
embed_one(struct bert_packer *p, const char *text, float *out)
{
    struct str s = str_of(text);

    memset(out, 0, TINY_HIDDEN * sizeof *out);
    bert_embed(p, &s, &out, 1, NULL, NULL);
}

static void
a_text_has_the_same_vector_alone_and_in_company(void **state)
{
    static const char *const texts[] = { "hello", "the hello, unaffable !", "", "un the un the un the un",
                                         "\xe4\xb8\x96 caf\xc3\xa9" };
    struct bert_packer *p = bert_packer_new(file);
    struct str in[5];
    float together[5][TINY_HIDDEN] = { { 0 } }, *out[5], alone[TINY_HIDDEN];

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        in[i] = str_of(texts[i]);
        out[i] = together[i];
    }
    bert_embed(p, in, out, 5, NULL, NULL);
    for (size_t i = 0; i < 5; i++) {
        double length = 0;

        embed_one(p, texts[i], alone);
        assert_memory_equal(alone, together[i], sizeof alone);
        for (size_t c = 0; c < TINY_HIDDEN; c++)
            length += (double)alone[c] * (double)alone[c];
        assert_true(fabs(length - 1) < 1e-5);
    }
    assert_memory_not_equal(together[0], together[1], sizeof alone);
    bert_packer_free(&p);
}

/* 20 tokens in a window of 10: the mean of two halves. */
static void
a_text_longer_than_the_window_is_the_mean_of_its_windows(void **state)
{
    struct bert_packer *p = bert_packer_new(file);
    struct bert_run *run = bert_run_new(file);
    uint32_t ids[24] = { 2, 8, 7, 8, 7, 8, 7, 8, 7, 8, 7, 3, 2, 9, 10, 9, 10, 9, 10, 9, 10, 9, 10, 3 };
    size_t at[3] = { 0, 12, 24 };
    float whole[TINY_HIDDEN], halves[2 * TINY_HIDDEN];
    double dot = 0, length = 0;

    (void)state;
    embed_one(p, "the hello the hello the hello the hello the hello , ! , ! , ! , ! , !", whole);
    bert_pass(run, ids, at, 2, halves, NULL, NULL);
    for (size_t c = 0; c < TINY_HIDDEN; c++) {
        double mean = (double)(halves[c] + halves[TINY_HIDDEN + c]);

        dot += mean * (double)whole[c];
        length += mean * mean;
    }
    assert_true(fabs(dot / sqrt(length) - 1) < 1e-5);
    bert_run_free(&run);
    bert_packer_free(&p);
}

/* ---- who is computed first */
struct asked {
    struct bert_order order;
    struct str texts[600];
    int *clock;  /* orders that are done */
    int at;      /* which of them it was */
    int missing; /* when there are so many, the loop ends */
    struct loop *loop;
};

static void
on_done(void *arg)
{
    struct asked *a = arg;

    a->at = ++*a->clock;
    mem_free(&a->order.items);
    if (*a->clock == a->missing)
        loop_stop(a->loop);
}

static struct asked *
asked_new(struct loop *l, int *now, size_t n, const char *text, bool question, int last)
{
    struct asked *a = mem_new(sizeof *a);

    a->loop = l;
    a->clock = now;
    a->missing = last;
    for (size_t i = 0; i < n; i++)
        a->texts[i] = str_of(text);
    a->order = (struct bert_order){ .texts = a->texts,
                                    .n = n,
                                    .vectors = mem_new(n * TINY_HIDDEN * sizeof(float)),
                                    .question = question,
                                    .done = on_done,
                                    .arg = a };
    return a;
}

static void
asked_free(struct asked **a)
{
    mem_free(&(*a)->order.vectors);
    mem_free(a);
}

static void
a_question_does_not_wait_for_a_batch_of_passages(void **state)
{
    struct loop *l = loop_new();
    struct bert_pool *p = bert_pool_new(l, file, 1, 1000);
    int now = 0;
    struct asked *batch = asked_new(l, &now, 600,
                                    "the hello the hello the hello, unaffable the hello hello hello", false,
                                    3);
    struct asked *first = asked_new(l, &now, 1, "hello", true, 3),
                 *second = asked_new(l, &now, 3, "the caf\xc3\xa9", true, 3);
    float alone[TINY_HIDDEN];
    struct bert_packer *q = bert_packer_new(file);

    (void)state;
    assert_int_equal(bert_pool_run(p, &batch->order), 0);
    assert_int_equal(bert_pool_run(p, &first->order), 0);
    assert_int_equal(bert_pool_run(p, &second->order), 0);
    loop_run(l);
    assert_int_equal(batch->at, 3);
    embed_one(q, "hello", alone);
    assert_memory_equal(alone, first->order.vectors, sizeof alone);
    embed_one(q, "the caf\xc3\xa9", alone);
    assert_memory_equal(alone, second->order.vectors + 2 * TINY_HIDDEN, sizeof alone);
    bert_packer_free(&q);
    asked_free(&batch);
    asked_free(&first);
    asked_free(&second);
    bert_pool_stop(p);
    bert_pool_free(&p);
    loop_free(&l);
}

/* A file that was mapped only: its contents are looked at by the pool. */
static void
a_file_is_checked_by_the_thread_that_needs_it(void **state)
{
    (void)state;
    for (int damaged = 0; damaged < 2; damaged++) {
        struct buf b = tiny_model(), why = BUF_MAX(1000);
        struct loop *l = loop_new();
        struct bert_file *f;
        struct bert_pool *p;
        int now = 0;
        struct asked *first = asked_new(l, &now, 3, "hello", false, 2),
                     *second = asked_new(l, &now, 1, "hello", true, 2);

        if (damaged)
            b.p[b.n - 1] ^= 1;
        f = tiny_open_by(&b, &why, bert_map);
        assert_non_null(f);
        assert_false(f->checked);
        p = bert_pool_new(l, f, 3, 1000);
        assert_int_equal(bert_pool_run(p, &first->order), 0);
        assert_int_equal(bert_pool_run(p, &second->order), 0);
        loop_run(l);
        assert_true(first->order.damaged == damaged && second->order.damaged == damaged);
        assert_true(f->checked == !damaged);
        assert_true((second->order.vectors[0] != 0) == !damaged);
        bert_pool_free(&p);
        bert_close(&f);
        asked_free(&first);
        asked_free(&second);
        loop_free(&l);
        buf_free(&why);
        buf_free(&b);
    }
}

static void
what_is_cancelled_or_too_much_is_not_computed(void **state)
{
    struct loop *l = loop_new();
    struct bert_pool *p = bert_pool_new(l, file, 1, 1000);
    int now = 0;
    struct asked *batch = asked_new(l, &now, 600,
                                    "the hello the hello the hello, unaffable the hello hello hello", false,
                                    2);
    struct asked *more = asked_new(l, &now, 600, "hello", false, 2),
                 *last = asked_new(l, &now, 1, "hello", false, 2);

    (void)state;
    assert_int_equal(bert_pool_run(p, &batch->order), 0);
    assert_int_equal(bert_pool_run(p, &more->order), -1);
    bert_pool_cancel(p, &batch->order);
    assert_int_equal(bert_pool_run(p, &last->order), 0);
    loop_run(l);
    assert_true(batch->order.dropped);
    assert_false(last->order.dropped);
    asked_free(&batch);
    asked_free(&more);
    asked_free(&last);
    bert_pool_stop(p);
    bert_pool_free(&p);
    loop_free(&l);
}

static int
open_file(void **state)
{
    struct buf b = tiny_model(), why = BUF_MAX(1000);

    (void)state;
    file = tiny_open(&b, &why);
    buf_free(&b);
    buf_free(&why);
    return !file ? -1 : 0;
}

static int
close_file(void **state)
{
    (void)state;
    bert_close(&file);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_is_its_longest_pieces_and_else_unknown),
        cmocka_unit_test(a_word_of_more_than_100_characters_is_unknown),
        cmocka_unit_test(a_damaged_file_is_refused_in_words),
        cmocka_unit_test(no_size_and_no_index_leads_out_of_the_file),
        cmocka_unit_test(a_text_has_the_same_vector_alone_and_in_company),
        cmocka_unit_test(a_text_longer_than_the_window_is_the_mean_of_its_windows),
        cmocka_unit_test(a_question_does_not_wait_for_a_batch_of_passages),
        cmocka_unit_test(a_file_is_checked_by_the_thread_that_needs_it),
        cmocka_unit_test(what_is_cancelled_or_too_much_is_not_computed),
    };

    return cmocka_run_group_tests(tests, open_file, close_file);
}
