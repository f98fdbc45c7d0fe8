/* The events of one stream of the chat API, numbered (events.c): what its client has, and what all have been shown. */
#ifndef GATEWAY_ASK_EVENTS_H
#define GATEWAY_ASK_EVENTS_H

#include "gateway/ask/ask.h"

struct events {
    struct question *q;
    int64_t next;     /* number of the next event */
    int64_t have;     /* the client has all up to this number; -1: nothing */
    int64_t base;     /* number of the last restart; 0: there was none */
    struct buf shown; /* of a resumable stream: the text since then; owned */
    size_t at;        /* bytes of it that a text which is told again has said so far */
    bool differs;     /* the text that is told again is another one */
    bool owns;        /* this gateway ends the stream: it goes on without its client for a while */
    bool left, holds; /* the client has gone; one of the places for such streams is ours */
    int64_t left_ms, asked_ms;
};

void events_init(struct events *e, struct question *q);
void events_free(struct events *e);
/* False: the client has gone (for good, when the stream is resumable). */
bool events_send(struct events *e, const char *event, struct str json);
bool events_text(struct events *e, struct str piece); /* a delta */
bool events_idle(struct events *e);
bool events_gone(struct events *e);
/* The text comes again from its beginning: what is shown already is compared, not sent. */
void events_again(struct events *e);
/* Another text comes: the client is told to forget the one that it has. */
bool events_restart(struct events *e, int64_t base);

#endif
