/* Shared by the tests of the question path: fake neighbours, in whose place the functions below stand.
 * world says how they behave and notes what was asked of whom, in which order, what was saved and cached,
 * and what the client got. */
#ifndef TESTS_UNIT_GATEWAY_ASKKIT_H
#define TESTS_UNIT_GATEWAY_ASKKIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "common/clock.h"
#include "common/digest.h"
#include "gateway/admit/budget.h"
#include "gateway/admit/lease.h"
#include "gateway/ask/ask.h"
#include "gateway/admit/auth.h"
#include "gateway/admit/cache_shared.h"
#include "gateway/admit/cache_write.h"
#include "gateway/admit/erased.h"
#include "gateway/admit/flight_lease.h"
#include "gateway/edge/http.h"
#include "gateway/request/viewer.h"
#include "gateway/watch/epochs.h"
#include "proto/answer.h"
#include "proto/selection.h"

#define SESSION "6f1d2c3a-8e4b-4c5d-9e6f-7a8b9c0d1e2f"
#define ASKED "{\"question\":\"  How long is an answer kept? \",\"session_id\":\"" SESSION "\"}"

struct call {
    enum kind kind;
    int part; /* parts given so far */
};

static struct world {
    enum err fail[KIND_COUNT]; /* what a service answers instead */
    enum kind order[32];
    size_t n_order;
    size_t hits; /* passages found */
    bool away;   /* … by words only, since the search engine is away */
    bool refused, uncited, degraded, redis_down, epoch_known, save_hits, cached, appended, gone;
    int parts_lost;   /* of the model's, from the end */
    int streams_left; /* writes before the client goes; -1: never */
    int64_t epoch, index_seq;
    struct turn turns[2];
    size_t n_turns;
    struct buf value;         /* what cache_store was given */
    char value_key[128];      /* and for which key */
    struct cache_probe probe; /* as admit saw it */
    struct buf shared;        /* what cache_store was given for all sessions */
    char shared_key[128];     /* and for which key */
    struct cache_probe share; /* as cache_look_shared saw it */
    bool shares;              /* QUERY_CACHE_SCOPE=collection */
    bool restricted;          /* the key is, to collections */
    bool stands;              /* TURN_BEGIN: the answer to be copied does */
    bool slow;                /* TURN_BEGIN: it is not there before somebody waits for nothing else */
    bool known;               /* TURN_BEGIN: it was there */
    int looks;                /* TURN_BEGIN: how often somebody looked before that */
    int embed_ms;             /* EMBED_FREE: how often it is looked for in vain */
    bool paid, old;           /* EMBED_FREE: it would be paid for; nobody knows such calls */
    struct uuid wanted;       /* TURN_BEGIN: that answer */
    int shared_stored, dropped, shared_looks;
    bool semantic, sampled,
        switched_off; /* SEMANTIC_CACHE; each near answer is checked; its checks have switched it off */
    int ring_added, ring_looks, agreed, differed;
    const char *x_cache; /* header, as it was set */
    struct buf turn;     /* as admit or turns_append saw it */
    int admitted, stored, queued, freed, opened;
    int stored_by;         /* cache_store: how often before the finish was waited for */
    int taken_back;        /* cache_take_back */
    struct buf searched;   /* SEARCH's query and context */
    struct buf embedded;   /* EMBED's text */
    struct hit place;      /* where the selection stands; start == end: nowhere */
    struct hit first;      /* CHAT's first passage */
    struct buf first_text; /* its text */
    size_t chat_hits;
    bool selected, carried;      /* CHAT's */
    struct buf stored_selection; /* TURN_BEGIN's */
    bool had_vector;
    struct buf finished;   /* TURN_FINISH: status and answer */
    struct buf trace;      /* TURN_FINISH: how the answer came about */
    struct uuid origin_id; /* TURN_FINISH: what it was copied from */
    bool finish_has_question;
    int status; /* of the answer */
    struct buf body, events;
    char pointer[64];
    enum err problem;
    const char *idem_key;        /* header */
    struct idem_claim_rep claim; /* what the store says to a claim */
    struct buf kept;             /* idem_body, as turn.finish or idem.finish had it */
    int64_t kept_status, retry_ms;
    struct uuid question_id, message_id, holder;
    bool replayed;
    struct collection collection;
    bool has_collection;
    char model[16];         /* that was asked for by name; "": none was */
    struct str own, others; /* the embedder's model; one that it has besides */
    int64_t search_after;
    struct hub_view view; /* of the hub */
    bool flies;           /* Redis knows of flights: this question leads one, and others read along */
    int landed;           /* flight_lease_end: how often with an answer */
    const char *open_end; /* the model's text goes on so */
} w;

