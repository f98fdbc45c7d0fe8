/* Vectors of the newest questions whose answers sessions share, one string of Redis for each kind of question:
 *
 *   fn:sr:<tenant>:<md5>      records of one length, the oldest overwritten: MD5 of the answer's key (16) | vector, a byte a dimension
 *   fn:sr:<tenant>:<md5>:n    how many were ever written
 *   fn:so:<tenant>:<collection>   the epoch at which its checks switched near answers off
 *   fn:sw:<tenant>:<collection>   the outcomes of its latest checks
 *
 * A record is a hint: it leads to an answer in the query cache, which is judged by itself. So nothing here has to be erased for an
 * answer to be gone. The epoch is part of the ring's name. */
#include "gateway/admit/semantic_ring.h"

#include <math.h>

#include "common/digest.h"
#include "common/random.h"
#include "gateway/gateway.h"

#define RECORD_KEY 16
#define RING_BYTES (1 << 20) /* of one ring, whatever the vectors' length */
#define LOOK_MS 15 /* that the request has waited for Redis: no look then, since its answer needs the rest */
#define CHECKS_KEPT 1000                /* of a collection, the latest */
#define CHECKS_LIFE_S (30 * 24 * 3600L) /* without another one */
#define KEY_HEX 32

/* KEYS: ring, its count. ARGV: record, records at most, lifetime. */
static struct redis_script add_script;
static const char add_source[] = "local at = redis.call('INCR', KEYS[2]) - 1\n"
                                 "redis.call('SETRANGE', KEYS[1], (at % ARGV[2]) * #ARGV[1], ARGV[1])\n"
                                 "redis.call('EXPIRE', KEYS[1], ARGV[3])\n"
                                 "redis.call('EXPIRE', KEYS[2], ARGV[3])\n"
                                 "return 1\n";

/* KEYS: checks, switch. ARGV: 1 when it differs, checks kept, the least that are judged, budget as a share, epoch, lifetime. So many
 * differences that no number of good checks within the least could bring them below the budget need not wait for those. */
static struct redis_script check_script;
static const char check_source[] =
    "redis.call('LPUSH', KEYS[1], ARGV[1])\n"
    "redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)\n"
    "redis.call('EXPIRE', KEYS[1], ARGV[6])\n"
    "local n, differ = 0, 0\n"
    "for _, v in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do\n"
    "  n = n + 1\n"
    "  if v == '1' then differ = differ + 1 end\n"
    "end\n"
    "if differ <= ARGV[4] * math.max(n, tonumber(ARGV[3])) + 1e-9 then return {0, n, differ} end\n"
    "local off = tonumber(redis.call('GET', KEYS[2]) or '0') or 0\n"
    "if off < tonumber(ARGV[5]) then redis.call('SET', KEYS[2], ARGV[5], 'EX', ARGV[6]) end\n"
    "redis.call('DEL', KEYS[1])\n"
    "return {1, n, differ}\n";

void
semantic_ring_init(void)
{
    redis_script_init(&add_script, add_source);
    redis_script_init(&check_script, check_source);
}

bool
semantic_on(const struct request *r)
{
    return r->gw->opt->semantic_cache && r->gw->cache;
}

double
semantic_threshold(const struct request *r)
{
    return r->gw->opt->semantic_threshold;
}

bool
semantic_sampled(const struct request *r)
{
    int64_t of = r->gw->opt->semantic_check;
    uint32_t dice;

    random_bytes(&dice, sizeof dice);
    return of > 0 && dice % (uint64_t)of == 0;
}

void
semantic_ring_name(const struct request *r, struct str collection, struct semantic_ring *ring)
{
    snprintf(ring->switch_key, sizeof ring->switch_key, "fn:so:%s:" STR_FMT, r->who.tenant,
             STR_ARG(collection));
    snprintf(ring->checks_key, sizeof ring->checks_key, "fn:sw:%s:" STR_FMT, r->who.tenant,
             STR_ARG(collection));
}

/* ---- looking */

static double
likeness(const int8_t *a, const int8_t *b, size_t dims)
{
    int64_t dot = 0, x = 0, y = 0;

    for (size_t i = 0; i < dims; i++) {
        dot += a[i] * b[i];
        x += a[i] * a[i];
        y += b[i] * b[i];
    }
    return x > 0 && y > 0 ? (double)dot / sqrt((double)x * (double)y) : 0;
}

static void
keep_likest(struct semantic_near *near, size_t *n, double like, const char *tenant, const char *md5)
{
    char hex[KEY_HEX + 1];
    size_t at = *n;

    hex_text(md5, RECORD_KEY, hex);
    if (at == SEMANTIC_NEAR && near[at - 1].like >= like)
        return;
    for (size_t i = 0; i < *n; i++) /* an answer that was made anew has a record each time */
        if (strcmp(near[i].key + strlen(near[i].key) - KEY_HEX, hex) == 0)
            return;
    at -= at == SEMANTIC_NEAR;
    for (; at > 0 && near[at - 1].like < like; at--)
        near[at] = near[at - 1];
    near[at].like = like;
    snprintf(near[at].key, sizeof near[at].key, "fn:q:%s:%s", tenant, hex);
    *n += *n < SEMANTIC_NEAR;
}

