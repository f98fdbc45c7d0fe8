/* The seam between the retriever and its search engine: the choice by name, and what each engine promises through it: answers come
 * later and in the loop, no change overtakes another. And what "memory" promises alone: what has no room is refused, a busy
 * engine says so. ENGINE, with OPENSEARCH_URL or HUB_ENDPOINTS, chooses another one (make test-opensearch test-pgvector). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "common/clock.h"
#include "common/text/text.h"
#include "common/process/threads.h"
#include "retriever/retriever.h"
#include "tests/unit/retriever/enginekit.h"

enum { MANY = 6000, WAITING = 4 }; /* MANY: more changes than the changer's queue has places */

static struct world {
    struct loop *loop;
    struct pool_threads *threads;
    struct engine *e;
    struct retriever_opt opt;
    struct words *words;
    struct filter *everything;
    size_t left; /* answers that are to come */
    int64_t version;
    bool inside; /* a call of the engine has not returned */
    size_t last; /* number of the last change that was done */
    bool mixed;  /* one overtook another */
} w;

static void
begin(void)
{
    const char *why;
    struct engine_host host;

    w = (struct world){ .opt = engine_options(1 << 26) };
    w.loop = loop_new();
    w.threads = threads_new(w.loop, 1, WAITING);
    host = (struct engine_host){ w.loop, &w.opt, w.threads, 1, &engine_worker };
    w.e = engine_open(&host);
    assert_non_null(w.e);
    engine_bus(w.loop);
    engine_empty(w.loop, w.e);
    w.words = words_new();
    w.everything = filter_new(STR("{}"), &why);
}

static void
end(void)
{
    threads_free(&w.threads);
    w.e->stop(w.e);
    worker_free(&engine_worker);
    engine_close(&w.e);
    assert_null(w.e);
    words_free(&w.words);
    filter_free(&w.everything);
    loop_free(&w.loop);
}

static void
one_answer(void)
{
    assert_false(w.inside);
    if (--w.left == 0)
        loop_stop(w.loop);
}

/* ---- changes */

static void
on_changed(struct engine_change *c)
{
    size_t n = (size_t)(uintptr_t)c->arg;

    w.mixed |= n != w.last + 1;
    w.last = n;
    one_answer();
}

static void *
doc_of(const struct uuid *id, const char *text)
{
    struct chunk c = { .id = uuid_v4(), .end = (int64_t)strlen(text), .text = str_of(text) };
    struct document d = { .id = *id,
                          .external_id = STR("d"),
                          .collection = STR("c"),
                          .title = STR("t"),
                          .metadata = STR("{}"),
                          .status = STR("ready") };
    struct chunks_get_rep page = {
        .tenant = STR("t"), .document = { &d, 1 }, .model = STR("m"), .chunks = { &c, 1 }
    };
    void *doc = NULL;

    assert_true(w.e->load(w.e, &doc, w.words, &page));
    assert_non_null(doc);
    assert_true(w.e->bytes(w.e, doc) > 0);
    return doc;
}

static void
change(struct engine_change *c, size_t n, enum engine_op op, const struct uuid *id, void *doc)
{
    *c = (struct engine_change){ .op = op,
                                 .tenant = STR("t"),
                                 .collection = STR("c"),
                                 .id = *id,
                                 .version = ++w.version,
                                 .doc = doc,
                                 .done = on_changed,
                                 .arg = (void *)(uintptr_t)n };
    w.left++;
    w.inside = true;
    w.e->change(w.e, c);
    w.inside = false;
}

/* ---- searches */

static void
on_found(struct engine_search *s)
{
    assert_ptr_equal(s->arg, &w);
    one_answer();
}

static bool
ask(struct engine_search *s, const struct strs *collections, int64_t deadline_ms)
{
    bool took;

    *s = (struct engine_search){ .query = { .tenant = STR("t"),
                                            .collections = collections,
                                            .text = STR("where is the lighthouse"),
                                            .filter = w.everything,
                                            .top_k = 5,
                                            .all = true },
                                 .arena = arena_new(1 << 20),
                                 .deadline_ms = deadline_ms,
                                 .done = on_found,
                                 .arg = &w };
    w.inside = true;
    took = w.e->search(w.e, s);
    w.inside = false;
    w.left += took;
    return took;
}

