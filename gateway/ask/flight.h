/* Flights of this gateway (flight.c): questions that get one answer and are asked at the same time. Thread-safe. */
#ifndef GATEWAY_ASK_FLIGHT_H
#define GATEWAY_ASK_FLIGHT_H

#include "gateway/admit/flight_lease.h"

struct flight; /* one; gone with the last who leaves it */

/* One who follows, and how much it has read. */
struct follower {
    struct flight *flight;
    bool whole; /* it does not read along: passages and reply are enough */
    bool state; /* it has the passages */
    bool said;  /* and the reply */
    size_t text;
};

enum flight_sign {
    FLIGHT_IDLE, /* the time has come, and nothing else */
    FLIGHT_NEWS, /* flight_read has something */
    FLIGHT_LOOK, /* the caller looks in Redis for all of them: flight_look_end follows */
    FLIGHT_OVER, /* no more comes */
};

/* The news of a look in Redis. */
struct flight_found {
    struct str state, text, said; /* absent: nothing new */
    bool over;                    /* no more comes */
    bool bare;                    /* until the end nothing comes */
    bool away;                    /* Redis did not say */
    bool orphan;                  /* the leader is dead: its followers keep the answer */
};

/* key: SHA-256 of all that shapes the answer. *first: nobody here asks this just now, so the caller finds out who leads: flight_set follows.
 * flight_leave follows in any case. */
struct flight *flight_join(const uint8_t key[32], bool *first);
/* Who leads is known: l is copied. NULL: the caller, and Redis knows nothing of it; its followers wait for its end. */
void flight_set(struct flight *f, const struct flight_lease *l);
const struct flight_lease *
flight_lease(const struct flight *f); /* for those who look, or have read something */
/* The leader has ended, or nobody is to join any more: the next one who asks is the first again. */
void flight_land(struct flight *f);
void flight_leave(struct flight **f, struct follower *me); /* me: NULL for who does not follow */

enum flight_sign flight_wait(struct follower *me, int64_t until_ms);
/* The news for this one: the slices of *out are copies in the arena, or absent. over and orphan are as they are. */
void flight_read(struct follower *me, struct arena *a, struct flight_found *out);
size_t flight_known(const struct follower *me,
                    bool *state); /* the bytes of text, and whether the passages are there */
void flight_look_end(struct follower *me, const struct flight_found *found, int pause_ms);

#endif
