/* A question's part in its flight (fly.c). */
#ifndef GATEWAY_ASK_FLYING_H
#define GATEWAY_ASK_FLYING_H

#include "gateway/ask/flight.h"

struct flying {
    struct flight *flight;      /* NULL: none */
    struct follower me;         /* when it follows */
    struct flight_lease *lease; /* when it leads, and Redis knows of it; else NULL */
    bool leads;                 /* others may be waiting for its answer */
    bool follows;               /* its answer is the leader's */
    bool open, said;            /* it leads: its passages are relayed; its reply is */
    bool orphan;                /* it follows, and its leader is dead */
    bool erased;                /* its session was, while it waited */
    bool announced;             /* its reader has seen the passages */
    bool again, differs;        /* the text is told again; and is another one than was shown */
    size_t at;                  /* bytes that were told again so far */
    int tries;                  /* flights that it has followed in vain */
    uint8_t state[32];          /* SHA-256 of the passages that were announced */
    struct str reply;           /* packed chat_rep; absent: not yet */
};

#endif
