/* Every engine finds what the exact index finds: the same corpus is put into both, and 500 questions are asked of both. Filters, tenants
 * and deletes are exact. ENGINE, with OPENSEARCH_URL or HUB_ENDPOINTS, chooses the engine, ENGINE_PASSAGES the size. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "common/clock.h"
#include "common/process/threads.h"
#include "common/text/text.h"
#include "retriever/index/index.h"
#include "tests/unit/retriever/enginekit.h"

enum { SIZE = 384, TOPICS = 60, PER_DOC = 4, VOCABULARY = 4000, LENGTH = 60, QUESTIONS = 500, WIDE = 32 };

static struct world {
    struct loop *loop;
    struct pool_threads *threads;
    struct engine *e;
    struct index *exact;
    struct words *words;
    struct filter *everything;
    size_t passages, left;
    int64_t version;
    uint64_t seed;
    float topic[TOPICS][SIZE];
} w;

static uint32_t
dice(uint32_t n)
{
    w.seed = w.seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)((w.seed >> 33) % n);
}

static float
noise(void)
{
    float s = 0;

    for (int i = 0; i < 4; i++)
        s += (float)dice(1000) / 500 - 1;
    return s;
}

/* Few words are common, most are rare, and each topic has some of its own. */
static void
say(struct buf *b, size_t topic, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double u = (dice(100000) + 1) / 100001.0;
        uint32_t word = dice(3) == 0 ? (uint32_t)(topic * 40 + dice(40)) : (uint32_t)(pow(u, 3) * VOCABULARY);

        buf_printf(b, "%sq%c%c%c%cz", i ? " " : "", 'a' + word % 20, 'a' + word / 20 % 20,
                   'b' + word / 400 % 20, 'c' + word % 7);
    }
}

static void
mean(float *v, size_t topic)
{
    for (size_t i = 0; i < SIZE; i++)
        v[i] = w.topic[topic][i] + noise() * 0.7f;
}

static struct uuid
doc_id(size_t k)
{
    char text[32];

    (void)snprintf(text, sizeof text, "d%zu", k);
    struct str part = str_of(text);

    return uuid_named(&part, 1);
}

struct made { /* a document as the store shows it */
    struct chunk chunk[PER_DOC];
    float vector[PER_DOC][SIZE];
    struct document d;
    struct chunks_get_rep page;
    char text[PER_DOC][4096], name[32], metadata[128];
};

static void
make_doc(struct made *m, size_t k)
{
    struct buf b = BUF_MAX(4095);
    size_t topic = dice(TOPICS);

    (void)snprintf(m->name, sizeof m->name, "d%zu", k);
    (void)snprintf(m->metadata, sizeof m->metadata, "{\"year\":%zu,\"kind\":[\"k%zu\",\"all\"],\"even\":%s}",
                   1990 + k % 40, k % 7, k % 2 ? "false" : "true");
    for (size_t i = 0; i < PER_DOC; i++) {
        buf_reset(&b);
        say(&b, topic, LENGTH / 2 + dice(LENGTH));
        (void)snprintf(m->text[i], sizeof m->text[i], "%.4000s", b.p);
        mean(m->vector[i], topic);
        m->chunk[i] = (struct chunk){ .id = uuid_v4(),
                                      .ord = (int64_t)i,
                                      .end = (int64_t)strlen(m->text[i]),
                                      .text = str_of(m->text[i]),
                                      .vector = { (const char *)m->vector[i], sizeof m->vector[i] },
                                      .section = k % 3 ? STR("Inside") : STR("Outside") };
    }
    m->d = (struct document){ .id = doc_id(k),
                              .external_id = str_of(m->name),
                              .collection = k % 5 ? STR("c") : STR("c2"),
                              .title = STR("title"),
                              .metadata = str_of(m->metadata),
                              .status = STR("ready") };
    m->page = (struct chunks_get_rep){ .tenant = k % 11 ? STR("t") : STR("other"),
                                       .document = { &m->d, 1 },
                                       .model = STR("model"),
                                       .language = STR("en"),
                                       .chunks = { m->chunk, PER_DOC } };
    buf_free(&b);
}

static void
on_changed(struct engine_change *c)
{
    assert_int_equal(c->err, ERR_OK);
    mem_free(&c);
    if (--w.left == 0)
        loop_stop(w.loop);
}

static void
change(enum engine_op op, size_t k, void *doc)
{
    struct engine_change *c = mem_new(sizeof *c);

    *c = (struct engine_change){ .op = op,
                                 .tenant = k % 11 ? STR("t") : STR("other"),
                                 .collection = k % 5 ? STR("c") : STR("c2"),
                                 .id = doc_id(k),
                                 .version = ++w.version,
                                 .doc = doc,
                                 .done = on_changed };
    w.left++;
    w.e->change(w.e, c);
}