static struct uuid conversation, document, chunk;

/* ---- the hub */

static void *
reply_of(enum kind kind)
{
    static struct hit hits[3];
    static struct turn_begin_rep begun;
    static struct embed_rep embedded = {
        .model = { "m", 1 }, .dims = 1, .vectors = { "\0\0\x80\x3f", 4 }, .cached = 1
    };
    static struct search_rep found;
    static struct chat_rep said;
    static char text[64];
    static struct ack ack = { .count = 1 };
    static struct document_text_rep bytes = { .text = { "kept **for** one", 16 }, .bytes = 100 };

    begun = (struct turn_begin_rep){ .conversation_id = conversation, .stands = w.stands };
    begun.history.v = w.turns;
    begun.history.n = w.n_turns;
    for (int i = 0; i < 3; i++)
        hits[i] = (struct hit){ .chunk_id = chunk,
                                .document_id = document,
                                .collection = STR("docs"),
                                .text = STR("Answers are kept for one hour."),
                                .end = 30,
                                .score = 0.9 };
    found.hits.v = hits;
    found.hits.n = w.hits;
    found.seq = w.index_seq;
    found.degraded = w.away;
    found.selected.v = &w.place;
    found.selected.n = w.place.end > w.place.start;
    (void)snprintf(text, sizeof text, "For one hour [1].%s", w.open_end ? w.open_end : "");
    said = (struct chat_rep){ .text = w.uncited ? STR("For a while.") : str_of(text),
                              .model = STR("gpt"),
                              .prompt_tokens = 10,
                              .completion_tokens = 5,
                              .refused = w.refused,
                              .degraded = w.degraded };
    switch (kind) {
    case KIND_IDEM_CLAIM: return &w.claim;
    case KIND_TURN_BEGIN: return &begun;
    case KIND_EMBED:
    case KIND_EMBED_FREE:
        embedded.model = w.model[0] && str_is(w.others, w.model) ? w.others : w.own.n ? w.own : STR("m");
        embedded.dims = kind == KIND_EMBED || !w.paid;
        embedded.vectors = embedded.dims ? (struct str){ "\0\0\x80\x3f", 4 } : STR(""); /* 1 */
        return &embedded;
    case KIND_SEARCH: return &found;
    case KIND_CHAT: return &said;
    case KIND_DOCUMENT_TEXT: return &bytes;
    default: return &ack;
    }
}

static void
keep(struct str body, int64_t status)
{
    buf_reset(&w.kept);
    buf_str(&w.kept, body);
    w.kept_status = status;
}

static void
look_idem(enum kind kind, const void *req)
{
    const struct idem_claim_req *c = req;
    const struct idem_finish_req *f = req;
    const struct turn_begin_req *b = req;
    const struct turn_finish_req *t = req;

    if (kind == KIND_IDEM_CLAIM) {
        w.holder = c->holder;
        assert_true(c->lease_ms >= 1000 && c->key.n == 64);
    } else if (kind == KIND_IDEM_FINISH) {
        keep(f->body, f->status);
        assert_true(uuid_eq(&f->holder, &w.holder));
    } else if (kind == KIND_TURN_BEGIN) {
        w.question_id = b->question_id;
        w.message_id = b->message_id;
        assert_true(uuid_eq(&b->idem_holder, &w.holder));
    } else if (kind == KIND_TURN_FINISH && t->idem_key.p) {
        keep(t->idem_body, t->idem_status);
        assert_true(uuid_eq(&t->idem_holder, &w.holder));
    }
}

