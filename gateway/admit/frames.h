/* Resumable streams in Redis, the gateway's side (frames.c); proto/frames.h draws what stands there. Each function is one trip,
 * and the same again when that fails where a stream hangs on it; without Redis (REDIS_URL) none is made and all fail. */
#ifndef GATEWAY_ADMIT_FRAMES_H
#define GATEWAY_ADMIT_FRAMES_H

#include "gateway/request/request.h"
#include "proto/frames.h"

struct frames { /* one stream */
    char key[FRAMES_KEY_MAX], text_key[FRAMES_KEY_MAX + 2];
    uint8_t session[32];     /* SHA-256 of its id */
    uint8_t who[32];         /* of the session and the key: nobody else may read it */
    char owner[56];          /* we, as the one who ends it: this gateway, and which of its readers */
    char of[FRAMES_KEY_MAX]; /* key of the flight whose text and reply are its own, too; "": none */
};

void frames_init(void);
/* The names of a message's stream, for this caller. */
void frames_name(const struct request *r, const struct uuid *message_id, const uint8_t session[32],
                 struct frames *f);
/* Before the client sees its first event. False: the stream cannot be resumed. */
bool frames_open(struct request *r, const struct frames *f, struct str state, struct str meta,
                 struct str sources);
/* Before the client sees the end: its last events and all of the text as it was shown. */
bool frames_close(struct request *r, const struct frames *f, struct str tail, struct str shown);
void frames_drop(struct request *r, const struct frames *f);
/* Its text and reply are another flight's from now on (f->of). */
void frames_refer(struct request *r, const struct frames *f);
/* The answer begins anew: the event restart has this number. */
bool frames_restart(struct request *r, const struct frames *f, int64_t base);
/* Its gateway died: this one ends it from now on. False: another one does, or it lives and is not to be passed over (force). */
bool frames_claim(struct request *r, const struct frames *f, struct str owner, bool force);
/* False: it was erased or stopped. Else seconds since somebody last read along at another connection; INT64_MAX: nobody did. While
 * Redis does not say, somebody does. */
bool frames_wanted(struct request *r, const struct frames *f, int64_t *unread_s);

/* May one more answer be made for a stream whose client has gone? As many as a quarter of the requests at once. True: frames_let
 * follows. */
bool frames_hold(struct request *r);
void frames_let(struct request *r);
/* Streams that this gateway reads from Redis. */
void frames_read_begin(struct request *r);
void frames_read_end(struct request *r);
int frames_read_count(const struct request *r);
bool frames_ending(const struct request *r); /* the drain's time is over */

enum frames_found { FRAMES_THERE, FRAMES_MISSING, FRAMES_AWAY }; /* AWAY: Redis does not say */
struct frames_view {
    bool owner_lives, writer_lives;
    int64_t base;
    struct str owner, writer;        /* instances; "" none */
    struct str text;                 /* as the model wrote it, from the offset that was asked for */
    struct str said;                 /* packed chat_rep; absent: not yet */
    enum err failed;                 /* instead of it */
    struct str tail, shown;          /* absent: not ended */
    struct str state, meta, sources; /* at the first look */
};
/* first: with state, meta, sources; a burst that Redis does not take at once is waited out, as by those who come to read along when
 * a gateway has died. Slices of *out live in the arena. */
enum frames_found frames_look(struct request *r, const struct frames *f, size_t from, bool first,
                              struct arena *a, struct frames_view *out);

/* Signs of life of this gateway, on a thread of their own. */
struct pulse;
struct pulse *pulse_start(struct gateway *gw); /* NULL after logging why */
void pulse_stop(struct pulse **p);

#endif
