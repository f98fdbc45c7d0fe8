/* The index in the cluster: its mapping, its alias, its checkpoint. Names:
 *
 *   footnote-v1          alias: what is searched. v1 is the mapping below: a release with another one begins an index of its own beside
 *   footnote-v1-000001   an index; another number of shards, or a database that went back, begins the next one */
#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text/json.h"
#include "common/text/number.h"
#include "retriever/opensearch/opensearch.h"

enum { MAPPING = 1, CALL_MS = 30000 };
#define STALE_MS (INT64_C(6) * 24 * 3600 * 1000) /* the feed forgets deletes after 7 days */
#define TELL_MS (INT64_C(3600) * 1000)           /* a checkpoint is written again, though nothing changed */

static enum err
ask(struct cluster_engine *e, struct cluster_conn *x, const char *method, const char *path, struct str body,
    long *status, json_t **out)
{
    struct cluster_call c = {
        .method = method, .path = path, .body = body, .deadline_ms = clock_ms() + CALL_MS, .ended = &e->ending
    };

    return cluster_ask(x, &c, status, out);
}

/* ERR_OK with this status, or a line in the log. */
static bool
wants(struct cluster_engine *e, struct cluster_conn *x, const char *method, const char *path, struct str body,
      long allowed, json_t **out)
{
    static struct log_gate gate;
    json_t *answer = NULL;
    long status = 0;
    enum err err = ask(e, x, method, path, body, &status, &answer);
    bool good = err == ERR_OK && (status == 200 || status == 201 || status == allowed);

    if (!good && err != ERR_CANCELLED && log_gate(&gate))
        LOG(WARN, NULL, M("the search cluster did not do as it should"), KS("call", path),
            KI("status", status),
            KN("reason",
               json_str(json_object_get(json_object_get(answer, "error"), "root_cause")
                            ? json_array_get(json_object_get(json_object_get(answer, "error"), "root_cause"),
                                             0)
                            : json_object_get(answer, "error"),
                        "reason")));
    if (good && out && status != allowed)
        *out = answer;
    else
        json_decref(answer);
    return good;
}

bool
cluster_post(struct cluster_engine *e, struct cluster_conn *x, const char *path, struct str body,
             json_t **out)
{
    static struct log_gate gate;
    struct cluster_call c = {
        .method = "POST", .path = path, .body = body, .deadline_ms = clock_ms() + CALL_MS, .ended = &e->ending
    };
    long status = 0;
    enum err err = cluster_ask(x, &c, &status, out);
    bool good = err == ERR_OK && status == 200 && *out;

    if (!good && err != ERR_CANCELLED && log_gate(&gate))
        LOG(WARN, NULL, M("the search cluster took no changes: they wait"), KS("call", path),
            KI("status", status), KS("error", err_name(err)));
    if (!good) {
        json_decref(*out);
        *out = NULL;
    }
    return good;
}

static void
alias_of(const struct cluster_engine *e, char out[96])
{
    (void)snprintf(out, 96, "%s-v%d", e->opt->opensearch_index, MAPPING);
}

static void
settings(const struct cluster_engine *e, bool alias, struct buf *b)
{
    char name[96];

    alias_of(e, name);
    buf_c(b, '{');
    if (alias)
        buf_printf(b, "\"aliases\":{\"%s\":{}},", name);
    buf_printf(
        b,
        "\"settings\":{\"number_of_shards\":%lld,\"number_of_replicas\":%lld,\"refresh_interval\":\"1s\","
        "\"index.knn\":true,\"index.gc_deletes\":\"24h\","
        "\"similarity\":{\"default\":{\"type\":\"BM25\",\"k1\":1.1,\"b\":0.7}}},"
        "\"mappings\":{\"dynamic\":false,\"_source\":{\"excludes\":[\"v_*\"]},\"properties\":{",
        (long long)e->opt->opensearch_shards, (long long)e->opt->opensearch_replicas);
    for (const char *const *k = (const char *const[]){ "t", "c", "d", "l", "f", "k", "p", NULL }; *k; k++)
        buf_printf(b, "\"%s\":{\"type\":\"keyword\"},", *k);
    buf_z(b, "\"ver\":{\"type\":\"long\"},\"n\":{\"type\":\"integer\"},\"o\":{\"type\":\"integer\"},"
             "\"w\":{\"type\":\"text\",\"analyzer\":\"whitespace\",\"index_options\":\"freqs\"}}}}");
}

static bool
create(struct cluster_engine *e, struct cluster_conn *x, const char *name, bool alias)
{
    struct buf b = BUF_MAX(8192), path = BUF_MAX(256);
    bool good;

    buf_printf(&path, "/%s", name);
    settings(e, alias, &b);
    good = wants(e, x, "PUT", path.p, buf_slice(&b), 400, NULL); /* 400: somebody else was faster */
    buf_free(&b);
    buf_free(&path);
    return good;
}