static void
look_chat(const struct chat_req *c)
{
    w.selected = c->selected;
    w.carried = c->carried;
    w.chat_hits = c->hits.n;
    if (c->hits.n == 0)
        return;
    w.first = c->hits.v[0];
    buf_reset(&w.first_text);
    buf_str(&w.first_text, w.first.text);
}

static void
look(enum kind kind, const void *req)
{
    const struct embed_req *e = req;
    const struct search_req *s = req;
    const struct turn_begin_req *b = req;
    const struct turn_finish_req *t = req;

    look_idem(kind, req);
    if (kind == KIND_CHAT)
        look_chat(req);
    if (kind == KIND_TURN_BEGIN) {
        w.wanted = b->origin_id;
        buf_str(&w.stored_selection, b->selection);
    }
    if (kind == KIND_EMBED || kind == KIND_EMBED_FREE) {
        buf_reset(&w.embedded);
        buf_str(&w.embedded, e->texts.v[0]);
        (void)snprintf(w.model, sizeof w.model, STR_FMT, STR_ARG(e->model));
    }
    if (kind == KIND_SEARCH) {
        buf_str(&w.searched, s->query);
        buf_c(&w.searched, '|');
        buf_str(&w.searched, s->context);
        w.had_vector = s->vector.n > 0;
        w.search_after = s->after;
    } else if (kind == KIND_TURN_FINISH) {
        buf_str(&w.finished, t->status);
        buf_c(&w.finished, ' ');
        buf_str(&w.finished, t->answer);
        buf_reset(&w.trace);
        buf_str(&w.trace, t->trace);
        w.origin_id = t->origin_id;
        w.finish_has_question = t->question.p != NULL;
    }
}

static const char *asker = "default"; /* tenant of who asks */
static bool by_key;                   /* with a key */

struct call *
hub_call(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace,
         int64_t deadline_ms)
{
    struct call *q = calloc(1, sizeof *q);
    struct buf wire = BUF_MAX(1 << 20);

    (void)h;
    assert_string_equal(tenant, asker);
    assert_string_equal(trace, "req-1");
    assert_true(deadline_ms > clock_ms());
    assert_int_equal(msg_encode(kinds[kind].req(), req, &wire), ERR_OK);
    buf_free(&wire);
    if ((kind == KIND_EMBED && !w.semantic) || kind == KIND_CHAT)
        assert_true(
            w.known &&
            !w.fail[KIND_TURN_BEGIN]); /* a model may be paid; near questions need their vector before */
    q->kind = kind;
    w.order[w.n_order++] = kind;
    w.opened++;
    look(kind, req);
    return q;
}

/* Nobody here has a budget. */
bool
budget_on(struct request *r)
{
    (void)r;
    return false;
}
enum err
budget_look(struct request *r, struct outcome *out)
{
    (void)r;
    (void)out;
    return ERR_OK;
}
enum err
budget_hold(struct request *r, enum kind quote, const void *req, struct paying *p, struct outcome *out)
{
    (void)r;
    (void)quote;
    (void)req;
    (void)out;
    *p = (struct paying){ 0 };
    return ERR_OK;
}
void
budget_paid(struct request *r, const struct paying *p, int64_t in, int64_t out)
{
    (void)r;
    (void)p;
    (void)in;
    (void)out;
}
void
budget_unsure(struct request *r, const struct paying *p)
{
    (void)r;
    (void)p;
}
enum err
budget_call(struct request *r, struct held *h, enum kind kind, const void *req, int64_t deadline_ms,
            struct outcome *out)
{
    return api_call(r, h, kind, req, deadline_ms, out);
}

struct call *
hub_call_once(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace,
              int64_t deadline_ms)
{
    return hub_call(h, kind, req, tenant, trace, deadline_ms);
}