static size_t
hits(void)
{
    struct str name = STR("c");
    struct strs collections = { &name, 1 };
    struct engine_search s;
    size_t n;

    assert_true(ask(&s, &collections, clock_ms() + 10000));
    loop_run(w.loop);
    assert_int_equal(s.err, ERR_OK);
    n = s.found.hits.n;
    arena_free(&s.arena);
    return n;
}

/* ---- the promises */

static void
a_wrong_name_is_told_with_the_engines_that_are_there(void **state)
{
    struct retriever_opt o = engine_options(1 << 26);
    struct buf err = BUF_MAX(4096);

    (void)state;
    engine_check(&o, &err);
    assert_int_equal(err.n, 0);
    o.index_engine = "memry";
    engine_check(&o, &err);
    buf_c(&err, 0);
    assert_non_null(strstr(err.p, "INDEX_ENGINE: \"memry\" is not known; allowed: memory"));
    buf_free(&err);
}

static const char *
fallback_refused(const char *engine, const char *fallback, struct buf *err)
{
    struct retriever_opt o = engine_options(1 << 26);

    o.index_engine = engine;
    o.index_fallback = fallback;
    buf_reset(err);
    engine_check(&o, err);
    buf_c(err, 0);
    return err->p;
}

static void
only_an_engine_with_a_server_of_its_own_may_be_stood_in_for(void **state)
{
    struct buf err = BUF_MAX(4096);

    (void)state;
    assert_string_equal(fallback_refused("memory", "off", &err), "");
    assert_null(strstr(fallback_refused("opensearch", "words", &err), "INDEX_FALLBACK"));
    assert_non_null(strstr(fallback_refused("memory", "words", &err),
                           "INDEX_FALLBACK: INDEX_ENGINE=memory has no server"));
    assert_non_null(strstr(fallback_refused("pgvector", "words", &err),
                           "INDEX_FALLBACK: INDEX_ENGINE=pgvector"));
    assert_non_null(strstr(fallback_refused("opensearch", "word", &err),
                           "\"word\" is not known; allowed: off, words"));
    buf_free(&err);
}

static void
a_document_is_found_from_its_put_to_its_delete(void **state)
{
    struct uuid id = uuid_v4();
    struct engine_change c;

    (void)state;
    begin();
    change(&c, 1, ENGINE_PUT, &id, doc_of(&id, "The lighthouse is on the rock."));
    loop_run(w.loop);
    assert_int_equal(c.err, ERR_OK);
    assert_null(c.doc);
    assert_int_equal(hits(), 1);
    assert_true(counts_are(w.loop, w.e, 1));
    change(&c, 2, ENGINE_DELETE, &id, NULL);
    loop_run(w.loop);
    assert_int_equal(hits(), 0);
    for (int i = 0; i < 2; i++) {
        change(&c, 3, ENGINE_PUT, &id, doc_of(&id, "The lighthouse is on the rock."));
        loop_run(w.loop);
        assert_int_equal(hits(), 1);
        change(&c, 4, i ? ENGINE_CLEAR : ENGINE_DROP, &id, NULL);
        loop_run(w.loop);
        assert_int_equal(hits(), 0);
    }
    end();
}

static void
no_change_overtakes_another_however_many_wait(void **state)
{
    struct uuid id = uuid_v4();
    struct engine_change *c = mem_new(MANY * sizeof *c);

    (void)state;
    begin();
    for (size_t i = 0; i < MANY; i++) /* the last one is a delete */
        change(&c[i], i + 1, i % 2 ? ENGINE_DELETE : ENGINE_PUT, &id,
               i % 2 ? NULL : doc_of(&id, "The lighthouse is on the rock."));
    loop_run(w.loop);
    assert_int_equal(w.last, MANY);
    assert_false(w.mixed);
    assert_int_equal(hits(), 0);
    assert_true(counts_are(w.loop, w.e, 0));
    mem_free(&c);
    end();
}

