/* A stream that is read at another connection than the one that asked for it (follow.c). */
#ifndef GATEWAY_ASK_FOLLOW_H
#define GATEWAY_ASK_FOLLOW_H

#include "gateway/ask/events.h"

/* A resumable stream, before its first event: q->frames, or NULL when it cannot be kept. meta, sources: its first events. */
bool ask_keep_frames(struct question *q, struct str meta, struct str sources);
/* The question of a stream that is in Redis. False: it holds none, or not a good one. */
bool ask_restore(struct question *q, struct str state);
/* From the text on, until the end. It was told elsewhere: *ended. Else this gateway has the answer, as after ask_run. */
enum asked ask_follow(struct question *q, struct events *e, bool *ended);
/* The last events, as Redis has them; how many numbers they take. false: the client has gone. */
bool events_tail(struct events *e, struct str tail);
int64_t tail_count(struct str tail);

#endif
