/* The blame for a lost worker (blame.c has the rules), and the keys that stay out. */
#ifndef GATEWAY_HUB_BLAME_H
#define GATEWAY_HUB_BLAME_H

#include <stdbool.h>
#include <stdint.h>

#define MOVES_MAX 4  /* lost workers that one request outlives, whoever is to blame */
#define HOLD_MS 1000 /* for a worker to show that it lives (it comes back after 10 to 250 ms) */

struct core;
struct attempt;
struct hub_request;
struct hub_worker;

/* The ways to lose a worker, or its answer. From CLOSED on the request may be to blame, and is struck. */
enum loss {
    LOSS_LEFT, /* it said so, or was sent off for something else */
    LOSS_LINK, /* a message came that is none, or the worker has a new connection: the way there is to blame */
    LOSS_CLOSED,  /* it died, or its connection broke; which of both shows when it comes back */
    LOSS_SILENT,  /* it hangs */
    LOSS_GARBLED, /* its answer is no answer */
};

struct ban { /* a key that misbehaved */
    uint64_t identity;
    int64_t since_ms; /* first malformed message of its minute */
    int64_t until_ms; /* it stays out until then */
    int count;
};

struct strike {       /* against a request */
    uint8_t life[16]; /* of the worker */
    bool firm;        /* coming back does not take it back */
};

/* The worker w of a request's last attempt is lost, or its answer is; the attempt has returned. Moves the
 * request, holds it or ends it. */
void request_lost(struct core *c, int64_t now, const struct attempt *a, const struct hub_worker *w,
                  enum loss how);
void request_condemn(struct core *c, struct hub_request *r); /* it is poison */
/* That worker lives: what it lost, its connection lost. */
void life_pardon(struct core *c, int64_t now, const uint8_t life[16]);
/* A key misbehaved; with three strikes in a minute it stays out for a minute. */
void key_blame(struct core *c, int64_t now, uint64_t identity, int strikes);
bool key_is_banned(const struct core *c, int64_t now, uint64_t identity);

#endif
