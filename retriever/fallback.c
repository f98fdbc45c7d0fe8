/* A second index, which has words only and is in the database, with a feed of its own: so it is up to date whatever the search
 * cluster does, and there at the start of a retriever whose cluster is not.
 *
 *   search ─▶ engine ─┬▶ answer
 *                     └▶ nobody, or not within PATIENCE_MS ─▶ words ─▶ answer, degraded
 *   three in a row, or no node is asked any more, or the engine still loads ─▶ away: words at once ─▶ a look each second finds
 *   it there ─▶ engine
 *
 * A look is a search of the engine in a collection that nobody has: no question waits to find out. */
#include "retriever/fallback.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/process/breaker.h"

enum {
    PATIENCE_MS = 500, /* of the second that the hub gives an attempt */
    PATIENCE = 3,
    TICK_MS = 250,
    LOOK_MS = 1000,
    GRACE_MS = 2000 /* at the start, for an engine that is there */
};

struct fallback {
    struct retriever *r;
    struct engine *engine;
    struct feed *feed;
    struct breaker breaker; /* of the searches of the other engine */
    uint64_t timer;
    int64_t started_ms;
    bool offered, away; /* searches are offered; away as the log said it last */
    /* a look */
    struct engine_search look;
    struct str name;
    struct strs collections;
    struct filter *filter;
    char text[32];
    unsigned n;
    bool looking, probe;
    int64_t looked_ms;
};

/* ---- is it away */

/* NULL: it is not. */
static const char *
why_away(const struct fallback *f)
{
    const struct retriever *r = f->r;
    const char *sick = r->engine->health ? r->engine->health(r->engine) : NULL;

    if (sick)
        return sick;
    if (f->breaker.state != BREAKER_CLOSED)
        return "its searches fail";
    return feed_caught_up(r->feed) ? NULL : "its index is loading";
}

/* Said when it changes. */
static void
note(struct fallback *f)
{
    const char *why = why_away(f);

    if (!fallback_ready(f) || f->away == (why != NULL))
        return;
    f->away = why != NULL;
    if (why)
        LOG(WARN, NULL, M("the search engine is away: questions are searched by words, in the database"),
            KS("why", why));
    else
        LOG(INFO, NULL, M("the search engine is back: questions are searched there again"));
}

bool
fallback_ready(const struct fallback *f)
{
    return f && feed_caught_up(f->feed) && (f->offered || feed_caught_up(f->r->feed));
}

bool
fallback_stands_in(struct fallback *f)
{
    if (!fallback_ready(f))
        return false;
    note(f);
    return why_away(f) != NULL;
}

int64_t
fallback_patience(const struct fallback *f, int64_t deadline_ms)
{
    int64_t until = clock_ms() + PATIENCE_MS;

    return fallback_ready(f) && until < deadline_ms ? until : deadline_ms;
}

bool
fallback_told(struct fallback *f, const struct engine_search *s, int64_t deadline_ms)
{
    bool given_up = s->err == ERR_DEADLINE && s->deadline_ms < deadline_ms;

    if (!f || atomic_load(&s->cancelled))
        return false;
    if (s->err == ERR_OK)
        (void)breaker_good(&f->breaker, false);
    if (s->err != ERR_NO_WORKER && !given_up)
        return false;
    (void)breaker_bad(&f->breaker, clock_ms(), false);
    note(f);
    return fallback_ready(f);
}

/* ---- looks */

static void
look_done(struct engine_search *s)
{
    struct fallback *f = s->arg;

    f->looking = false;
    if (s->err == ERR_OK)
        (void)breaker_good(&f->breaker, f->probe);
    else
        (void)breaker_bad(&f->breaker, clock_ms(), f->probe);
    arena_free(&s->arena);
    note(f);
}

/* Each look names another collection: what is known of the last one's would be an answer without a call. */
static void
look(struct fallback *f)
{
    if (f->looking || !breaker_ask(&f->breaker, clock_ms(), &f->probe))
        return;
    (void)snprintf(f->text, sizeof f->text, "look %u", ++f->n);
    f->name = str_of(f->text);
    f->collections = (struct strs){ &f->name, 1 };
    f->look = (struct engine_search){
        .query = { .tenant = STR(""),
                   .collections = &f->collections,
                   .text = STR("look"),
                   .filter = f->filter,
                   .top_k = 1 },
        .arena = arena_new(1 << 20),
        .deadline_ms = clock_ms() + PATIENCE_MS,
        .done = look_done,
        .arg = f,
    };
    f->looking = true;
    if (f->r->engine->search(f->r->engine, &f->look))
        return;
    f->looking = false;
    breaker_drop(&f->breaker, clock_ms(), f->probe);
    arena_free(&f->look.arena);
}

/* ---- life */

/* Searches are offered as soon as either index can answer them; the engine gets a moment to be first. */
static void
tick(void *arg)
{
    struct fallback *f = arg;
    bool there = feed_caught_up(f->r->feed);

    if (!f->offered && (there || (feed_caught_up(f->feed) && clock_ms() - f->started_ms >= GRACE_MS))) {
        f->offered = true;
        worker_set_capacity(f->r->worker, SERVICE_RETRIEVE, f->r->engine->capacity);
    }
    note(f);
    if (f->away && clock_ms() >= f->looked_ms + LOOK_MS) {
        f->looked_ms = clock_ms();
        look(f);
    }
    f->timer = loop_after(f->r->loop, TICK_MS, tick, f);
}

struct fallback *
fallback_new(struct retriever *r, const struct engine_host *h)
{
    struct engine *e = engine_open_fallback(h);
    struct fallback *f;
    const char *unused;

    if (!e)
        return NULL;
    f = mem_new(sizeof *f);
    f->r = r;
    f->engine = e;
    f->breaker = (struct breaker){
        .in_a_row = true, .patience = PATIENCE, .min_ms = LOOK_MS, .max_ms = LOOK_MS
    };
    f->started_ms = clock_ms();
    f->filter = filter_new(STR_NONE, &unused);
    f->timer = loop_after(r->loop, TICK_MS, tick, f);
    return f;
}

void
fallback_begin(struct fallback *f)
{
    if (f)
        f->feed = feed_new(f->r, f->engine);
}

void
fallback_end_feed(struct fallback *f)
{
    if (f && f->feed)
        feed_stop(f->feed);
}

void
fallback_stop(struct fallback *f)
{
    if (!f)
        return;
    loop_cancel(f->r->loop, &f->timer);
    f->engine->stop(f->engine);
}

/* After the loop, the threads and the worker. */
void
fallback_free(struct fallback **fp)
{
    struct fallback *f = *fp;

    if (!f)
        return;
    feed_free(&f->feed);
    engine_close(&f->engine);
    arena_free(&f->look.arena);
    filter_free(&f->filter);
    mem_free(fp);
}

/* ---- what others see */

struct engine *
fallback_engine(struct fallback *f)
{
    return f->engine;
}

const struct feed *
fallback_feed(const struct fallback *f)
{
    return f->feed;
}

const char *
fallback_sick(const struct fallback *f)
{
    return feed_caught_up(f->feed) ? NULL : f->engine->health(f->engine);
}

void
fallback_sample(const struct fallback *f)
{
    if (!f)
        return;
    stat_set(&retriever_stats, RETRIEVER_FALLEN_BACK, f->away);
    stat_set(&retriever_stats, RETRIEVER_SPARE_PENDING, (double)feed_pending(f->feed));
}
