/* Resumable streams in Redis (docs/decisions/035-resumable-streams.md): the names that a gateway and an embedder share.
 *
 *   fn:f:<tenant>:<message>     hash: who may read it, what another gateway needs to end it, and later its end
 *     who      SHA-256 of session and key            owner   gateway that answers the question, and for which reader
 *     state    stream_state                          writer  embedder that writes the text, and which of its texts
 *     meta, sources   the first two events           base    number of the event restart; 0: there was none
 *     said, failed    the writer's reply             read    when somebody last read along, seconds
 *     of       the key of the flight whose text and reply are its own, while it has no writer: docs/decisions/042
 *     tail, shown     of a stream that has ended: its last events, and the text as it was shown
 *   fn:f:<tenant>:<message>:t   text as the model wrote it, so far
 *   fn:f:<tenant>:l:<id>        the same, of a flight: an answer that many asked for, without events (gateway/admit/flight_lease.c)
 *   fn:f:<tenant>:s:<session>   set of a session's hashes and texts
 *   fn:f:<tenant>:x:<mark>      when a session was erased, ms: no stream of a question that was asked before is opened after it
 *   fn:f:erased                 sorted set of these keys of the last 10 s, by that time
 *   fn:f:life                   name of these data, which whoever misses it makes up: data that were lost have another one
 *   fn:fs                       sorted set of the hashes by the time at which they expire
 *   fn:fb:<instance>            there while that gateway or embedder lives
 *
 * The gateway opens the hash before its client sees an event; the embedder adds text and reply. Neither makes again what was
 * deleted: a session that is erased takes its streams along. */
#ifndef PROTO_FRAMES_H
#define PROTO_FRAMES_H

#define FRAMES_KEY_MAX 160       /* bytes of the hash's key, with its NUL */
#define FRAMES_KEPT_S 300        /* after the end */
#define FRAMES_LONGEST_S 900     /* from the beginning: the longest stream, and FRAMES_KEPT_S */
#define FRAMES_STATE_MAX 262144u /* bytes of a state; one with more is not resumable */
#define FRAMES_TEXT_MAX 131072u  /* bytes of a text, likewise */
#define FRAMES_TAIL_MAX 262144u  /* bytes of the last events, likewise */
#define FRAMES_BEAT_MS 500       /* signs of life */
#define FRAMES_DEAD_MS 2000      /* a gateway that gave none for so long is dead */
#define FRAMES_MUTE_MS 6000      /* an embedder; the model is asked again then, which costs */
#define FRAMES_INDEX "fn:fs"
#define FRAMES_ERASED "fn:f:erased"
#define FRAMES_LIFE "fn:f:life"

#endif