static void
scan(const struct request *r, const struct semantic_ring *ring, struct str records, const int8_t *code,
     double least, struct semantic_near *near, size_t *n)
{
    size_t size = RECORD_KEY + ring->dims;

    for (size_t at = 0; at + size <= records.n; at += size) {
        const char *record = records.p + at;
        double like = likeness((const int8_t *)record + RECORD_KEY, code, ring->dims);

        if (like >= least)
            keep_likest(near, n, like, r->who.tenant, record);
    }
}

static bool
is_epoch(const struct redis_val *v, int64_t epoch)
{
    char z[24];

    snprintf(z, sizeof z, "%lld", (long long)epoch);
    return v->type == REDIS_STR && str_is(v->s, z);
}

enum semantic_look
semantic_ring_look(struct request *r, const struct semantic_ring *ring, const int8_t *code, double least,
                   struct semantic_near near[SEMANTIC_NEAR], size_t *n)
{
    const struct str get_ring[] = { STR("GET"), str_of(ring->key) },
                     get_switch[] = { STR("GET"), str_of(ring->switch_key) };
    const struct redis_cmd cmds[] = { { get_switch, 2 }, { get_ring, 2 } };
    struct redis_val v[2] = { { .type = REDIS_ERROR }, { .type = REDIS_ERROR } };
    struct redis_budget own = { 0 }; /* a look that fails is no reason to keep the answer from the cache */
    enum semantic_look how = SEMANTIC_READ;
    struct arena *a;

    *n = 0;
    if (r->redis.over || r->redis.spent_ms >= LOOK_MS)
        return SEMANTIC_AWAY;
    a = arena_new(2 * RING_BYTES);
    if (redis_run_in(r->gw->cache, &own, a, cmds, 2, v) != 0 || v[0].type == REDIS_ERROR ||
        v[1].type == REDIS_ERROR)
        how = SEMANTIC_AWAY;
    else if (is_epoch(&v[0], ring->epoch))
        how = SEMANTIC_OFF;
    else if (v[1].type == REDIS_STR)
        scan(r, ring, v[1].s, code, least, near, n);
    arena_free(&a);
    return how;
}

void
semantic_ring_values(struct request *r, struct arena *a, const struct semantic_near *near, size_t n,
                     struct str *values)
{
    struct redis_budget own = { 0 };
    struct str get[SEMANTIC_NEAR][2];
    struct redis_cmd cmds[SEMANTIC_NEAR];
    struct redis_val v[SEMANTIC_NEAR] = { { .type = REDIS_NIL } };

    for (size_t i = 0; i < n; i++) {
        values[i] = STR_NONE;
        get[i][0] = STR("GET");
        get[i][1] = str_of(near[i].key);
        cmds[i] = (struct redis_cmd){ get[i], 2 };
    }
    if (n == 0 || redis_run_in(r->gw->cache, &own, a, cmds, n, v) != 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (v[i].type == REDIS_STR)
            values[i] = v[i].s;
}

/* ---- writing */

void
semantic_ring_add(struct request *r, const struct semantic_ring *ring, const struct cache_probe *probe,
                  const int8_t *code)
{
    int64_t most = r->gw->opt->semantic_questions, room = RING_BYTES / (int64_t)(RECORD_KEY + ring->dims);
    size_t n = strlen(probe->key);
    struct buf record = BUF_MAX(RING_BYTES);
    char md5[RECORD_KEY];
    struct redis_val v;

    if (!r->gw->cache || n < KEY_HEX || !hex_parse(str_of(probe->key + n - KEY_HEX), md5, RECORD_KEY))
        return;
    buf_add(&record, md5, RECORD_KEY);
    buf_add(&record, code, ring->dims);
    const struct str keys[] = { str_of(ring->key), str_of(arena_printf(r->arena, "%s:n", ring->key)) };
    const struct str args[] = {
        buf_slice(&record), str_of(arena_printf(r->arena, "%lld", (long long)(most < room ? most : room))),
        str_of(arena_printf(r->arena, "%ld", r->gw->opt->query_cache_ttl))
    };
    if (keys[1].p && args[1].p && args[2].p)
        redis_eval(r->gw->cache, &r->redis, r->arena, &add_script, keys, 2, args, 3, &v);
    buf_free(&record);
}

bool
semantic_checked(struct request *r, const struct semantic_ring *ring, bool differs, int64_t *samples,
                 int64_t *differ)
{
    const struct gateway_opt *o = r->gw->opt;
    const struct str keys[] = { str_of(ring->checks_key), str_of(ring->switch_key) };
    const struct str args[] = { differs ? STR("1") : STR("0"),
                                str_of(arena_printf(r->arena, "%d", CHECKS_KEPT)),
                                str_of(arena_printf(r->arena, "%ld", o->semantic_window)),
                                str_of(arena_printf(r->arena, "%.9f", o->semantic_budget / 100)),
                                str_of(arena_printf(r->arena, "%lld", (long long)ring->epoch)),
                                str_of(arena_printf(r->arena, "%ld", CHECKS_LIFE_S)) };
    struct redis_val v;

    if (!r->gw->cache || !args[5].p ||
        redis_eval(r->gw->cache, &r->redis, r->arena, &check_script, keys, 2, args, 6, &v) != 0 ||
        v.type != REDIS_LIST || v.n != 3)
        return false;
    *samples = v.v[1].i;
    *differ = v.v[2].i;
    return v.v[0].type == REDIS_INT && v.v[0].i == 1;
}
