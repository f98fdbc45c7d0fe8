/* The hub's core, blame: whose fault it is when a worker is lost, the request's, the worker's or the way's between them.
 *
 *   a worker is lost ──► every request that it had moves, at most MOVES_MAX times, and
 *     it left, or was told to go for another's sake    nobody is struck
 *     a malformed message, a new connection            nobody: a link that is cut or changed
 *     its connection is closed                         a strike, taken back when the same worker registers again
 *     it is silent, its answer is garbled              a strike
 *   two strikes of different workers ──► poison; while one of them can still be taken back the request is HELD, for HOLD_MS
 *
 * A request that never reached the worker, since the send failed, is not struck either; nor is one that was lost while the hub
 * itself stood still (core_awake). Workers are known again by the life that they tell with READY. */
#include <assert.h>
#include <string.h>

#include "common/log.h"
#include "gateway/hub/state.h"

/* ---- requests */

static void
strike_add(struct hub_request *r, const struct hub_worker *w, bool firm)
{
    struct strike *s = r->strike;

    while (s < r->strike + r->n_strikes && memcmp(s->life, w->life, sizeof s->life) != 0)
        s++;
    if (s == r->strike + r->n_strikes) {
        assert(r->n_strikes < 2); /* with two it is at no worker */
        memcpy(s->life, w->life, sizeof s->life);
        s->firm = firm;
        r->n_strikes++;
    }
    s->firm |= firm;
}

void
request_condemn(struct core *c, struct hub_request *r)
{
    stat_inc(&hub_stats, HUB_POISON);
    request_close(c, r, ERR_POISON, NULL, STR_NONE, 0);
}

/* Two workers are gone with it, and at least one may come back. */
static void
request_hold(struct core *c, int64_t now, struct hub_request *r)
{
    request_set(r, REQ_HELD);
    timer_set(c, r, now + HOLD_MS < r->deadline_ms ? now + HOLD_MS : r->deadline_ms);
}

/* Moves are free. A kind that may not be repeated moves only when its worker never saw it. */
static void
request_move(struct core *c, int64_t now, struct hub_request *r, bool seen)
{
    bool once = seen && (r->once || kinds[r->kind].attempts < 2);

    if (r->moves > MOVES_MAX)
        request_close(c, r, ERR_WORKER_LOST, NULL, STR_NONE, 1000);
    else
        attempt_failed(c, now, r, once, false, ERR_WORKER_LOST, STR_NONE, 1000);
}

void
request_lost(struct core *c, int64_t now, const struct attempt *a, const struct hub_worker *w, enum loss how)
{
    struct hub_request *r = a->req;
    bool pardoned = how < LOSS_GARBLED && now < c->pardon_ms;

    if (a->unsent)
        r->n_at--; /* nobody saw it: when all connections close at once, it meets one dead worker after the other */
    else
        r->moves++;
    if (how >= LOSS_CLOSED && !a->unsent && !pardoned)
        strike_add(r, w, how > LOSS_CLOSED || !w->lives);
    if (r->n_strikes < 2)
        request_move(c, now, r, !a->unsent);
    else if (r->strike[0].firm && r->strike[1].firm)
        request_condemn(c, r);
    else
        request_hold(c, now, r);
}

void
life_pardon(struct core *c, int64_t now, const uint8_t life[16])
{
    for (uint32_t i = 0; i < c->cap_slots; i++) {
        struct hub_request *r = c->slots[i];

        for (int k = r ? r->n_strikes - 1 : -1; k >= 0; k--)
            if (!r->strike[k].firm && memcmp(r->strike[k].life, life, sizeof r->strike[k].life) == 0)
                r->strike[k] = r->strike[--r->n_strikes];
        if (r && r->state == REQ_HELD && r->n_strikes < 2)
            request_move(c, now, r, true); /* may end it: the slot is empty then */
    }
}

/* ---- keys */

/* The note of a key that misbehaved lately; a fresh one when there is none. */
static struct ban *
ban_note(struct core *c, int64_t now, uint64_t identity)
{
    struct ban *note;

    for (size_t i = 0; i < c->n_bans && i < GONE_MAX; i++)
        if (c->bans[i].identity == identity && now - c->bans[i].since_ms <= BAN_MS)
            return &c->bans[i];
    note = &c->bans[c->n_bans++ % GONE_MAX];
    *note = (struct ban){ .identity = identity, .since_ms = now };
    return note;
}

void
key_blame(struct core *c, int64_t now, uint64_t identity, int strikes)
{
    struct ban *note;

    if (!identity)
        return;
    note = ban_note(c, now, identity);
    note->count += strikes;
    if (note->count < BAD_FRAMES_MAX)
        return;
    note->until_ms = now + BAN_MS;
    stat_inc(&hub_stats, HUB_BANNED);
}

bool
key_is_banned(const struct core *c, int64_t now, uint64_t identity)
{
    for (size_t i = 0; identity && i < c->n_bans && i < GONE_MAX; i++)
        if (c->bans[i].identity == identity && now < c->bans[i].until_ms)
            return true;
    return false;
}