enum call_event
call_wait(struct call *q, int64_t wake_ms, struct outcome *out)
{
    static const struct chat_part parts[2] = { { .text = { "For one ", 8 } },
                                               { .text = { "hour [1].", 9 } } };

    memset(out, 0, sizeof *out);
    out->text = "";
    if (q->kind == KIND_CHAT && q->part < 2 - w.parts_lost &&
        (!w.fail[KIND_CHAT] || w.fail[KIND_CHAT] == ERR_UPSTREAM_CUT)) {
        out->msg = &parts[q->part++];
        return CALL_PART;
    }
    if (q->kind == KIND_CHAT && w.gone)
        return CALL_IDLE;
    if (q->kind == KIND_TURN_BEGIN) {
        w.known = !w.slow || wake_ms == INT64_MAX;
        w.looks += !w.known;
        if (!w.known)
            return CALL_IDLE;
    }
    if (q->kind == KIND_TURN_FINISH)
        w.stored_by = w.stored;
    if (q->kind == KIND_EMBED_FREE && w.embed_ms > 0) {
        assert_true(wake_ms <= clock_ms() + 100); /* the begin is looked after meanwhile */
        w.embed_ms--;
        return CALL_IDLE;
    }
    if (q->kind == KIND_EMBED_FREE && w.old)
        w.fail[q->kind] = ERR_UNSUPPORTED;
    out->err = w.fail[q->kind];
    out->msg = out->err ? NULL : reply_of(q->kind);
    return CALL_DONE;
}

void
call_free(struct call **q)
{
    w.freed += *q != NULL;
    free(*q);
    *q = NULL;
}

enum err
call_once(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace,
          int64_t deadline_ms, struct call **q, struct outcome *out)
{
    *q = hub_call(h, kind, req, tenant, trace, deadline_ms);
    while (call_wait(*q, INT64_MAX, out) == CALL_PART)
        ;
    return out->err;
}

/* ---- the edge */

struct hub *
api_hub(const struct request *r)
{
    (void)r;
    return NULL;
}
void
hub_look(struct hub *h, struct hub_view *out)
{
    (void)h;
    *out = w.view;
}
struct str
api_secret(const struct request *r)
{
    (void)r;
    return STR("secret");
}
struct str
api_cache_scope(const struct request *r)
{
    (void)r;
    return w.shares ? STR(CACHE_SCOPE_COLLECTION) : STR(CACHE_SCOPE_SESSION);
}
bool
api_save_hits(const struct request *r)
{
    (void)r;
    return w.save_hits;
}
int64_t
api_stream_ms(const struct request *r)
{
    (void)r;
    return 120000;
}
int64_t
api_expiry_days(const struct request *r)
{
    (void)r;
    return 30;
}
struct str
api_first_collection(const struct request *r)
{
    (void)r;
    return STR_NONE;
}
struct str
api_link_hosts(const struct request *r)
{
    (void)r;
    return STR("");
}

void
answer_rules(const struct request *r, struct link_rules *rules)
{
    static const struct names none;

    (void)r;
    *rules = (struct link_rules){ .hosts = &none, .public_url = "https://docs.example" };
}

struct viewer
viewer_of(const struct request *r, const uint8_t session[32])
{
    return (struct viewer){ .session = session,
                            .base = "https://docs.example",
                            .until = 2000000000,
                            .kind = r->who.anonymous ? 'c' : 'd' };
}

bool
api_gone(const struct request *r)
{
    (void)r;
    return w.gone;
}
void
idem_keep(struct request *r)
{
    (void)r;
} /* nobody is that slow here */
void
idem_unkeep(struct request *r)
{
    (void)r;
}

void
api_problem(struct request *r, enum err e, const char *detail, struct buf *b)
{
    (void)r;
    (void)detail;
    buf_c(b, '{');
    buf_key_str(b, "code", str_of(err_name(e)));
    buf_c(b, '}');
}

struct str
request_header(const struct request *r, const char *name)
{
    (void)r;
    return strcmp(name, "Idempotency-Key") == 0 && w.idem_key ? str_of(w.idem_key) : STR_NONE;
}

