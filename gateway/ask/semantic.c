/* Answers of near-identical questions (semantic.h; docs/decisions/044). Only what sessions share already (share.c) is given, and under the
 * same conditions; a near question is another way to find it:
 *
 *   exact look-up: miss ─▶ vector ─▶ ring (Redis): like ones ─▶ their shared answers ─▶ the gate (text/alike.c) ─▶ q->copied ─▶ turn.begin …
 *                                        └─ none, switched off, away ─▶ the usual way, with the vector ─▶ kept ─▶ ring
 *
 * All but the text is compared by its hash, as in the exact key: tenant, collection, epoch, language, rights, prompt, model, options. A
 * record of the ring leads to the other question's entry. The other question's text stands in it and goes with its
 * session; from that text the key is made once more, so that a record that leads elsewhere leads to nothing. The text is shown to nobody.
 *
 * One hit in SEMANTIC_CACHE_CHECK is not given: the question is answered anew, and the sources are compared. */
#include "gateway/ask/semantic.h"

#include <math.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/admit/cache_shared.h"
#include "gateway/ask/ask.h"
#include "gateway/ask/share.h"
#include "proto/answer.h"
#include "text/alike.h"

static const struct {
    const char *model;
    double least;
} thresholds[] = {
#define SEMANTIC(model, least) { model, least },
#include "gateway/ask/semantic.tbl"
#undef SEMANTIC
};

#define VALUES_MAX (SEMANTIC_NEAR * (ANSWER_MAX + 65536)) /* packed answers, and their lists */

/* Has the question's collection near answers? Its own scope says so, or what holds for those that have none. */
static bool
is_wanted(const struct question *q)
{
    struct str scope = q->settings ? q->settings->cache_scope : STR_NONE;

    return semantic_on(q->r) && (scope.n > 0 ? str_is(scope, CACHE_SCOPE_SEMANTIC)
                                             : str_is(api_cache_scope(q->r), CACHE_SCOPE_COLLECTION));
}

/* 2: the vectors of this model are not compared. */
static double
least_like(const struct question *q, struct str model)
{
    double set = semantic_threshold(q->r);

    for (size_t i = 0; set <= 0 && i < sizeof thresholds / sizeof *thresholds; i++)
        if (str_is(model, thresholds[i].model))
            return thresholds[i].least;
    return set > 0 ? set : 2;
}

/* A byte a dimension, the longest of them 127: the cosine of two such vectors is off by less than 0.01. */
static const int8_t *
code_of(struct question *q, struct str vector, size_t dims)
{
    int8_t *code = arena_alloc(q->r->arena, dims);
    float most = 0, v;

    for (size_t i = 0; i < dims; i++) {
        memcpy(&v, vector.p + i * sizeof v, sizeof v);
        most = fabsf(v) > most ? fabsf(v) : most;
    }
    if (!code || !(most > 0) || !isfinite(most))
        return NULL;
    for (size_t i = 0; i < dims; i++) {
        memcpy(&v, vector.p + i * sizeof v, sizeof v);
        code[i] = (int8_t)lrintf(v / most * 127);
    }
    return code;
}

/* The vector, before the turn begins: it is asked for once. */
static bool
embed_early(struct question *q)
{
    struct semantic *s = &q->semantic;
    struct search_req req = { 0 };
    bool by_words;

    /* one that failed, or that this collection has no model for, is asked for once more when it is needed */
    s->asked = ask_embed(q, q->query, &req, &s->embedded, &by_words) == ERR_OK && !by_words &&
               req.vector.n > 0;
    s->vector = req.vector;
    s->model = req.model;
    s->after = req.after;
    s->ring.dims = req.vector.n / sizeof(float);
    return s->asked;
}

/* The ring of all questions that differ from this one by their text only. */
static void
name_ring(struct question *q)
{
    struct semantic_ring *ring = &q->semantic.ring;
    struct cache_probe probe = { .key = "" };
    char *kind = arena_printf(q->r->arena, STR_FMT " %zu %lld", STR_ARG(q->semantic.model), ring->dims,
                              (long long)q->share.epoch);
    char *whose = arena_printf(q->r->arena, CACHE_SCOPE_SEMANTIC " %s", language_code(q->semantic.language));
    const char *md5;

    if (!kind || !whose)
        return;
    ask_probe_name(q, str_of(kind), str_of(whose), &probe);
    md5 = strrchr(probe.key, ':');
    if (!md5)
        return;
    ring->epoch = q->share.epoch;
    semantic_ring_name(q->r, q->collection, ring);
    snprintf(ring->key, sizeof ring->key, "fn:sr:%s%s", q->r->who.tenant, md5);
}

/* Does the value belong to a question that asks the same, and to nothing else? Then q->semantic.origin is its entry. */
static bool
is_near(struct question *q, const struct alike_text *own, const struct semantic_near *near, struct str value,
        struct arena *a)
{
    struct cache_probe *probe = &q->semantic.origin;
    struct turn_finish_req t;
    struct alike_text *other;
    enum alike fate;