static void
put(size_t k)
{
    struct made *m = mem_new(sizeof *m);
    struct index_doc *d;
    void *doc = NULL;

    make_doc(m, k);
    assert_true(w.e->load(w.e, &doc, w.words, &m->page));
    change(ENGINE_PUT, k, doc);
    d = index_doc_new(&m->page);
    assert_true(index_doc_add(d, w.words, &m->page));
    assert_int_equal(index_put(w.exact, &d), ERR_OK);
    mem_free(&m);
}

static void
on_found(struct engine_search *s)
{
    *(bool *)s->arg = true;
    loop_stop(w.loop);
}

struct question {
    struct buf text;
    float vector[SIZE];
    struct engine_query q;
};

static void
make_question(struct question *x, const struct strs *collections, const struct filter *f)
{
    size_t topic = dice(TOPICS);
    double norm = 0;

    buf_reset(&x->text);
    x->text.max = 4096;
    say(&x->text, topic, 3 + dice(6));
    mean(x->vector, topic);
    for (size_t i = 0; i < SIZE; i++)
        norm += (double)x->vector[i] * (double)x->vector[i];
    for (size_t i = 0; i < SIZE; i++)
        x->vector[i] = (float)((double)x->vector[i] / sqrt(norm));
    x->q = (struct engine_query){ .tenant = STR("t"),
                                  .collections = collections,
                                  .text = buf_slice(&x->text),
                                  .vector = x->vector,
                                  .dims = SIZE,
                                  .model = STR("model"),
                                  .filter = f,
                                  .top_k = 10,
                                  .all = true };
}

static struct engine_search
ask(const struct engine_query *q)
{
    bool done = false;
    struct engine_search s = { .query = *q,
                               .arena = arena_new(16 << 20),
                               .deadline_ms = clock_ms() + 30000,
                               .done = on_found,
                               .arg = &done };

    assert_true(w.e->search(w.e, &s));
    while (!done)
        loop_run(w.loop);
    assert_int_equal(s.err, ERR_OK);
    return s;
}

/* The share of the exact index's hits that the engine has, too. */
static double
overlap(const struct engine_query *q, double *ms)
{
    struct arena *a = arena_new(16 << 20);
    struct search_rep exact;
    size_t both = 0;

    assert_int_equal(index_search(w.exact, w.words, q, a, &exact), ERR_OK);
    int64_t from = clock_us();
    struct engine_search s = ask(q);

    *ms = (double)(clock_us() - from) / 1000;
    for (size_t i = 0; i < exact.hits.n; i++)
        for (size_t k = 0; k < s.found.hits.n; k++)
            both += uuid_eq(&exact.hits.v[i].chunk_id, &s.found.hits.v[k].chunk_id);
    double share = exact.hits.n ? (double)both / (double)exact.hits.n : (double)(s.found.hits.n == 0);

    arena_free(&s.arena);
    arena_free(&a);
    return share;
}

static int
by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double
mean_overlap(const struct strs *collections, const char *filter, size_t n)
{
    const char *why;
    struct filter *f = filter_new(str_of(filter), &why);
    struct question *x = mem_new(sizeof *x);
    double *ms = mem_new(n * sizeof *ms), sum = 0, least = 1;

    assert_non_null(f);
    for (size_t i = 0; i < n; i++) {
        make_question(x, collections, f);
        double share = overlap(&x->q, &ms[i]);

        sum += share;
        least = share < least ? share : least;
    }
    qsort(ms, n, sizeof *ms, by_size);
    printf(
        "%s, %zu passages, filter %s: overlap of the first ten %.3f (least %.1f), p50 %.1f ms, p95 %.1f ms\n",
        engine_name(), w.passages, filter, sum / (double)n, least, ms[n / 2], ms[n * 95 / 100]);
    buf_free(&x->text);
    mem_free(&x);
    mem_free(&ms);
    filter_free(&f);
    return sum / (double)n;
}

static int
begin(void **state)
{
    static struct retriever_opt opt;
    const char *why, *size = getenv("ENGINE_PASSAGES");

    (void)state;
    w.passages = size ? (size_t)strtoul(size, NULL, 10) : 4000;
    opt = engine_options(INT64_C(1) << 33);
    w.loop = loop_new();
    w.threads = threads_new(w.loop, 1, 16);
    w.e = engine_open(&(struct engine_host){ w.loop, &opt, w.threads, 1, &engine_worker });
    engine_bus(w.loop);
    engine_empty(w.loop, w.e);
    w.exact = index_new((size_t)1 << 33);
    index_set_weight(w.exact, -1);
    w.words = words_new();
    w.everything = filter_new(STR(""), &why);
    w.seed = 7;
    for (size_t t = 0; t < TOPICS; t++)
        for (size_t i = 0; i < SIZE; i++)
            w.topic[t][i] = noise();
    int64_t from = clock_ms();

    for (size_t k = 0; k * PER_DOC < w.passages; k++) {
        put(k);
        if (w.left >= 4096 / WIDE || (k + 1) * PER_DOC >= w.passages)
            loop_run(w.loop);
    }
    printf("%s: %zu passages of %d numbers in %.1f s\n", engine_name(), w.passages, SIZE,
           (double)(clock_ms() - from) / 1000);
    return 0;
}