/* ---- what is there */

static void
read_spaces(struct generation *g, const json_t *mappings)
{
    const char *key;
    json_t *v;

    g->n_spaces = 0;
    json_object_foreach (json_object_get(mappings, "properties"), key, v) {
        struct space_id s = { .dims = (size_t)json_int(v, "dimension", 0) };

        if (strncmp(key, "v_", 2) != 0 || strlen(key) != SPACE_NAME + 1 || g->n_spaces == SPACES_MAX)
            continue;
        memcpy(s.name, key + 2, SPACE_NAME);
        g->space[g->n_spaces++] = s;
    }
}

static bool
read_checkpoint(struct cluster_engine *e, struct cluster_conn *x, struct generation *g)
{
    struct buf path = BUF_MAX(256);
    json_t *v = NULL;
    bool good;

    buf_printf(&path, "/%s/_doc/checkpoint", g->name);
    good = wants(e, x, "GET", path.p, STR_NONE, 404, &v);
    g->seq = json_int(json_object_get(v, "_source"), "seq", 0);
    g->stale = g->seq > 0 && clock_wall_ms() - json_int(json_object_get(v, "_source"), "at", 0) > STALE_MS;
    json_decref(v);
    buf_free(&path);
    return good;
}

/* Its mapping, its checkpoint, and how many shards and replicas it has. missing: there is no such index. */
static bool
look_at(struct cluster_engine *e, struct cluster_conn *x, struct generation *g, int64_t *shards,
        int64_t *replicas)
{
    struct buf path = BUF_MAX(256);
    json_t *v = NULL;
    bool good;

    buf_printf(&path, "/%s", g->name);
    good = wants(e, x, "GET", path.p, STR_NONE, 404, &v);
    g->missing = !v;
    if (v) {
        const json_t *ix = json_object_get(v, g->name),
                     *s = json_object_get(json_object_get(ix, "settings"), "index");

        read_spaces(g, json_object_get(ix, "mappings"));
        (void)number_parse(json_str(s, "number_of_shards"), 1, 1 << 20, shards);
        (void)number_parse(json_str(s, "number_of_replicas"), 0, 1 << 20, replicas);
        json_decref(v);
        good = read_checkpoint(e, x, g);
    }
    buf_free(&path);
    return good;
}

/* The index that the alias names; its name is empty: there is none. */
static bool
find_live(struct cluster_engine *e, struct cluster_conn *x, struct generation *g)
{
    char alias[96], path[128];
    json_t *v = NULL, *one;
    const char *key;
    bool good;

    *g = (struct generation){ .seq = 0 };
    alias_of(e, alias);
    (void)snprintf(path, sizeof path, "/_alias/%s", alias);
    good = wants(e, x, "GET", path, STR_NONE, 404, &v);
    json_object_foreach (v, key, one)
        if (!json_object_get(one, "error") && strlen(key) < sizeof g->name &&
            strncmp(key, alias, strlen(alias)) == 0)
            memcpy(g->name, key, strlen(key) + 1);
    json_decref(v);
    return good;
}

static void
name_next(struct cluster_engine *e, const char *live, char out[96])
{
    char alias[96];
    int64_t n = 0;

    alias_of(e, alias);
    if (strlen(live) > strlen(alias) + 1)
        (void)number_parse(str_of(live + strlen(alias) + 1), 0, 999999, &n);
    (void)snprintf(out, 96, "%.70s-%06u", alias, (unsigned)n + 1);
}

static void
adopt(struct cluster_engine *e, const struct generation *live, const struct generation *next)
{
    pthread_mutex_lock(&e->lock);
    e->live = *live;
    e->next = *next;
    pthread_mutex_unlock(&e->lock);
    atomic_store(&e->known, live->seq);
    atomic_store(&e->after, next->name[0] && next->seq < live->seq ? next->seq : live->seq);
}

static bool
set_replicas(struct cluster_engine *e, struct cluster_conn *x, const char *name)
{
    char path[128], body[96];

    (void)snprintf(path, sizeof path, "/%s/_settings", name);
    (void)snprintf(body, sizeof body, "{\"index.number_of_replicas\":%lld}",
                   (long long)e->opt->opensearch_replicas);
    return wants(e, x, "PUT", path, str_of(body), 0, NULL);
}

