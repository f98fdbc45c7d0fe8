/* Answers that sessions share (share.h; docs/decisions/037). With QUERY_CACHE_SCOPE=collection, or a collection's own cache_scope, a
 * question may get the answer that another session got to the same one:
 *
 *   miss of the session's own ─▶ look (Redis) ─▶ turn.begin: does the message that it comes from still stand? ─▶ taken: own ids,
 *                                     │                     └─ erased: forgotten, and the question goes its usual way
 *                                     └─ none ─▶ … ─▶ saved ─▶ kept for others
 *
 * A question may share when its text alone shapes the answer: it stands for itself, with no page, selection or filter, from a caller
 * who may ask all collections of the tenant, or none but the open ones. The key is the usual one (parse.c), with the wording in
 * place of the text and the collection in place of the session, so that all else that shapes an answer is compared, too. The store
 * decides whether a copy is made, in the transaction that begins the turn: an answer that was erased is given to nobody from
 * then on, whatever Redis has kept. A shared value tells nothing of the session that it comes from but the id of its message. */
#include "gateway/ask/share.h"

#include "common/clock.h"
#include "gateway/admit/auth.h"
#include "gateway/admit/cache_shared.h"
#include "gateway/admit/cache_write.h"
#include "gateway/ask/fly.h"
#include "proto/answer.h"
#include "text/wording.h"

#define TRIES 3 /* flights that a question waits for */

static bool
may_share(const struct question *q)
{
    const struct str own[] = { q->page_context, q->selection, q->chapter, q->section, q->filter };
    struct str scope = q->settings ? q->settings->cache_scope : STR_NONE;

    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i].n > 0)
            return false;
    if (scope.n == 0)
        scope = api_cache_scope(q->r);
    return q->probe.key[0] && !api_restricted(q->r) &&
           (str_is(scope, CACHE_SCOPE_COLLECTION) || str_is(scope, CACHE_SCOPE_SEMANTIC));
}

void
ask_share_name(const struct question *q, struct str text, struct cache_probe *probe)
{
    struct str whose = str_of(arena_printf(q->r->arena, CACHE_SCOPE_COLLECTION " %s",
                                           language_code(q->semantic.language)));
    struct buf wording = BUF_MAX(131072);

    wording_add(text, q->semantic.language, &wording);
    if (whose.p && !wording.failed)
        ask_probe_name(q, buf_slice(&wording), whose, probe);
    buf_free(&wording);
}

/* Fill q->share. */
static void
name(struct question *q)
{
    struct str code = q->settings ? q->settings->language : STR_NONE;

    q->semantic.language = ask_language(code, q->text);
    q->share.epoch = q->probe.epoch;
    ask_share_name(q, q->text, &q->share);
}

static enum share_event
look(struct question *q)
{
    static const enum share_event events[] = {
        [CACHE_HIT] = SHARE_HIT, [CACHE_MISS] = SHARE_MISS,     [CACHE_STALE] = SHARE_STALE,
        [CACHE_BAD] = SHARE_BAD, [CACHE_COLLISION] = SHARE_BAD, [CACHE_BYPASS] = SHARE_AWAY,
    };
    struct turn_finish_req *t = arena_alloc(q->r->arena, sizeof *t);
    struct str value;
    enum cache_outcome how = cache_look_shared(q->r, &q->share, &value);

    if (how != CACHE_HIT)
        return events[how];
    if (!t || answer_read(value, q->r->arena, NULL, NULL, NULL, t) != ERR_OK)
        return SHARE_BAD;
    q->copied = t;
    return SHARE_HIT;
}

/* Somebody may be asking the same just now, here or at another gateway. */
static enum share_event
look_again(struct question *q, bool stream, bool away)
{
    int64_t until = clock_ms() +
                    (q->r->deadline_ms - clock_ms()) / 2; /* then there is time left to ask for oneself */
    enum share_event e = away ? SHARE_AWAY : SHARE_MISS;

    for (int i = 0; i < TRIES; i++) {
        if (fly_join(q, stream, !stream && !away))
            return away ? e : look(q); /* the last one may have landed just before */
        if (i == 0)
            ask_share_event(SHARE_WAITED);
        if (fly_await(q, until) != FLY_OVER)
            break;
        if ((e = look(q)) != SHARE_MISS)
            return e;
    }
    return e;
}

void
ask_share_look(struct question *q, bool stream)
{
    int64_t since = clock_us();
    enum share_event e;

    if (!may_share(q))
        return;
    name(q);
    if (q->share.key[0] == 0)
        return;
    e = look(q);
    /* in a burst Redis may be too slow for one look, while it relays an answer to all */
    if (e == SHARE_MISS || e == SHARE_AWAY)
        e = look_again(q, stream, e == SHARE_AWAY);
    /* who follows needs none: of many that ask the same, one looks */
    if ((e == SHARE_MISS || e == SHARE_STALE) && !q->flying.follows && ask_semantic_look(q)) {
        fly_end(q); /* its answer is not kept under this key: who waits for it looks for an own one */
        q->flying.lease = NULL;
        q->trace.us[STAGE_CACHE] += clock_us() - since - q->trace.us[STAGE_EMBED];
        return;
    }
    if (e != SHARE_HIT) /* a hit is one when the store has said so */
        ask_share_event(e);
    q->trace.us[STAGE_CACHE] += clock_us() - since - q->trace.us[STAGE_EMBED];
}

void
ask_share_take(struct question *q)
{
    const struct turn_finish_req *t = q->copied;
    bool near = q->semantic.origin.key[0] != '\0', stands = q->begin.rep->stands;

    if (!near)
        ask_share_event(stands ? SHARE_HIT : SHARE_GONE);
    if (!stands) {
        q->copied = NULL;
        cache_drop(q->r, near ? &q->semantic.origin : &q->share);
    }
    if (near)
        ask_semantic_taken(q, stands);
    if (!stands)
        return;
    ask_copy(q, t);
    for (size_t i = 0; i < t->citations.n; i++)
        t->citations.v[i].id = ask_citation_id(&q->message_id, t->citations.v[i].n);
    request_header_set(q->r, "X-Cache", near ? "semantic" : "hit");
}

/* Only what the store has: it is asked for it before each copy. */
void
ask_share_keep(struct question *q, const struct turn_finish_req *t)
{
    static const char nobody[32];
    struct turn_finish_req bare = *t;
    struct buf value = BUF_MAX(ANSWER_MAX);

    if (q->share.key[0] == 0 || q->saved != SAVED_YES)
        return;
    bare.session = (struct str){ nobody, sizeof nobody };
    bare.conversation_id = (struct uuid){ 0 };
    bare.question_id = t->message_id;
    bare.trace = ask_trace_json(q, false);
    if (q->semantic.code)
        bare.question = q->text; /* for the gate of near questions; shown to nobody */
    if (answer_pack(q->share.sha256, q->share.epoch, STR(""), &bare, &value) == ERR_OK)
        cache_store(q->r, q->session_hash, &q->share, buf_slice(&value));
    ask_semantic_keep(q);
    buf_free(&value);
}