const char *
request_query(const struct request *r)
{
    (void)r;
    return NULL;
}
void
request_retry_after(struct request *r, int64_t ms)
{
    (void)r;
    w.retry_ms = ms;
}
struct str
request_param(struct request *r, const char *name)
{
    (void)r;
    (void)name;
    return STR_NONE;
}

void
request_header_add(struct request *r, const char *n, const char *v)
{
    (void)r;
    w.replayed = w.replayed || (strcmp(n, "Idempotency-Replayed") == 0 && strcmp(v, "true") == 0);
}

void
request_header_set(struct request *r, const char *n, const char *v)
{
    (void)r;
    assert_string_equal(n, "X-Cache");
    w.x_cache = v;
}

json_t *
request_json(struct request *r, const char *const *keys)
{
    enum json_fault fault;
    const char *detail;

    (void)keys;
    return json_read(r->body, &fault, &detail);
}

void
session_digest(const struct uuid *id, uint8_t hash[32])
{
    char text[37];
    struct str s = str_of(uuid_text(id, text));

    sha256(&s, 1, hash);
}

bool
request_session(struct request *r, struct str given, struct uuid *id, uint8_t hash[32])
{
    (void)r;
    assert_true(uuid_parse(given, id));
    session_digest(id, hash);
    return true;
}

void
reply_json(struct request *r, int status, struct str body)
{
    assert_int_equal(w.status, 0); /* exactly one answer */
    idem_settle(r, status, body);
    w.status = status;
    buf_str(&w.body, body);
}

void
reply_bytes(struct request *r, int status, const char *type, struct str body)
{
    assert_string_equal(type, status < 400 ? "application/json" : "application/problem+json");
    reply_json(r, status, body);
}

void
reply_problem(struct request *r, enum err e, const char *detail)
{
    (void)detail;
    reply_json(r, err_http(e), STR(""));
    w.problem = e;
}

void
reply_invalid(struct request *r, const char *pointer, const char *detail)
{
    assert_true(strlen(detail) > 0);
    reply_problem(r, ERR_VALIDATION, detail);
    snprintf(w.pointer, sizeof w.pointer, "%s", pointer);
}

void
reply_outcome(struct request *r, const struct outcome *a)
{
    w.retry_ms = a->retry_after_ms;
    reply_problem(r, a->err, a->text);
}

static bool
written(void)
{
    if (w.streams_left == 0)
        return false;
    w.streams_left -= w.streams_left > 0;
    return true;
}

bool
stream_begin(struct request *r)
{
    (void)r;
    return written();
}
bool
stream_ping(struct request *r)
{
    (void)r;
    return written();
}
void
stream_rest(const struct request *r)
{
    (void)r;
}

void
stream_end(struct request *r)
{
    (void)r;
    buf_z(&w.events, "end");
}

bool
stream_event(struct request *r, const char *event, const char *id, struct str json)
{
    enum json_fault fault;
    const char *detail;
    json_t *o = json_read(json, &fault, &detail);

    (void)r;
    assert_non_null(o);
    json_decref(o);
    assert_non_null(strchr(id, ':'));
    buf_printf(&w.events, "%s ", event);
    if (strcmp(event, "done") == 0)
        buf_str(&w.body, json);
    return written();
}

static bool
is_cached(const struct cache_probe *probe)
{
    return w.cached && probe->key[0] && w.value.n > 0 && strcmp(probe->key, w.value_key) == 0;
}

bool
admit(struct request *r, const uint8_t *session_hash, const struct cache_probe *probe, struct cache_hit *hit)
{
    (void)session_hash;
    w.admitted++;
    if (!probe)
        return true;
    w.probe = *probe;
    buf_str(&w.turn, probe->turn);
    if (is_cached(probe))
        *hit = (struct cache_hit){ true, w.appended && probe->turn.p,
                                   arena_str(r->arena, buf_slice(&w.value)), "hit" };
    return true;
}

void
cache_look(struct request *r, const struct cache_probe *probe, struct cache_hit *hit)
{
    assert_int_equal(w.order[0], KIND_IDEM_CLAIM); /* the key comes before the cache */
    assert_null(probe->turn.p);
    w.probe = *probe;
    if (is_cached(probe))
        *hit = (struct cache_hit){ .hit = true, .value = arena_str(r->arena, buf_slice(&w.value)) };
}

