/* The embedding cache in Redis: one pipelined trip before a request's texts are embedded, one after. Values are data from
 * outside: anything but a complete, finite vector of unit length for exactly this text is a miss; a broken
 * value is deleted and counted. Keys and values: embed.h. While Redis is away (its breaker is open) every
 * lookup is a miss, at no cost. */
#include <math.h>

#include "common/digest.h"
#include "common/log.h"
#include "common/text/number.h"
#include "embedder/embed.h"

#define VALUE_VERSION 1
#define KEY_MAX 256
#define QUESTION_TEXTS 8 /* more are documents */

static void
put_u32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (char)(v >> (8 * i));
}

static uint32_t
get_u32(const char *p)
{
    uint32_t v = 0;

    for (int i = 0; i < 4; i++)
        v |= (uint32_t)(unsigned char)p[i] << (8 * i);
    return v;
}

static float
get_float(const char *p)
{
    uint32_t bits = get_u32(p);
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

void
embed_value_encode(struct buf *out, const uint8_t sha[32], const float *v, size_t dims, int64_t tokens)
{
    char head[8] = { 'F', 'E', VALUE_VERSION, tokens > 0 }, cell[4];

    put_u32(head + 4, (uint32_t)dims);
    buf_add(out, head, sizeof head);
    buf_add(out, sha, 32);
    for (size_t i = 0; i < dims; i++) {
        uint32_t bits;

        memcpy(&bits, v + i, sizeof bits);
        put_u32(cell, bits);
        buf_add(out, cell, sizeof cell);
    }
    if (tokens > 0) {
        put_u32(cell, (uint32_t)(tokens < UINT32_MAX ? tokens : UINT32_MAX));
        buf_add(out, cell, sizeof cell);
    }
}

static bool
is_unit(const char *floats, size_t dims)
{
    double sum = 0;

    for (size_t i = 0; i < dims; i++) {
        double f = (double)get_float(floats + 4 * i);

        sum += f * f;
    }
    return isfinite(sum) && fabs(sum - 1.0) < 0.01;
}

enum embed_value
embed_value_decode(struct str v, const uint8_t sha[32], int64_t dims, struct embed_found *out)
{
    size_t end;
    uint32_t n;

    if (v.n < EMBED_VALUE_HEAD || memcmp(v.p, "FE", 2) != 0 || v.p[2] != VALUE_VERSION || (v.p[3] & ~1) != 0)
        return VALUE_BAD;
    n = get_u32(v.p + 4);
    end = EMBED_VALUE_HEAD + (size_t)n * 4;
    if (n == 0 || n > EMBED_MAX_DIMS || v.n != end + (v.p[3] ? 4 : 0) || (dims > 0 && n != dims))
        return VALUE_BAD;
    if (!bytes_equal(v.p + 8, sha, 32))
        return VALUE_OTHER_TEXT;
    if (!is_unit(v.p + EMBED_VALUE_HEAD, n))
        return VALUE_BAD;
    *out = (struct embed_found){ v.p + EMBED_VALUE_HEAD, n, v.p[3] ? get_u32(v.p + end) : 0 };
    return VALUE_OK;
}

static struct str
key_of(struct arena *a, const char *model, int64_t dims, struct str text)
{
    uint8_t digest[16];
    char hex[33];
    char *key;

    md5(&text, 1, digest);
    key = arena_printf(a, "fn:e:%.128s:%lld:%s", model, (long long)dims,
                       hex_text(digest, sizeof digest, hex));
    return str_of(key);
}

/* The key of the newest vectors' dimensions. */
static struct str
dims_key(struct arena *a, const char *model, int64_t dims)
{
    return str_of(arena_printf(a, "fn:d:%.128s:%lld", model, (long long)dims));
}

static size_t
newest_dims(const struct redis_val *v)
{
    int64_t n = 0;

    return v->type == REDIS_STR && number_parse(v->s, 0, EMBED_MAX_DIMS, &n) ? (size_t)n : 0;
}

/* Values that were refused go, so that they are refused once. */
static void
delete_bad(struct embedder *e, struct arena *a, struct str *argv, size_t n)
{
    struct redis_cmd cmd = { argv, n };
    struct redis_val val;

    argv[0] = STR("DEL");
    (void)redis_run(e->redis, a, &cmd, 1, &val);
}

static void
take_values(struct embedder *e, struct arena *a, const char *model, const struct redis_val *list,
            int64_t dims, struct cache_item *items, struct str *argv, bool again)
{
    size_t hits = 0, bad = 0, foreign = 0, n = list->n - 1, newest = newest_dims(&list->v[0]);
    int64_t saved = 0;

    for (size_t i = 0; i < n; i++) {
        if (list->v[i + 1].type != REDIS_STR)
            continue;
        switch (embed_value_decode(list->v[i + 1].s, items[i].sha, dims, &items[i].found)) {
        case VALUE_OK:
            if (newest && items[i].found.dims != newest) { /* made before the model changed: a miss */
                items[i].found.floats = NULL;
                break;
            }
            hits++;
            saved += items[i].found.tokens;
            break;
        case VALUE_OTHER_TEXT: foreign++; break;
        case VALUE_BAD: argv[++bad] = argv[i + 2]; break; /* bad ≤ i + 1: never ahead of what is read */
        }
    }
    price_count(&cache_saved, 0, 0, str_of(model), false, saved);
    stat_add(&embedder_stats, EMBED_CACHE_HITS, hits);
    stat_add(&embedder_stats, EMBED_CACHE_MISSES, again ? 0 : n - hits);
    stat_add(&embedder_stats, EMBED_CACHE_COLLISIONS, foreign);
    stat_add(&embedder_stats, EMBED_CACHE_BAD, bad);
    if (bad > 0) {
        LOG(WARN, NULL, M("cached embeddings refused and deleted"), KI("values", bad));
        delete_bad(e, a, argv, bad + 1);
    }
}

void
embed_cache_get(struct embedder *e, struct arena *a, const char *model, int64_t dims,
                struct cache_item *items, size_t n, bool again)
{
    struct str *argv = arena_alloc(a, (n + 2) * sizeof *argv);
    struct redis_cmd cmd = { argv, n + 2 };
    struct redis_val val = { .type = REDIS_NIL };
    struct redis_budget budget = { 0 };

    for (size_t i = 0; i < n; i++)
        sha256(&items[i].text, 1, items[i].sha);
    if (!e->redis || e->opt->cache_ttl == 0 || !argv)
        return;
    argv[0] = STR("MGET");
    argv[1] = dims_key(a, model, dims);
    for (size_t i = 0; i < n; i++) {
        argv[i + 2] = key_of(a, model, dims, items[i].text);
        if (!argv[i + 2].p)
            return;
    }
    /* a few texts are a question, for which somebody waits */
    if (redis_run_in(e->redis, n <= QUESTION_TEXTS ? &budget : NULL, a, &cmd, 1, &val) != 0 ||
        val.type != REDIS_LIST || val.n != n + 1) {
        stat_inc(&embedder_stats, EMBED_CACHE_BYPASS);
        return;
    }
    take_values(e, a, model, &val, dims, items, argv, again);
}

static size_t
bytes_of(const struct embed_task *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        n += t->texts[i].n;
    return n;
}

/* The cost of the first so many bytes of a task: the texts' parts, as differences, add up to the whole. */
static int64_t
cost_of(const struct embed_task *t, size_t bytes, size_t all)
{
    return all > 0 ? (int64_t)((double)t->tokens * (double)bytes / (double)all + 0.5) : 0;
}

static struct str *
dims_note(struct arena *a, const struct embed_task *t, struct str ttl)
{
    struct str *argv = arena_alloc(a, 5 * sizeof *argv);

    argv[0] = STR("SET");
    argv[1] = dims_key(a, t->model, t->dims);
    argv[2] = str_of(arena_printf(a, "%zu", t->out_dims));
    argv[3] = STR("EX");
    argv[4] = ttl;
    return argv;
}

void
embed_cache_put(const struct embed_task *t)
{
    struct embedder *e = t->e;
    size_t all = bytes_of(t), bytes = 0;
    struct arena *a;
    struct redis_cmd *cmds;
    struct redis_val *vals;
    struct buf *values;
    struct str ttl;

    /* the look-up found it ill */
    if (!e->redis || e->opt->cache_ttl == 0 || t->n == 0 || !redis_up(e->redis))
        return;
    a = arena_new(t->n * (EMBED_VALUE_HEAD + KEY_MAX + 1024) + 65536);
    cmds = arena_alloc(a, (t->n + 1) * sizeof *cmds);
    vals = arena_alloc(a, (t->n + 1) * sizeof *vals);
    values = mem_new(t->n * sizeof *values);
    ttl = str_of(arena_printf(a, "%ld", e->opt->cache_ttl));
    for (size_t i = 0; i < t->n; bytes += t->texts[i++].n) {
        struct str *argv = arena_alloc(a, 5 * sizeof *argv);
        uint8_t sha[32];
        int64_t tokens = cost_of(t, bytes + t->texts[i].n, all) - cost_of(t, bytes, all);

        sha256(&t->texts[i], 1, sha);
        embed_value_encode(&values[i], sha, t->vectors + i * t->out_dims, t->out_dims, tokens);
        argv[0] = STR("SET");
        argv[1] = key_of(a, t->model, t->dims, t->texts[i]);
        argv[2] = buf_slice(&values[i]);
        argv[3] = STR("EX");
        argv[4] = ttl;
        cmds[i] = (struct redis_cmd){ argv, 5 };
    }
    cmds[t->n] = (struct redis_cmd){ dims_note(a, t, ttl), 5 };
    (void)redis_run(e->redis, a, cmds, t->n + 1, vals); /* a full or absent Redis costs only the next hit */
    for (size_t i = 0; i < t->n; i++)
        buf_free(&values[i]);
    mem_free(&values);
    arena_free(&a);
}
