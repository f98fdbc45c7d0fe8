/* The begin of a question's turn, under way (begin.c). */
#ifndef GATEWAY_ASK_BEGINNING_H
#define GATEWAY_ASK_BEGINNING_H

#include "gateway/hub/hub.h"

struct ask_sink;

enum asked { ASKED_ANSWERED, ASKED_FAILED, ASKED_GONE };

struct beginning {
    struct call *call;                /* owned; NULL: not started, or let go */
    const struct turn_begin_rep *rep; /* in it; NULL: not known, or let go */
    const struct ask_sink *sink; /* is told when the turn is begun; NULL: nobody, or by whoever started it */
    int64_t waited_us;           /* the question's wait for it so far */
    bool runs;                   /* what becomes of it is not known yet */
    enum asked state;            /* what became of it */
};

#endif