void
cache_store(struct request *r, const uint8_t *session_hash, const struct cache_probe *probe, struct str value)
{
    (void)r;
    (void)session_hash;
    if (w.share.key[0] && strcmp(probe->key, w.share.key) == 0) {
        w.shared_stored++;
        buf_reset(&w.shared);
        buf_str(&w.shared, value);
        memcpy(w.shared_key, probe->key, sizeof w.shared_key);
        return;
    }
    assert_string_equal(probe->key, w.probe.key);
    w.stored++;
    buf_reset(&w.value);
    buf_str(&w.value, value);
    (void)snprintf(w.value_key, sizeof w.value_key, "%s", probe->key);
}

enum cache_outcome
cache_look_shared(struct request *r, const struct cache_probe *probe, struct str *value)
{
    w.share = *probe;
    w.shared_looks++;
    *value = STR_NONE;
    if (w.shared.n == 0 || strcmp(probe->key, w.shared_key) != 0)
        return CACHE_MISS;
    *value = arena_str(r->arena, buf_slice(&w.shared));
    return CACHE_HIT;
}

/* ---- near-identical questions: the one that was kept is like every other one */

bool
semantic_on(const struct request *r)
{
    (void)r;
    return w.semantic;
}

double
semantic_threshold(const struct request *r)
{
    (void)r;
    return .5;
}

bool
semantic_sampled(const struct request *r)
{
    (void)r;
    return w.sampled;
}

void
semantic_ring_name(const struct request *r, struct str collection, struct semantic_ring *ring)
{
    (void)r;
    (void)ring;
    assert_true(collection.n > 0);
}

enum semantic_look
semantic_ring_look(struct request *r, const struct semantic_ring *ring, const int8_t *code, double least,
                   struct semantic_near near[SEMANTIC_NEAR], size_t *n)
{
    (void)r;
    assert_true(ring->key[0] && ring->dims > 0 && code && least > 0);
    w.ring_looks++;
    *n = w.shared.n > 0;
    near[0].like = 1;
    memcpy(near[0].key, w.shared_key, sizeof near[0].key);
    return w.switched_off ? SEMANTIC_OFF : SEMANTIC_READ;
}

void
semantic_ring_values(struct request *r, struct arena *a, const struct semantic_near *near, size_t n,
                     struct str *values)
{
    assert_true(a != r->arena); /* it goes before the answer is made */
    assert_int_equal(n, 1);
    assert_string_equal(near->key, w.shared_key);
    values[0] = arena_str(a, buf_slice(&w.shared));
}

enum cache_outcome
cache_judge(const struct cache_probe *probe, struct str value)
{
    return memcmp(value.p + ANSWER_SHA_AT, probe->sha256, 32) == 0 ? CACHE_HIT : CACHE_COLLISION;
}

void
semantic_ring_add(struct request *r, const struct semantic_ring *ring, const struct cache_probe *probe,
                  const int8_t *code)
{
    (void)r;
    assert_true(ring->key[0] && probe->key[0] && code);
    w.ring_added++;
}

bool
semantic_checked(struct request *r, const struct semantic_ring *ring, bool differs, int64_t *samples,
                 int64_t *differ)
{
    (void)r;
    (void)ring;
    *(differs ? &w.differed : &w.agreed) += 1;
    *samples = w.differed + w.agreed;
    *differ = w.differed;
    return differs;
}

void
cache_take_back(struct request *r, const uint8_t *session_hash, const struct cache_probe *probe)
{
    (void)r;
    assert_non_null(session_hash);
    assert_string_equal(probe->key, w.value_key);
    buf_reset(&w.value);
    w.taken_back++;
}

void
cache_drop(struct request *r, const struct cache_probe *probe)
{
    (void)r;
    assert_string_equal(probe->key, w.shared_key);
    w.dropped++;
}