/* Several retrievers write one index: what another one did later stands. */
static void
an_older_change_that_comes_late_changes_nothing(void **state)
{
    struct uuid id = uuid_v4();
    struct engine_change c;

    (void)state;
    servers_only();
    begin();
    w.version = 10;
    change(&c, 1, ENGINE_PUT, &id, doc_of(&id, "The lighthouse is on the rock."));
    loop_run(w.loop);
    w.version = 5;
    change(&c, 2, ENGINE_PUT, &id, doc_of(&id, "Nothing of that kind."));
    loop_run(w.loop);
    assert_int_equal(c.err, ERR_OK);
    assert_int_equal(hits(), 1);
    w.version = 20;
    change(&c, 3, ENGINE_DELETE, &id, NULL);
    loop_run(w.loop);
    w.version = 15;
    change(&c, 4, ENGINE_PUT, &id, doc_of(&id, "The lighthouse is on the rock."));
    loop_run(w.loop);
    assert_int_equal(hits(), 0);
    w.version = 30;
    change(&c, 5, ENGINE_PUT, &id, doc_of(&id, "The lighthouse is on the rock."));
    loop_run(w.loop);
    assert_int_equal(hits(), 1);
    id = uuid_v4(); /* nobody knew of it when it was deleted */
    w.version = 50;
    change(&c, 6, ENGINE_DELETE, &id, NULL);
    loop_run(w.loop);
    w.version = 40;
    change(&c, 7, ENGINE_PUT, &id, doc_of(&id, "The lighthouse is on the rock."));
    loop_run(w.loop);
    assert_int_equal(c.err, ERR_OK);
    id = uuid_v4(); /* so that all is counted anew */
    change(&c, 8, ENGINE_PUT, &id, doc_of(&id, "Another one."));
    loop_run(w.loop);
    assert_true(counts_are(w.loop, w.e, 2));
    assert_int_equal(w.e->stats(w.e).passages, 2);
    end();
}

static void
what_has_no_room_is_refused_and_not_found(void **state)
{
    struct uuid id = uuid_v4();
    struct engine_change c;
    char text[2000];

    (void)state;
    memory_only();
    begin();
    assert_true(w.e->room(w.e, 1 << 26));
    assert_false(w.e->room(w.e, (1 << 26) + 1));
    assert_true(w.e->cost(w.e, 1000, 10, 384) > w.e->cost(w.e, 1000, 10, 0));
    w.e->stop(w.e);
    engine_close(&w.e);
    w.opt.index_max_bytes = 1000;
    w.e = engine_open(&(struct engine_host){ w.loop, &w.opt, w.threads, 1, &engine_worker });
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    change(&c, 1, ENGINE_PUT, &id, doc_of(&id, text));
    loop_run(w.loop);
    assert_int_equal(c.err, ERR_INDEX_FULL);
    assert_int_equal(w.e->stats(w.e).documents, 0);
    end();
}

static void
what_was_not_put_is_given_back(void **state)
{
    struct uuid id = uuid_v4();
    void *doc;

    (void)state;
    begin();
    doc = doc_of(&id, "The lighthouse is on the rock.");
    w.e->unload(w.e, &doc);
    assert_null(doc);
    w.e->unload(w.e, &doc);
    end();
}

/* The host's one thread is held, so that nothing of what waits behind it begins. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void
hold(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
}

static void
a_late_or_cancelled_search_is_not_begun_and_a_busy_engine_says_so(void **state)
{
    struct str name = STR("c");
    struct strs collections = { &name, 1 };
    struct engine_search *s;
    size_t n = 0;
    bool busy = false;

    (void)state;
    memory_only();
    s = mem_new((WAITING + 2) * sizeof *s);
    begin();
    pthread_mutex_lock(&gate);
    assert_int_equal(threads_run(w.threads, hold, NULL, NULL), 0);
    while (!busy && n < WAITING + 2) {
        busy = !ask(&s[n], &collections, clock_ms() + (n == 1 ? -1 : 10000));
        n++;
    }
    assert_true(busy && n > 3);
    atomic_store(&s[0].cancelled, true);
    pthread_mutex_unlock(&gate);
    loop_run(w.loop);
    assert_int_equal(s[0].err, ERR_CANCELLED);
    assert_int_equal(s[1].err, ERR_DEADLINE);
    assert_int_equal(s[2].err, ERR_OK);
    for (size_t i = 0; i < n; i++)
        arena_free(&s[i].arena);
    mem_free(&s);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_name_is_told_with_the_engines_that_are_there),
        cmocka_unit_test(only_an_engine_with_a_server_of_its_own_may_be_stood_in_for),
        cmocka_unit_test(a_document_is_found_from_its_put_to_its_delete),
        cmocka_unit_test(no_change_overtakes_another_however_many_wait),
        cmocka_unit_test(an_older_change_that_comes_late_changes_nothing),
        cmocka_unit_test(what_has_no_room_is_refused_and_not_found),
        cmocka_unit_test(what_was_not_put_is_given_back),
        cmocka_unit_test(a_late_or_cancelled_search_is_not_begun_and_a_busy_engine_says_so),
    };

    retriever_stats_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