    if (!value.p || !answer_sum_fits(value) || answer_read(value, a, NULL, NULL, NULL, &t) != ERR_OK ||
        t.question.n == 0)
        return false;
    probe->key[0] = '\0';
    probe->epoch = q->share.epoch;
    ask_share_name(q, t.question, probe);
    if (strcmp(probe->key, near->key) != 0 || cache_judge(probe, value) != CACHE_HIT)
        return false;
    other = alike_new(t.question, q->semantic.language);
    fate = alike_judge(own, other);
    alike_free(&other);
    if (fate != ALIKE_SAME)
        ask_semantic_refused(fate);
    return fate == ALIKE_SAME;
}

/* The answer in a value that was found good, for as long as the request lives. */
static const struct turn_finish_req *
keep(struct question *q, struct str value)
{
    struct arena *a = q->r->arena;
    struct turn_finish_req *t = arena_alloc(a, sizeof *t);
    struct str own = arena_str(a, value);

    return t && own.p && answer_read(own, a, NULL, NULL, NULL, t) == ERR_OK ? t : NULL;
}

static const struct turn_finish_req *
find(struct question *q, const struct semantic_near *near, size_t n)
{
    const struct turn_finish_req *t = NULL;
    struct alike_text *own;
    struct str values[SEMANTIC_NEAR];
    struct arena *a;

    if (n == 0)
        return NULL;
    a = arena_new(VALUES_MAX); /* a question that goes on for minutes does not hold them */
    semantic_ring_values(q->r, a, near, n, values);
    own = alike_new(q->text, q->semantic.language);
    for (size_t i = 0; i < n && !t; i++)
        t = is_near(q, own, &near[i], values[i], a) ? keep(q, values[i]) : NULL;
    alike_free(&own);
    arena_free(&a);
    return t;
}

static enum semantic_event
look(struct question *q)
{
    struct semantic *s = &q->semantic;
    struct semantic_near near[SEMANTIC_NEAR];
    double least = least_like(q, s->model);
    size_t n = 0;

    if (least > 1)
        return SEMANTIC_EVENT_UNKNOWN;
    s->code = code_of(q, s->vector, s->ring.dims);
    name_ring(q);
    if (!s->code || !s->ring.key[0])
        return SEMANTIC_EVENT_MISS;
    switch (semantic_ring_look(q->r, &s->ring, s->code, least, near, &n)) {
    case SEMANTIC_OFF: return SEMANTIC_EVENT_OFF;
    case SEMANTIC_AWAY: return SEMANTIC_EVENT_AWAY;
    case SEMANTIC_READ: break;
    }
    q->copied = find(q, near, n);
    if (!q->copied) {
        s->origin.key[0] = '\0';
        return SEMANTIC_EVENT_MISS;
    }
    if (!semantic_sampled(q->r))
        return SEMANTIC_EVENT_HIT;
    s->checked = q->copied;
    q->copied = NULL;
    s->origin.key[0] = '\0';
    return SEMANTIC_EVENT_CHECKED;
}

bool
ask_semantic_look(struct question *q)
{
    enum semantic_event e;

    if (!is_wanted(q) || ask_overloaded(q))
        return false;
    e = embed_early(q) ? look(q) : SEMANTIC_EVENT_UNKNOWN;
    if (e != SEMANTIC_EVENT_HIT) /* a hit is one when the store has said so */
        ask_semantic_event(e);
    return e == SEMANTIC_EVENT_HIT;
}

void
ask_semantic_taken(struct question *q, bool stands)
{
    ask_semantic_event(stands ? SEMANTIC_EVENT_HIT : SEMANTIC_EVENT_GONE);
    if (!stands)
        q->semantic.origin.key[0] = '\0';
}

void
ask_semantic_keep(struct question *q)
{
    if (q->semantic.code && q->semantic.ring.key[0])
        semantic_ring_add(q->r, &q->semantic.ring, &q->share, q->semantic.code);
}

struct str
ask_cached(const struct question *q)
{
    return !q->from_cache ? STR("none") : q->semantic.origin.key[0] ? STR("semantic") : STR("query");
}

/* ---- the check */

/* A passage that both cite, or a part of it. */
static bool
have_one(const struct citation *a, size_t n, const struct citation *b, size_t m)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++)
            if (uuid_eq(&a[i].document_id, &b[j].document_id) && a[i].start < b[j].end &&
                b[j].start < a[i].end)
                return true;
    return false;
}

void
ask_semantic_check(struct question *q)
{
    const struct turn_finish_req *t = q->semantic.checked;
    int64_t samples = 0, differ = 0;
    bool differs;

    /* an answer that is cut or degraded, or one of an index that lags behind, says nothing of the other one */
    if (!t || q->copied || q->degraded || ask_cut(q) || (q->found && q->found->seq < q->share.epoch))
        return;
    differs = !q->grounded || !have_one(q->citations, q->n_citations, t->citations.v, t->citations.n);
    ask_semantic_checked(differs);
    if (!semantic_checked(q->r, &q->semantic.ring, differs, &samples, &differ))
        return;
    ask_semantic_event(SEMANTIC_EVENT_SWITCHED_OFF);
    LOG(WARN, q->r->id,
        M("answers of near-identical questions are off for this collection until its epoch changes: checks found other sources"),
        KN("collection", q->collection), KI("checks", samples), KI("differ", differ));
}