bool
turns_append(struct request *r, struct str turn)
{
    (void)r;
    w.queued++;
    buf_reset(&w.turn);
    buf_str(&w.turn, turn);
    return !w.redis_down;
}

void
reply_empty(struct request *r, int status)
{
    reply_json(r, status, STR(""));
}

/* Nothing is kept here: tests/e2e/test_resume.py has a Redis. */
void
erased_watch_begin(struct request *r, struct erased_watch *watch, const uint8_t *session_hash)
{
    (void)r;
    (void)watch;
    (void)session_hash;
}

bool
erased_watch_wait(struct request *r, struct erased_watch *watch, int64_t until_ms)
{
    (void)r;
    (void)watch;
    (void)until_ms;
    return false;
}

void
erased_watch_end(struct request *r, struct erased_watch *watch)
{
    (void)r;
    (void)watch;
}

void
frames_name(const struct request *r, const struct uuid *message_id, const uint8_t session[32],
            struct frames *f)
{
    (void)r, (void)message_id, (void)session, (void)f;
}

bool
frames_open(struct request *r, const struct frames *f, struct str state, struct str meta, struct str sources)
{
    (void)r, (void)f, (void)state, (void)meta, (void)sources;
    return false;
}

bool
frames_close(struct request *r, const struct frames *f, struct str tail, struct str shown)
{
    (void)r, (void)f, (void)tail, (void)shown;
    return false;
}

void
frames_drop(struct request *r, const struct frames *f)
{
    (void)r, (void)f;
}

bool
frames_restart(struct request *r, const struct frames *f, int64_t base)
{
    (void)r, (void)f, (void)base;
    return false;
}

bool
frames_claim(struct request *r, const struct frames *f, struct str owner, bool force)
{
    (void)r, (void)f, (void)owner, (void)force;
    return false;
}

bool
frames_wanted(struct request *r, const struct frames *f, int64_t *unread_s)
{
    (void)r, (void)f;
    *unread_s = 0;
    return w.flies;
}

enum frames_found
frames_look(struct request *r, const struct frames *f, size_t from, bool first, struct arena *a,
            struct frames_view *out)
{
    (void)r, (void)f, (void)from, (void)first, (void)a;
    *out = (struct frames_view){ 0 };
    return FRAMES_AWAY;
}

void
frames_refer(struct request *r, const struct frames *f)
{
    (void)r, (void)f;
}

/* Redis knows of no flights here but those that questions here lead: tests/e2e/test_flight.py has others. */
enum lease_taken
flight_lease_take(struct request *r, const uint8_t flight[32], const uint8_t session_hash[32],
                  struct flight_lease *l)
{
    (void)r, (void)flight, (void)session_hash;
    *l = (struct flight_lease){ 0 };
    return w.flies ? LEASE_OURS : LEASE_AWAY;
}

enum lease_state
flight_lease_look(struct request *r, const struct flight_lease *l)
{
    (void)r, (void)l;
    return LEASE_MUTE;
}

bool
flight_lease_open(struct request *r, const struct flight_lease *l, struct str state)
{
    (void)r, (void)l, (void)state;
    return w.flies;
}

bool
flight_lease_said(struct request *r, const struct flight_lease *l, struct str said)
{
    (void)r, (void)l, (void)said;
    return w.flies;
}

bool
flight_lease_erased(struct request *r, const uint8_t session_hash[32])
{
    (void)r, (void)session_hash;
    return false;
}

void
flight_lease_end(struct request *r, const struct flight_lease *l, bool keep)
{
    (void)r, (void)l;
    w.landed += keep;
}

bool
frames_hold(struct request *r)
{
    (void)r;
    return false;
}

void
frames_let(struct request *r)
{
    (void)r;
}

void
frames_read_begin(struct request *r)
{
    (void)r;
}

void
frames_read_end(struct request *r)
{
    (void)r;
}

int
frames_read_count(const struct request *r)
{
    (void)r;
    return 0;
}

bool
frames_ending(const struct request *r)
{
    (void)r;
    return false;
}

int64_t
epochs_heard_ms(struct gateway *gw)
{
    (void)gw;
    return clock_ms();
}

