/* The events of one stream of the chat API (events.h). An event's id is <message_id>:<number>. Numbers grow: by one an event, and
 * of a resumable stream's delta by the bytes of its text, so that a number says which bytes its client has, however they were
 * cut into deltas at whichever gateway.
 *
 *   meta 0 · sources 1 · [restart b ·] delta 1 + bytes so far (b + bytes so far) … · citation … · done */
#include "gateway/ask/events.h"

#include <stdio.h>

#include "common/clock.h"

#define UNREAD_S 30 /* an answer is made so long for nobody */
#define ASK_MS 1000 /* how often Redis is asked whether somebody reads */

void
events_init(struct events *e, struct question *q)
{
    *e = (struct events){ .q = q, .have = -1, .shown = BUF_MAX(FRAMES_TEXT_MAX) };
}

void
events_free(struct events *e)
{
    if (e->holds)
        frames_let(e->q->r);
    e->holds = false;
    buf_free(&e->shown);
}

/* The client has gone. False: the stream goes on, in case it comes back. */
static bool
leave(struct events *e)
{
    if (!e->owns || !e->q->frames || frames_ending(e->q->r))
        return true;
    e->holds = e->holds || frames_hold(e->q->r);
    if (!e->holds)
        return true;
    e->left = true;
    e->left_ms = clock_ms();
    ask_stream_event(STREAM_LEFT);
    return false;
}

bool
events_gone(struct events *e)
{
    int64_t now = clock_ms(), unread_s;

    if (!e->left)
        return api_gone(e->q->r) && leave(e);
    if (frames_ending(e->q->r) || !e->q->frames)
        return true;
    if (now - e->asked_ms < ASK_MS)
        return false;
    e->asked_ms = now;
    return !frames_wanted(e->q->r, e->q->frames, &unread_s) ||
           (now - e->left_ms > UNREAD_S * 1000 && unread_s > UNREAD_S);
}

static bool
write_event(struct events *e, const char *event, int64_t number, struct str json)
{
    char id[64], message[37];

    if (e->left)
        return !events_gone(e);
    snprintf(id, sizeof id, "%s:%lld", uuid_text(&e->q->message_id, message), (long long)number);
    return stream_event(e->q->r, event, id, json) || !leave(e);
}

bool
events_send(struct events *e, const char *event, struct str json)
{
    int64_t number = e->next++;

    return number <= e->have || write_event(e, event, number, json);
}

bool
events_idle(struct events *e)
{
    if (e->left)
        return !events_gone(e);
    return stream_ping(e->q->r) || !leave(e);
}

/* The new part of a text that is told again; differs: there is none. */
static struct str
compare(struct events *e, struct str piece)
{
    size_t left = e->shown.n - e->at, n = piece.n < left ? piece.n : left;

    if (n > 0 && memcmp(e->shown.p + e->at, piece.p, n) != 0) {
        e->differs = true;
        return STR("");
    }
    e->at += n;
    return (struct str){ piece.p + n, piece.n - n };
}

/* The part of a text at this number that the client lacks: whole characters. */
static struct str
lacking(const struct events *e, struct str piece, int64_t number)
{
    size_t had = e->have < number ? 0 : (size_t)(e->have - number + 1);

    while (had < piece.n && ((unsigned char)piece.p[had] & 0xc0) == 0x80)
        had++;
    return had < piece.n ? (struct str){ piece.p + had, piece.n - had } : STR("");
}

bool
events_text(struct events *e, struct str piece)
{
    struct buf b = BUF_MAX(1048576);
    int64_t first = e->next, last;
    bool good = true;

    if (e->q->frames) {
        piece = e->differs ? STR("") : compare(e, piece);
        if (piece.n == 0)
            return true;
        buf_str(&e->shown, piece);
        e->at = e->shown.n;
    }
    e->next += e->q->frames ? (int64_t)piece.n : 1;
    last = e->next - 1;
    if (e->q->frames)
        piece = lacking(e, piece, first);
    if (piece.n > 0) {
        buf_c(&b, '{');
        buf_key_str(&b, "text", piece);
        buf_c(&b, '}');
        good = !b.failed && write_event(e, "delta", last, buf_slice(&b));
    }
    buf_free(&b);
    return good;
}

void
events_again(struct events *e)
{
    e->at = 0;
    e->differs = false;
}

bool
events_restart(struct events *e, int64_t base)
{
    e->base = e->next = base;
    buf_reset(&e->shown);
    events_again(e);
    return events_send(e, "restart", STR("{}"));
}
