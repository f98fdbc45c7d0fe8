/* Leases of idempotency keys, held by renewing them (idempotency.h). A key is claimed for a few seconds only, so that a
 * retry runs soon after the gateway that held it died; while its request runs this thread claims it again and again, for
 * the same holder, which the store takes as a longer lease. A renewal that crosses the end of its request on the way may
 * leave the key held for one lease more: the retry is told to wait for as long. The lease is five seconds: a gateway that was
 * killed holds nobody's retry for longer than that, and a request may still run for a minute. */
#include <pthread.h>

#include "common/clock.h"
#include "gateway/admit/idempotency.h"
#include "gateway/gateway.h"
#include "common/process/ticker.h"
#include "gateway/admit/lease.h"

#define RENEW_MS 1500 /* a lease outlives two renewals that fail */
#define BATCH 64      /* claims under way at once */

struct keeper {
    struct gateway *gw;
    struct ticker *ticker;
    pthread_mutex_t lock; /* of first */
    struct kept *first;   /* running requests that hold a key */
};

struct claim { /* copied: its request may end meanwhile */
    char key[65], scope[200], tenant[65];
    uint8_t hash[32];
    struct uuid holder;
    struct call *call;
};

void
idem_keep(struct request *r)
{
    struct keeper *k = r->gw->keeper;
    struct kept *it = &r->idem->kept;

    *it = (struct kept){ .idem = r->idem, .tenant = r->who.tenant, .since_ms = clock_ms() };
    pthread_mutex_lock(&k->lock);
    it->next = k->first;
    if (it->next)
        it->next->prev = &it->next;
    it->prev = &k->first;
    k->first = it;
    pthread_mutex_unlock(&k->lock);
}

void
idem_unkeep(struct request *r)
{
    struct keeper *k = r->gw->keeper;
    struct kept *it = &r->idem->kept;

    if (!it->prev)
        return;
    pthread_mutex_lock(&k->lock);
    *it->prev = it->next;
    if (it->next)
        it->next->prev = it->prev;
    it->prev = NULL;
    pthread_mutex_unlock(&k->lock);
}

/* Copies claims older than a renewal, from the skip-th on; returns how many. */
static size_t
due(struct keeper *k, size_t skip, struct claim out[BATCH])
{
    int64_t now = clock_ms();
    size_t n = 0;

    pthread_mutex_lock(&k->lock);
    for (const struct kept *it = k->first; it && n < BATCH; it = it->next) {
        const struct idem *i = it->idem;

        if (now - it->since_ms < RENEW_MS)
            continue;
        if (skip > 0) {
            skip--;
            continue;
        }
        memcpy(out[n].key, i->key, sizeof i->key);
        memcpy(out[n].scope, i->scope, sizeof i->scope);
        memcpy(out[n].hash, i->hash, sizeof i->hash);
        memcpy(out[n].tenant, it->tenant, sizeof out[n].tenant);
        out[n++].holder = i->holder;
    }
    pthread_mutex_unlock(&k->lock);
    return n;
}

static size_t
renew(struct keeper *k, size_t skip)
{
    struct claim *c = mem_new(BATCH * sizeof *c);
    size_t n = due(k, skip, c);
    int64_t deadline = clock_ms() + RENEW_MS;
    struct outcome a;

    for (size_t i = 0; i < n; i++) {
        const struct idem_claim_req req = { .scope = str_of(c[i].scope),
                                            .key = str_of(c[i].key),
                                            .holder = c[i].holder,
                                            .hash = { (const char *)c[i].hash, 32 },
                                            .lease_ms = IDEM_LEASE_MS };

        c[i].call = hub_call(k->gw->hub, KIND_IDEM_CLAIM, &req, c[i].tenant, "", deadline);
    }
    for (size_t i = 0; i < n; i++) {
        call_wait(c[i].call, deadline, &a); /* the next renewal mends what this one could not */
        call_free(&c[i].call);
    }
    mem_free(&c);
    return n;
}

static int64_t
renew_all(void *arg)
{
    struct keeper *k = arg;

    for (size_t done = 0, n = BATCH; n == BATCH; done += n)
        n = renew(k, done);
    return RENEW_MS;
}

static void
keeper_free(struct keeper **k)
{
    pthread_mutex_destroy(&(*k)->lock);
    mem_free(k);
}

struct keeper *
keeper_start(struct gateway *gw)
{
    struct keeper *k = mem_new(sizeof *k);

    k->gw = gw;
    pthread_mutex_init(&k->lock, NULL);
    k->ticker = ticker_start("the leases of idempotency keys", renew_all, k);
    if (!k->ticker)
        keeper_free(&k);
    return k;
}

void
keeper_stop(struct keeper **k)
{
    if (!*k)
        return;
    ticker_stop(&(*k)->ticker);
    keeper_free(k);
}