bool
epoch_of(struct gateway *gw, const char *tenant, struct str collection, int64_t *epoch)
{
    (void)gw;
    (void)tenant;
    (void)collection;
    *epoch = w.epoch;
    return w.epoch_known;
}

bool
collection_known(struct request *r, struct str name, const struct collection **out)
{
    (void)r;
    *out = w.has_collection && str_is(name, "docs") ? &w.collection : NULL;
    return str_is(name, "docs");
}

enum err
collection_of(struct request *r, struct str name, const struct collection **out)
{
    (void)r;
    *out = w.has_collection && str_is(name, "docs") ? &w.collection : NULL;
    return *out ? ERR_OK : ERR_NOT_FOUND;
}

bool
collection_allowed(const struct request *r, struct str name)
{
    (void)r;
    return !str_is(name, "foreign");
}

/* ---- the tests */

void route_chat_query(struct request *r);
void route_chat_selection(struct request *r);
void route_chat_stream(struct request *r);

static inline void
ask_with(void (*route)(struct request *), const char *body, bool no_cache)
{
    static const struct route any = { .name = "POST /any" };
    static struct str only[] = { STR("docs") };
    static const struct api_key restricted = { .collections = { only, 1 } };
    static const struct gateway_opt opt;
    static struct gateway gw = { .opt = &opt };
    struct request r = { .gw = &gw,
                         .arena = arena_new(8 << 20),
                         .id = "req-1",
                         .body = str_of(body),
                         .no_cache = no_cache,
                         .who = { .anonymous = !by_key, .key = w.restricted ? &restricted : NULL },
                         .deadline_ms = clock_ms() + 30000,
                         .route = &any };
    snprintf(r.who.tenant, sizeof r.who.tenant, "%s", asker);

    if (idem_begin(&r))
        route(&r);
    idem_end(&r);
    arena_free(&r.arena);
    assert_int_equal(w.opened, w.freed); /* every call was closed */
}

static inline void
ask(const char *body)
{
    ask_with(route_chat_query, body, false);
}

static int
fresh(void **state)
{
    (void)state;
    buf_free(&w.value);
    buf_free(&w.shared);
    buf_free(&w.turn);
    buf_free(&w.searched);
    buf_free(&w.embedded);
    buf_free(&w.first_text);
    buf_free(&w.stored_selection);
    buf_free(&w.finished);
    buf_free(&w.trace);
    buf_free(&w.body);
    buf_free(&w.events);
    buf_free(&w.kept);
    memset(&w, 0, sizeof w);
    w.hits = 2;
    w.epoch_known = w.save_hits = w.appended = true;
    w.epoch = w.index_seq = 7;
    w.streams_left = -1;
    conversation = uuid_v7();
    document = uuid_v4();
    chunk = uuid_v4();
    return 0;
}

/* Forget what happened, keep what is cached. */
static inline void
again(void)
{
    w.n_order = 0;
    w.status = w.stored = w.queued = w.admitted = w.shared_stored = w.dropped = 0;
    w.x_cache = NULL;
    buf_reset(&w.body);
    buf_reset(&w.turn);
    buf_reset(&w.finished);
    buf_reset(&w.trace);
    buf_reset(&w.events);
    w.cached = true;
}

static inline json_t *
body(void)
{
    enum json_fault fault;
    const char *detail;
    json_t *o = json_read(buf_slice(&w.body), &fault, &detail);

    assert_non_null(o);
    return o;
}

/* The answer came, and says of its saving: how. */
static inline void
assert_answered(const char *saved)
{
    json_t *o = body();

    assert_int_equal(w.status, 200);
    assert_true(str_is(json_str(o, "saved"), saved));
    json_decref(o);
}

static inline void
assert_order(const enum kind *want, size_t n)
{
    assert_int_equal(w.n_order, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(w.order[i], want[i]);
}
#define ORDER(...) \
    assert_order((const enum kind[]){ __VA_ARGS__ }, \
                 sizeof((const enum kind[]){ __VA_ARGS__ }) / sizeof(enum kind))

#endif
