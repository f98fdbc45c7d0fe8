/* The bounded queue of turns in Redis that the store drains (fn:turns). Turns that come while a trip is under way share the next one: the
 * first of them leads it, the others wait until it says what became of theirs. Nobody waits for company: one turn alone goes at once.
 *
 *   turn ─▶ waiting ─▶ a trip is under way? ─no─▶ lead: all that wait, one script ─▶ each is told
 *                          └yes▶ sleep until told, or until appointed to lead the next trip ◀┘ */
#include <pthread.h>

#include "gateway/admit/cache_write.h"
#include "gateway/gateway.h"

#define TOGETHER 64             /* turns of one trip */
#define TOGETHER_BYTES 2097152u /* and bytes, but for a single one */

struct waiting { /* on its thread's stack */
    struct str turn, answer;
    enum turn_outcome how;
    bool told, leads;
    pthread_cond_t wake;
    struct waiting *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of these */
static struct waiting *first, **last = &first;
static bool under_way;

/* KEYS: stream. ARGV: maximum, then turns and their answers ("" none) in turn. Reply: how many of them found room, from the first on. */
static struct redis_script append;
static const char append_source[] =
    "local room = tonumber(ARGV[1]) - redis.call('XLEN', KEYS[1])\n"
    "local n = 0\n"
    "for i = 2, #ARGV, 2 do\n"
    "  if n >= room then break end\n"
    "  local r\n"
    "  if ARGV[i + 1] == '' then r = redis.pcall('XADD', KEYS[1], '*', 'q', ARGV[i])\n"
    "  else r = redis.pcall('XADD', KEYS[1], '*', 'q', ARGV[i], 'a', ARGV[i + 1]) end\n"
    "  if type(r) ~= 'string' and n == 0 then return r end\n"
    "  if type(r) ~= 'string' then break end\n"
    "  n = n + 1\n"
    "end\n"
    "return n\n";

void
turns_init(void)
{
    redis_script_init(&append, append_source);
}

/* Under the lock: those of the next trip, taken off the list. */
static struct waiting *
take(size_t *n)
{
    struct waiting *head = first, *w = first, *end = first;
    size_t bytes = 0;

    for (*n = 0; w && *n < TOGETHER; w = w->next) {
        bytes += w->turn.n + w->answer.n;
        if (*n > 0 && bytes > TOGETHER_BYTES)
            break;
        ++*n;
        end = w;
    }
    end->next = NULL;
    first = w;
    if (!w)
        last = &first;
    return head;
}

/* How many found room; -1: nobody knows. A turn that is not queued now is lost, however much Redis cost its request before: the
 * trip has a budget of its own. */
static int64_t
trip(struct request *r, const struct waiting *v, size_t n)
{
    struct str key = STR(TURNS_STREAM), args[2 * TOGETHER + 1];
    struct redis_budget last_chance = { 0 };
    struct redis_val out = { .type = REDIS_ERROR };
    size_t n_args = 0;

    args[n_args++] = str_of(arena_printf(r->arena, "%d", TURNS_MAX));
    for (; v; v = v->next) {
        args[n_args++] = v->turn;
        args[n_args++] = v->answer.p ? v->answer : STR("");
    }
    stat_inc(&gateway_stats, GW_TURN_TRIPS);
    if (!r->gw->state || !args[0].p ||
        redis_eval(r->gw->state, &last_chance, r->arena, &append, &key, 1, args, n_args, &out) != 0 ||
        out.type != REDIS_INT || out.i < 0 || (size_t)out.i > n)
        return -1;
    return out.i;
}

/* Under the lock. */
static void
tell(struct waiting *v, int64_t queued)
{
    struct waiting *next;

    for (int64_t i = 0; v; v = next, i++) {
        next = v->next; /* one that is told is gone */
        v->how = queued < 0 ? TURN_FAILED : i < queued ? TURN_QUEUED : TURN_FULL;
        v->told = true;
        pthread_cond_signal(&v->wake);
    }
}

/* Under the lock, which is let go for the trip. */
static void
lead(struct request *r)
{
    struct waiting *v;
    size_t n;
    int64_t queued;

    under_way = true;
    v = take(&n);
    pthread_mutex_unlock(&lock);
    queued = trip(r, v, n);
    pthread_mutex_lock(&lock);
    tell(v, queued);
    under_way = first != NULL;
    if (first) {
        first->leads = true;
        pthread_cond_signal(&first->wake);
    }
}

bool
turns_append_pair(struct request *r, struct str turn, struct str answer)
{
    struct waiting w = { .turn = turn, .answer = answer };

    pthread_cond_init(&w.wake, NULL);
    pthread_mutex_lock(&lock);
    *last = &w;
    last = &w.next;
    w.leads = !under_way;
    while (!w.told && !w.leads)
        pthread_cond_wait(&w.wake, &lock);
    if (!w.told)
        lead(r);
    pthread_mutex_unlock(&lock);
    pthread_cond_destroy(&w.wake);
    stat_add_at(&gateway_stats, GW_TURNS, w.how, 0, 1);
    return w.how == TURN_QUEUED;
}

bool
turns_append(struct request *r, struct str turn)
{
    return turns_append_pair(r, turn, STR_NONE);
}
