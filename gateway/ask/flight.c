/* Flights: questions with one answer that are asked at the same time. The first one of a gateway finds out who leads: it does, or
 * somebody at another gateway (admit/flight_lease.c). The others follow. The answer is relayed in Redis; of all who follow at this gateway one
 * at a time looks there for all of them:
 *
 *   join ─▶ first ─▶ set ─┬─ leads ─▶ … ─▶ land ─▶ leave
 *     │                   └─ follows
 *     └─▶ follows: wait ─▶ look (one of them) ─▶ news ─▶ read … ─▶ leave
 *
 * One who looks does nothing else meanwhile, so that a slow client holds up nobody but itself. As many flights are in the air as requests
 * are worked on, and all of them hold BYTES_MOST of passages, texts and replies; a flight that would hold more is over, and its
 * followers ask for themselves. */
#include "gateway/ask/flight.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/process/cond.h"
#include "proto/frames.h"

#define SLOTS 256u
#define BYTES_MOST (64u << 20) /* of all flights of this gateway */
#define SAID_MOST 1048576u
#define AWAY_MS 5000 /* Redis may be away so long */

struct flight {
    struct flight *next, **prev; /* in its slot; prev NULL: nobody finds it any more */
    uint8_t key[32];
    size_t users;
    struct flight_lease lease;
    bool relayed, looking, over, bare, orphan, has_state, has_said;
    const struct follower *scout; /* waits for the time of the next look; NULL: nobody does */
    int64_t due_ms;               /* of the next look */
    int64_t good_ms;              /* Redis last answered one */
    struct buf state, text, said;
    pthread_cond_t news, whole; /* of those who read along, and of those who wait for the reply only */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct flight *slots[SLOTS];
static size_t bytes; /* of all flights */

static struct flight *
find(const uint8_t key[32])
{
    struct flight *f = slots[key[0] % SLOTS];

    while (f && memcmp(f->key, key, 32) != 0)
        f = f->next;
    return f;
}

static struct flight *
take_off(const uint8_t key[32])
{
    struct flight *f = mem_new(sizeof *f), **slot = &slots[key[0] % SLOTS];

    *f = (struct flight){ .next = *slot, .prev = slot };
    memcpy(f->key, key, 32);
    f->state = BUF_MAX(FRAMES_STATE_MAX);
    f->text = BUF_MAX(FRAMES_TEXT_MAX);
    f->said = BUF_MAX(SAID_MOST);
    cond_init(&f->news);
    cond_init(&f->whole);
    if (*slot)
        (*slot)->prev = &f->next;
    *slot = f;
    return f;
}

/* Nobody finds it any more. */
static void
unlink_flight(struct flight *f)
{
    if (!f->prev)
        return;
    *f->prev = f->next;
    if (f->next)
        f->next->prev = f->prev;
    f->prev = NULL;
}

enum wake { WAKE_ALL, WAKE_TEXT };

static void
wake(struct flight *f, enum wake what)
{
    pthread_cond_broadcast(&f->news);
    if (what != WAKE_TEXT)
        pthread_cond_broadcast(&f->whole);
}

struct flight *
flight_join(const uint8_t key[32], bool *first)
{
    struct flight *f;

    pthread_mutex_lock(&lock);
    f = find(key);
    *first = !f;
    if (!f)
        f = take_off(key);
    f->users++;
    pthread_mutex_unlock(&lock);
    return f;
}

void
flight_set(struct flight *f, const struct flight_lease *l)
{
    pthread_mutex_lock(&lock);
    if (l)
        f->lease = *l;
    f->relayed = l != NULL;
    f->bare = !l;
    f->due_ms = f->good_ms = clock_ms();
    wake(f, WAKE_ALL);
    pthread_mutex_unlock(&lock);
}

/* It is set once, before anybody learns of it under the lock. */
const struct flight_lease *
flight_lease(const struct flight *f)
{
    return &f->lease;
}

void
flight_land(struct flight *f)
{
    pthread_mutex_lock(&lock);
    unlink_flight(f);
    f->due_ms = clock_ms(); /* the last of it is looked for at once */
    f->over = f->over || !f->relayed;
    wake(f, WAKE_ALL);
    pthread_mutex_unlock(&lock);
}

static void
flight_free(struct flight *f)
{
    assert(!f->looking);
    bytes -= f->state.n + f->text.n + f->said.n;
    buf_free(&f->state);
    buf_free(&f->text);
    buf_free(&f->said);
    pthread_cond_destroy(&f->news);
    pthread_cond_destroy(&f->whole);
    mem_free(&f);
}

void
flight_leave(struct flight **fp, struct follower *me)
{
    struct flight *f = *fp;

    *fp = NULL;
    pthread_mutex_lock(&lock);
    if (me && f->scout == me)
        f->scout = NULL;
    assert(f->users > 0);
    if (--f->users == 0) {
        unlink_flight(f);
        flight_free(f);
    }
    pthread_mutex_unlock(&lock);
}

/* ---- who follows */

static bool
has_news(const struct flight *f, const struct follower *me)
{
    return (f->has_said && !me->said) || (f->has_state && !me->state) || (!me->whole && f->text.n > me->text);
}

/* Its time to look has come. */
static bool
is_due(struct flight *f, const struct follower *me, int64_t now, int64_t *until)
{
    if (!f->relayed || f->looking || f->over || (f->scout && f->scout != me))
        return false;
    if (now >= f->due_ms) {
        f->scout = NULL;
        f->looking = true;
        return true;
    }
    f->scout = me;
    if (f->due_ms < *until)
        *until = f->due_ms;
    return false;
}

enum flight_sign
flight_wait(struct follower *me, int64_t until_ms)
{
    struct flight *f = me->flight;
    enum flight_sign sign = FLIGHT_NEWS;

    pthread_mutex_lock(&lock);
    while (!has_news(f, me)) {
        int64_t now = clock_ms(), until = until_ms;

        if (f->over || (f->bare && !me->whole)) {
            sign = FLIGHT_OVER;
            break;
        }
        if (is_due(f, me, now, &until)) {
            sign = FLIGHT_LOOK;
            break;
        }
        if (now >= until_ms) {
            sign = FLIGHT_IDLE;
            break;
        }
        cond_wait(me->whole ? &f->whole : &f->news, &lock, until);
    }
    if (f->scout == me)
        f->scout = NULL;
    pthread_mutex_unlock(&lock);
    return sign;
}

void
flight_read(struct follower *me, struct arena *a, struct flight_found *out)
{
    struct flight *f = me->flight;

    *out = (struct flight_found){ 0 };
    pthread_mutex_lock(&lock);
    if (f->has_state && !me->state) {
        out->state = arena_str(a, buf_slice(&f->state));
        me->state = true;
    }
    if (f->text.n > me->text && !me->whole) {
        out->text = arena_str(a, (struct str){ f->text.p + me->text, f->text.n - me->text });
        me->text = f->text.n;
    }
    if (f->has_said && !me->said) {
        out->said = arena_str(a, buf_slice(&f->said));
        me->said = true;
    }
    out->orphan = f->orphan;
    out->over = f->over;
    pthread_mutex_unlock(&lock);
}

size_t
flight_known(const struct follower *me, bool *state)
{
    size_t n;

    pthread_mutex_lock(&lock);
    n = me->flight->text.n;
    *state = me->flight->has_state;
    pthread_mutex_unlock(&lock);
    return n;
}

/* Add to one of its three; false: there is no room. */
static bool
add(struct buf *to, struct str s)
{
    if (bytes + s.n > BYTES_MOST)
        return false;
    bytes -= to->n;
    buf_str(to, s);
    bytes += to->n;
    return !to->failed;
}

void
flight_look_end(struct follower *me, const struct flight_found *found, int pause_ms)
{
    struct flight *f = me->flight;
    int64_t now = clock_ms();
    bool room = true, more = found->state.p || found->said.p;

    pthread_mutex_lock(&lock);
    if (found->state.p && !f->has_state)
        room = f->has_state = add(&f->state, found->state);
    if (found->text.n > 0)
        room = room && add(&f->text, found->text);
    if (found->said.p && !f->has_said)
        room = room && (f->has_said = add(&f->said, found->said));
    if (!found->away)
        f->good_ms = now;
    f->orphan = found->orphan;
    f->bare = f->bare || found->bare;
    f->over = f->over || found->over || !room || now - f->good_ms > AWAY_MS;
    if (f->over || f->has_said)
        unlink_flight(f); /* what is there is in the cache, or nowhere */
    f->looking = false;
    f->due_ms = now + pause_ms;
    if (f->over || f->bare || more || found->text.n > 0)
        wake(f, f->over || f->bare || more ? WAKE_ALL : WAKE_TEXT);
    pthread_mutex_unlock(&lock);
}