static int
end(void **state)
{
    (void)state;
    threads_free(&w.threads);
    w.e->stop(w.e);
    worker_free(&engine_worker);
    engine_close(&w.e);
    index_free(&w.exact);
    words_free(&w.words);
    filter_free(&w.everything);
    loop_free(&w.loop);
    return 0;
}

static const struct str both_names[] = { { "c", 1 }, { "c2", 2 } };
static const struct strs both = { (struct str *)(uintptr_t)both_names, 2 };

static void
the_first_ten_are_those_of_the_exact_index(void **state)
{
    (void)state;
    assert_true(mean_overlap(&both, "", QUESTIONS) >= 0.9);
}

static void
a_filter_holds_before_anything_is_scored(void **state)
{
    static const char *const filters[] = {
        "{\"year\":{\"gte\":2010,\"lt\":2012}}",
        "{\"kind\":\"k3\"}",
        "{\"even\":true,\"kind\":[\"k1\",\"k2\"]}",
        "{\"section\":\"Outside\"}",
        "{\"document\":\"d17\"}",
        "{\"none\":null,\"year\":{\"lte\":1990}}",
        "{\"title\":{\"gt\":\"a\",\"lt\":\"u\"}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        assert_true(mean_overlap(&both, filters[i], 20) >= 0.9);
}

static void
no_filter_lets_another_document_through(void **state)
{
    const char *why;
    struct filter *f = filter_new(STR("{\"document\":[\"d21\",\"d24\"],\"year\":{\"gte\":2011}}"), &why);
    struct question *x = mem_new(sizeof *x);
    struct uuid first = doc_id(21), second = doc_id(24);

    (void)state;
    for (size_t i = 0; i < 20; i++) {
        make_question(x, &both, f);
        x->q.text = STR("title"); /* which all of them have */
        struct engine_search s = ask(&x->q);

        assert_int_equal(s.found.hits.n, 8);
        for (size_t k = 0; k < s.found.hits.n; k++)
            assert_true(uuid_eq(&s.found.hits.v[k].document_id, &first) ||
                        uuid_eq(&s.found.hits.v[k].document_id, &second));
        arena_free(&s.arena);
    }
    buf_free(&x->text);
    mem_free(&x);
    filter_free(&f);
}

static void
nothing_of_another_tenant_or_collection_is_found(void **state)
{
    struct question *x = mem_new(sizeof *x);
    struct str one = STR("c2");
    struct strs only = { &one, 1 };

    (void)state;
    for (size_t i = 0; i < 20; i++) {
        make_question(x, &only, w.everything);
        x->q.tenant = i % 2 ? STR("other") : STR("t");
        x->q.top_k = 50;
        struct engine_search s = ask(&x->q);

        assert_true(s.found.hits.n > 0);
        for (size_t k = 0; k < s.found.hits.n; k++) {
            size_t n = strtoul(s.found.hits.v[k].external_id.p + 1, NULL, 10);

            assert_int_equal(n % 5, 0);
            assert_true((n % 11 == 0) == (i % 2 == 1));
        }
        arena_free(&s.arena);
    }
    buf_free(&x->text);
    mem_free(&x);
}

/* Before the change is done: what the feed told is not shown any more. */
static void
what_is_deleted_is_not_found_from_then_on(void **state)
{
    const char *why;
    struct filter *f = filter_new(STR("{\"document\":\"d23\"}"), &why);
    struct question *x = mem_new(sizeof *x);

    (void)state;
    make_question(x, &both, f);
    x->q.text = STR("title");
    struct engine_search s = ask(&x->q);

    assert_int_equal(s.found.hits.n, 4);
    arena_free(&s.arena);
    int64_t from = clock_ms();

    change(ENGINE_DELETE, 23, NULL);
    for (bool gone = false; !gone;) {
        s = ask(&x->q);
        gone = s.found.hits.n == 0;
        arena_free(&s.arena);
    }
    printf("%s: a deleted document is not found after %lld ms\n", engine_name(),
           (long long)(clock_ms() - from));
    assert_true(clock_ms() - from < 250);
    while (w.left > 0)
        loop_run(w.loop);
    buf_free(&x->text);
    mem_free(&x);
    filter_free(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_ten_are_those_of_the_exact_index),
        cmocka_unit_test(a_filter_holds_before_anything_is_scored),
        cmocka_unit_test(no_filter_lets_another_document_through),
        cmocka_unit_test(nothing_of_another_tenant_or_collection_is_found),
        cmocka_unit_test(what_is_deleted_is_not_found_from_then_on),
    };

    retriever_stats_init();
    return cmocka_run_group_tests(tests, begin, end);
}
