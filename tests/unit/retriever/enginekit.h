/* The engine that the tests of engines open: memory, or the one that ENGINE names, with its server. */
#ifndef TESTS_UNIT_RETRIEVER_ENGINEKIT_H
#define TESTS_UNIT_RETRIEVER_ENGINEKIT_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "retriever/retriever.h"

/* The bus, for an engine that asks the store: HUB_ENDPOINTS names a hub. */
static struct worker *engine_worker;

static inline void
engine_bus(struct loop *loop)
{
    static const struct worker_service none[] = { { SERVICE_RETRIEVE, 0 } };
    const char *hub = getenv("HUB_ENDPOINTS");
    struct worker_config cfg = { .endpoints = hub ? hub : "", .services = none, .n_services = 1 };

    if (hub)
        engine_worker = worker_new(loop, &cfg);
}

static inline const char *
engine_name(void)
{
    const char *name = getenv("ENGINE");

    return name ? name : "memory";
}

/* Each call: an index that nobody had before. */
static inline struct retriever_opt
engine_options(int64_t max_bytes)
{
    static char index[64];
    static int n;
    const char *url = getenv("OPENSEARCH_URL"), *exact = getenv("PGVECTOR_EXACT");

    (void)snprintf(index, sizeof index, "t%d-%d", (int)getpid(), n++);
    return (struct retriever_opt){ .index_engine = engine_name(),
                                   .index_fallback = "off",
                                   .index_max_bytes = max_bytes,
                                   .vector_weight = -1,
                                   .opensearch_url = url ? url : "http://127.0.0.1:9200",
                                   .opensearch_user = "",
                                   .opensearch_password = "",
                                   .opensearch_api_key = "",
                                   .opensearch_ca_file = "",
                                   .opensearch_index = index,
                                   .opensearch_shards = 2,
                                   .opensearch_timeout = 30000,
                                   .opensearch_searches = 2,
                                   .pgvector_searches = 2,
                                   .pgvector_exact = exact ? strtol(exact, NULL, 10) : 10000 };
}

static inline void
memory_only(void)
{
    if (strcmp(engine_name(), "memory") != 0)
        skip();
}

static inline void
servers_only(void)
{
    if (strcmp(engine_name(), "memory") == 0)
        skip();
}

static inline void
engine_turn_over(void *loop)
{
    loop_stop(loop);
}

/* Where a server counts, a moment later, in which the loop runs. */
static inline bool
counts_are(struct loop *loop, struct engine *e, size_t documents)
{
    for (int64_t until = clock_ms() + 10000; clock_ms() < until;) {
        if (e->stats(e).documents == documents)
            return true;
        (void)loop_after(loop, 10, engine_turn_over, loop);
        loop_run(loop);
    }
    return false;
}

static inline void
engine_cleared(struct engine_change *c)
{
    loop_stop(c->arg);
}

/* A database may have what another test left. */
static inline void
engine_empty(struct loop *loop, struct engine *e)
{
    struct engine_change c = {
        .op = ENGINE_CLEAR, .tenant = STR(""), .collection = STR(""), .done = engine_cleared, .arg = loop
    };

    if (strcmp(engine_name(), "pgvector") != 0)
        return;
    e->change(e, &c);
    loop_run(loop);
}

#endif