bool
schema_open(struct cluster_engine *e, struct cluster_conn *x)
{
    struct generation live, next = { .seq = 0 };
    int64_t shards = 0, replicas = -1, unused;

    for (int tries = 0; tries < 2; tries++) {
        if (!find_live(e, x, &live))
            return false;
        if (live.name[0])
            break;
        name_next(e, "", live.name);
        if (!create(e, x, live.name, true))
            return false;
    }
    if (!look_at(e, x, &live, &shards, &replicas) || live.missing)
        return false;
    if (replicas != e->opt->opensearch_replicas && !set_replicas(e, x, live.name))
        return false;
    if (live.stale) {
        LOG(WARN, NULL, M("the index missed deletes, which the feed forgets after a week: it is built anew"),
            KS("index", live.name));
        adopt(e, &live, &next);
        return schema_again(e, x);
    }
    if (shards != e->opt->opensearch_shards) {
        name_next(e, live.name, next.name);
        if (!create(e, x, next.name, false) || !look_at(e, x, &next, &unused, &unused) || next.missing)
            return false;
        LOG(INFO, NULL, M("the index is built anew beside the one that is searched"), KS("from", live.name),
            KS("to", next.name), KI("shards", e->opt->opensearch_shards));
    }
    adopt(e, &live, &next);
    return true;
}

/* ---- changes of it */

bool
schema_space(struct cluster_engine *e, struct cluster_conn *x, struct generation *g, const struct space_id *s)
{
    char path[128];
    struct buf b = BUF_MAX(1024);
    bool good;

    for (size_t i = 0; i < g->n_spaces; i++)
        if (strcmp(g->space[i].name, s->name) == 0)
            return true;
    (void)snprintf(path, sizeof path, "/%s/_mapping", g->name);
    buf_printf(
        &b,
        "{\"properties\":{\"v_%s\":{\"type\":\"knn_vector\",\"dimension\":%zu,\"method\":{\"name\":\"hnsw\","
        "\"engine\":\"lucene\",\"space_type\":\"cosinesimil\",\"parameters\":{\"m\":16,\"ef_construction\":128}}}}}",
        s->name, s->dims);
    good = wants(e, x, "PUT", path, buf_slice(&b), 0, NULL);
    if (good && g->n_spaces < SPACES_MAX) {
        pthread_mutex_lock(&e->lock);
        g->space[g->n_spaces++] = *s;
        pthread_mutex_unlock(&e->lock);
    }
    buf_free(&b);
    return good;
}

bool
schema_checkpoint(struct cluster_engine *e, struct cluster_conn *x, struct generation *g, int64_t seq)
{
    char path[192], body[96];
    bool good;

    if (seq < g->seq || seq == 0 || (seq == g->seq && g->told_ms && clock_ms() - g->told_ms < TELL_MS))
        return true;
    (void)snprintf(path, sizeof path, "/%s/_doc/checkpoint?version=%lld&version_type=external_gte", g->name,
                   (long long)seq);
    (void)snprintf(body, sizeof body, "{\"seq\":%lld,\"at\":%lld}", (long long)seq,
                   (long long)clock_wall_ms());
    good = wants(e, x, "PUT", path, str_of(body), 409, NULL); /* 409: another retriever is further */
    if (good) {
        g->seq = seq;
        g->told_ms = clock_ms();
    }
    return good;
}

static bool
remove_index(struct cluster_engine *e, struct cluster_conn *x, const char *name)
{
    char path[128];

    (void)snprintf(path, sizeof path, "/%s", name);
    return wants(e, x, "DELETE", path, STR_NONE, 404, NULL);
}

bool
schema_switch(struct cluster_engine *e, struct cluster_conn *x)
{
    const struct generation none = { .seq = 0 };
    struct buf b = BUF_MAX(1024);
    char alias[96], old[96];
    bool good;

    alias_of(e, alias);
    memcpy(old, e->live.name, sizeof old);
    buf_printf(
        &b,
        "{\"actions\":[{\"remove\":{\"index\":\"%s\",\"alias\":\"%s\"}},{\"add\":{\"index\":\"%s\",\"alias\":\"%s\"}}]}",
        old, alias, e->next.name, alias);
    good = wants(e, x, "POST", "/_aliases", buf_slice(&b), 404,
                 NULL); /* 404: another retriever switched it */
    buf_free(&b);
    if (!good)
        return false;
    LOG(INFO, NULL, M("another index is searched"), KS("from", old), KS("to", e->next.name));
    struct generation live = e->next;

    adopt(e, &live, &none);
    (void)remove_index(e, x, old); /* left over: it costs room, and nothing else */
    return true;
}

bool
schema_again(struct cluster_engine *e, struct cluster_conn *x)
{
    struct generation live;

    if (!find_live(e, x, &live))
        return false;
    if (strcmp(live.name, e->live.name) != 0)
        return schema_open(e, x); /* another retriever began again */
    pthread_mutex_lock(&e->lock);
    name_next(e, live.name, e->next.name);
    e->next.n_spaces = 0;
    e->next.seq = 0;
    pthread_mutex_unlock(&e->lock);
    return remove_index(e, x, e->next.name) && create(e, x, e->next.name, false) && schema_switch(e, x);
}

bool
schema_refresh(struct cluster_engine *e, struct cluster_conn *x, const struct generation *g)
{
    char path[128];

    (void)snprintf(path, sizeof path, "/%s/_refresh", g->name);
    return wants(e, x, "POST", path, STR_NONE, 0, NULL);
}
