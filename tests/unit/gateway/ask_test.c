/* The question path against fake neighbours: what is asked of whom and in which order, what is saved, what is cached,
 * and what the client gets when one of them fails. The edge and the hub are replaced by the functions below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "common/clock.h"
#include "gateway/ask.h"
#include "gateway/edge.h"
#include "proto/answer.h"

#define SESSION "6f1d2c3a-8e4b-4c5d-9e6f-7a8b9c0d1e2f"
#define ASKED "{\"question\":\"  How long is an answer kept? \",\"session_id\":\"" SESSION "\"}"

struct ask {
    enum kind kind;
    int part; /* parts given so far */
};

static struct world {
    enum err fail[KIND_COUNT];  /* what a service answers instead */
    enum kind order[32];
    size_t n_order;
    size_t hits;                /* passages found */
    bool refused, uncited, degraded, redis_down, epoch_known, save_hits, cached, appended, gone;
    int parts_lost;             /* of the model's, from the end */
    int streams_left;           /* writes before the client goes; -1: never */
    int64_t epoch, index_seq;
    struct turn turns[2];
    size_t n_turns;
    struct buf value;           /* what cache_store was given */
    struct cache_probe probe;   /* as admit saw it */
    struct buf turn;            /* as admit or turns_append saw it */
    int admitted, stored, queued, freed, opened;
    struct buf searched;        /* SEARCH's query and context */
    struct buf embedded;        /* EMBED's text */
    bool had_vector;
    struct buf finished;        /* TURN_FINISH: status and answer */
    struct buf trace;           /* TURN_FINISH: how the answer came about */
    struct uuid origin_id;      /* TURN_FINISH: what it was copied from */
    bool finish_has_question;
    int status;                 /* of the answer */
    struct buf body, events;
    char pointer[64];
    enum err problem;
    const char *idem_key;       /* header */
    struct idem_claim_rep claim; /* what the store says to a claim */
    struct buf kept;            /* idem_body, as turn.finish or idem.finish had it */
    int64_t kept_status, retry_ms;
    struct uuid question_id, message_id, holder;
    bool replayed;
    struct collection collection;
    bool has_collection;
    struct hub_view view;       /* of the hub */
} w;

static struct uuid conversation, document, chunk;

/* ---- the hub */

static void *
reply_of(enum kind kind)
{
    static struct hit hits[3];
    static struct citation cite;
    static struct turn_begin_rep begun;
    static struct embed_rep embedded = { .model = { "m", 1 }, .dims = 1, .vectors = { "\0\0\0\0", 4 }, .cached = 1 };
    static struct search_rep found;
    static struct chat_rep said;
    static struct cite_rep cited;
    static struct ack ack = { .count = 1 };

    begun = (struct turn_begin_rep){ .conversation_id = conversation };
    begun.history.v = w.turns;
    begun.history.n = w.n_turns;
    for (int i = 0; i < 3; i++)
        hits[i] = (struct hit){ .chunk_id = chunk, .document_id = document, .collection = STR("docs"),
                                .text = STR("Answers are kept for one hour."), .end = 30, .score = 0.9 };
    found.hits.v = hits;
    found.hits.n = w.hits;
    found.seq = w.index_seq;
    said = (struct chat_rep){ .text = STR("For one hour [1]."), .model = STR("gpt"), .prompt_tokens = 10,
                              .completion_tokens = 5, .refused = w.refused, .degraded = w.degraded };
    cite = (struct citation){ .id = uuid_v7(), .n = 1, .document_id = document, .chunk_id = chunk,
                              .excerpt = STR("kept for one hour"), .start = 12, .end = 29, .score = 0.9 };
    cited = (struct cite_rep){ .answer = STR("For one hour [1]."), .confidence = 0.8, .grounded = !w.uncited };
    cited.citations.v = &cite;
    cited.citations.n = w.uncited ? 0 : 1;
    switch (kind) {
    case KIND_IDEM_CLAIM: return &w.claim;
    case KIND_TURN_BEGIN: return &begun;
    case KIND_EMBED: return &embedded;
    case KIND_SEARCH: return &found;
    case KIND_CHAT: return &said;
    case KIND_CITE: return &cited;
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
look(enum kind kind, const void *req)
{
    const struct embed_req *e = req;
    const struct search_req *s = req;
    const struct turn_finish_req *t = req;

    look_idem(kind, req);
    if (kind == KIND_EMBED)
        buf_str(&w.embedded, e->texts.v[0]);
    if (kind == KIND_SEARCH) {
        buf_str(&w.searched, s->query);
        buf_c(&w.searched, '|');
        buf_str(&w.searched, s->context);
        w.had_vector = s->vector.n > 0;
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

struct ask *
hub_ask(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace, int64_t deadline_ms)
{
    struct ask *q = calloc(1, sizeof *q);
    struct buf wire = BUF_MAX(1 << 20);

    (void)h;
    assert_string_equal(tenant, "default");
    assert_string_equal(trace, "req-1");
    assert_true(deadline_ms > clock_ms());
    assert_int_equal(msg_encode(kinds[kind].req(), req, &wire), ERR_OK);
    buf_free(&wire);
    q->kind = kind;
    w.order[w.n_order++] = kind;
    w.opened++;
    look(kind, req);
    return q;
}

enum ask_event
ask_wait(struct ask *q, int64_t wake_ms, struct answer *out)
{
    static const struct chat_part parts[2] = { { .text = { "For one ", 8 } }, { .text = { "hour [1].", 9 } } };

    (void)wake_ms;
    memset(out, 0, sizeof *out);
    out->text = "";
    if (q->kind == KIND_CHAT && q->part < 2 - w.parts_lost && (!w.fail[KIND_CHAT] || w.fail[KIND_CHAT] == ERR_UPSTREAM_CUT)) {
        out->msg = &parts[q->part++];
        return ASK_PART;
    }
    if (q->kind == KIND_CHAT && w.gone)
        return ASK_IDLE;
    out->err = w.fail[q->kind];
    out->msg = out->err ? NULL : reply_of(q->kind);
    return ASK_DONE;
}

void
ask_free(struct ask **q)
{
    w.freed += *q != NULL;
    free(*q);
    *q = NULL;
}

enum err
ask_once(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace, int64_t deadline_ms,
         struct ask **q, struct answer *out)
{
    *q = hub_ask(h, kind, req, tenant, trace, deadline_ms);
    while (ask_wait(*q, INT64_MAX, out) == ASK_PART)
        ;
    return out->err;
}

/* ---- the edge */

struct hub *api_hub(const struct request *r) { (void)r; return NULL; }
void hub_look(struct hub *h, struct hub_view *out) { (void)h; *out = w.view; }
struct str api_secret(const struct request *r) { (void)r; return STR("secret"); }
bool api_save_hits(const struct request *r) { (void)r; return w.save_hits; }
int64_t api_expiry_days(const struct request *r) { (void)r; return 30; }
bool api_gone(const struct request *r) { (void)r; return w.gone; }
void idem_keep(struct request *r) { (void)r; }   /* nobody is that slow here */
void idem_unkeep(struct request *r) { (void)r; }

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

const char *request_query(const struct request *r) { (void)r; return NULL; }
void request_retry_after(struct request *r, int64_t ms) { (void)r; w.retry_ms = ms; }
struct str request_param(struct request *r, const char *name) { (void)r; (void)name; return STR_NONE; }

void
request_header_add(struct request *r, const char *n, const char *v)
{
    (void)r;
    w.replayed = w.replayed || (strcmp(n, "Idempotency-Replayed") == 0 && strcmp(v, "true") == 0);
}

json_t *
request_json(struct request *r, const char *const *keys)
{
    enum json_fault fault;
    const char *detail;

    (void)keys;
    return json_read(r->body, &fault, &detail);
}

bool
request_session(struct request *r, struct str given, struct uuid *id, uint8_t hash[32])
{
    (void)r;
    assert_true(uuid_parse(given, id));
    sha256(&given, 1, hash);
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

void reply_answer_error(struct request *r, const struct answer *a) { reply_problem(r, a->err, a->text); }

static bool
written(void)
{
    if (w.streams_left == 0)
        return false;
    w.streams_left -= w.streams_left > 0;
    return true;
}

bool stream_begin(struct request *r) { (void)r; return written(); }
bool stream_ping(struct request *r) { (void)r; return written(); }
void stream_end(struct request *r) { (void)r; buf_z(&w.events, "end"); }

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

bool
admit(struct request *r, const uint8_t *session_hash, const struct cache_probe *probe, struct cache_hit *hit)
{
    (void)session_hash;
    w.admitted++;
    if (!probe)
        return true;
    w.probe = *probe;
    buf_str(&w.turn, probe->turn);
    if (w.cached && probe->key[0] && w.value.n > 0)
        *hit = (struct cache_hit){ true, w.appended && probe->turn.p, arena_str(r->arena, buf_slice(&w.value)), "hit" };
    return true;
}

void
cache_look(struct request *r, const struct cache_probe *probe, struct cache_hit *hit)
{
    assert_int_equal(w.order[0], KIND_IDEM_CLAIM); /* the key comes before the cache */
    assert_null(probe->turn.p);
    w.probe = *probe;
    if (w.cached && probe->key[0] && w.value.n > 0)
        *hit = (struct cache_hit){ .hit = true, .value = arena_str(r->arena, buf_slice(&w.value)) };
}

void
cache_store(struct request *r, const uint8_t *session_hash, const struct cache_probe *probe, struct str value)
{
    (void)r;
    (void)session_hash;
    assert_string_equal(probe->key, w.probe.key);
    w.stored++;
    buf_reset(&w.value);
    buf_str(&w.value, value);
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

bool
epoch_of(struct gateway *gw, const char *tenant, struct str collection, int64_t *epoch)
{
    (void)gw;
    (void)tenant;
    (void)collection;
    *epoch = w.epoch;
    return w.epoch_known;
}

const struct collection *
collection_of(struct request *r, struct str name)
{
    (void)r;
    return w.has_collection && str_is(name, "docs") ? &w.collection : NULL;
}

bool collection_allowed(const struct request *r, struct str name) { (void)r; return !str_is(name, "foreign"); }

/* ---- the tests */

void route_chat_query(struct request *r);
void route_chat_selection(struct request *r);
void route_chat_stream(struct request *r);

static void
ask_with(void (*route)(struct request *), const char *body, bool no_cache)
{
    static const struct route any = { .name = "POST /any" };
    struct request r = { .arena = arena_new(8 << 20), .id = "req-1", .body = str_of(body), .no_cache = no_cache,
                         .who = { .tenant = "default", .anonymous = true }, .deadline_ms = clock_ms() + 30000, .route = &any };

    if (idem_begin(&r))
        route(&r);
    idem_end(&r);
    arena_free(&r.arena);
    assert_int_equal(w.opened, w.freed); /* every call was closed */
}

static void ask(const char *body) { ask_with(route_chat_query, body, false); }

static int
fresh(void **state)
{
    (void)state;
    buf_free(&w.value);
    buf_free(&w.turn);
    buf_free(&w.searched);
    buf_free(&w.embedded);
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
static void
again(void)
{
    w.n_order = 0;
    w.status = w.stored = w.queued = w.admitted = 0;
    buf_reset(&w.body);
    buf_reset(&w.turn);
    buf_reset(&w.finished);
    buf_reset(&w.trace);
    buf_reset(&w.events);
    w.cached = true;
}

static json_t *
body(void)
{
    enum json_fault fault;
    const char *detail;
    json_t *o = json_read(buf_slice(&w.body), &fault, &detail);

    assert_non_null(o);
    return o;
}

static void
assert_order(const enum kind *want, size_t n)
{
    assert_int_equal(w.n_order, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(w.order[i], want[i]);
}
#define ORDER(...) assert_order((const enum kind[]){ __VA_ARGS__ }, sizeof((const enum kind[]){ __VA_ARGS__ }) / sizeof(enum kind))

static void
an_answer_has_every_field_of_the_contract(void **state)
{
    static const char *const keys[] = { "answer",     "sources", "session_id", "message_id", "conversation_id",
                                        "confidence", "cached",  "grounded",   "saved",      "usage" };
    json_t *o;

    (void)state;
    ask(ASKED);
    assert_int_equal(w.status, 200);
    o = body();
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_non_null(json_object_get(o, keys[i]));
    assert_int_equal(json_object_size(o), sizeof keys / sizeof keys[0]);
    assert_true(str_is(json_str(o, "cached"), "none") && str_is(json_str(o, "saved"), "yes"));
    assert_true(str_is(json_str(o, "session_id"), SESSION) && json_flag(o, "grounded", false));
    assert_int_equal(json_int(json_object_get(o, "usage"), "prompt_tokens", 0), 10);
    assert_true(json_flag(json_object_get(o, "usage"), "embedding_cached", false));
    json_decref(o);
}

/* ---- Idempotency-Key */

static void
with_key(const char *key)
{
    w.idem_key = key;
    w.claim.seed = uuid_v7();
}

/* The store has the answer of the run before. */
static void
stored_before(void)
{
    again();
    w.claim.stored = buf_slice(&w.kept);
    w.claim.status = w.kept_status;
}

static void
a_key_is_claimed_first_and_its_answer_is_stored_with_the_turn(void **state)
{
    struct uuid message;

    (void)state;
    with_key("a");
    ask(ASKED);
    assert_int_equal(w.status, 200);
    ORDER(KIND_IDEM_CLAIM, KIND_TURN_BEGIN, KIND_EMBED, KIND_SEARCH, KIND_CHAT, KIND_CITE, KIND_TURN_FINISH);
    assert_int_equal(w.kept_status, 200);
    assert_true(uuid_eq(&w.question_id, &w.claim.seed));
    assert_null(strstr(w.kept.p, SESSION)); /* sealed */
    message = w.message_id;
    again();
    w.cached = false;
    ask(ASKED); /* a rerun after a crash: the same rows */
    assert_true(uuid_eq(&w.message_id, &message));
}

static void
a_repetition_gets_the_stored_answer_and_nothing_is_asked(void **state)
{
    struct buf first = BUF_MAX(0);

    (void)state;
    with_key("a");
    ask(ASKED);
    buf_str(&first, buf_slice(&w.body));
    stored_before();
    ask(ASKED);
    ORDER(KIND_IDEM_CLAIM);
    assert_true(w.replayed && w.status == 200 && str_eq(buf_slice(&w.body), buf_slice(&first)));
    buf_free(&first);
}

static void
a_stream_is_replayed_as_meta_and_done(void **state)
{
    (void)state;
    with_key("a");
    ask_with(route_chat_stream, ASKED, false);
    stored_before();
    ask_with(route_chat_stream, ASKED, false);
    ORDER(KIND_IDEM_CLAIM);
    assert_true(w.replayed);
    assert_string_equal(w.events.p, "meta done end");
}

static void
another_header_value_cannot_open_a_stored_answer(void **state)
{
    (void)state;
    with_key("a");
    ask(ASKED);
    stored_before();
    w.idem_key = "b";
    ask(ASKED);
    assert_int_equal(w.status, 409);
    assert_false(w.replayed);
    ORDER(KIND_IDEM_CLAIM);
}

static void
a_running_and_a_foreign_request_are_told_apart(void **state)
{
    (void)state;
    with_key("a");
    w.fail[KIND_IDEM_CLAIM] = ERR_IN_PROGRESS;
    ask(ASKED);
    assert_true(w.status == 409 && w.retry_ms == 1000);
    again();
    w.fail[KIND_IDEM_CLAIM] = ERR_IDEMPOTENCY;
    ask(ASKED);
    assert_int_equal(w.status, 422);
    ORDER(KIND_IDEM_CLAIM);
}

static void
a_cache_hit_with_a_key_is_saved_through_the_store(void **state)
{
    (void)state;
    ask(ASKED);
    again();
    with_key("a");
    ask(ASKED);
    ORDER(KIND_IDEM_CLAIM, KIND_TURN_FINISH);
    assert_true(w.status == 200 && w.kept_status == 200 && w.finish_has_question);
    again();
    w.save_hits = false;
    ask(ASKED);
    ORDER(KIND_IDEM_CLAIM, KIND_IDEM_FINISH);
    assert_int_equal(w.kept_status, 200);
}

static void
a_passing_failure_frees_the_key_and_a_final_one_is_stored(void **state)
{
    (void)state;
    with_key("a");
    w.fail[KIND_CHAT] = ERR_UPSTREAM;
    w.kept_status = -1;
    ask(ASKED);
    ORDER(KIND_IDEM_CLAIM, KIND_TURN_BEGIN, KIND_EMBED, KIND_SEARCH, KIND_CHAT, KIND_IDEM_FINISH);
    assert_int_equal(w.kept_status, 0);
    again();
    w.fail[KIND_TURN_BEGIN] = ERR_NOT_FOUND;
    ask(ASKED);
    ORDER(KIND_IDEM_CLAIM, KIND_TURN_BEGIN, KIND_IDEM_FINISH);
    assert_int_equal(w.kept_status, 404);
    stored_before();
    w.fail[KIND_TURN_BEGIN] = ERR_OK;
    ask_with(route_chat_stream, ASKED, false);
    assert_true(w.status == 404 && w.replayed);
}

static void
a_malformed_key_is_refused_before_anything_is_asked(void **state)
{
    static const char *const bad[] = { "", "a b", "\x7f", "\xc3\xa4" };
    char longest[257];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        again();
        with_key(bad[i]);
        ask(ASKED);
        assert_true(w.status == 400 && w.n_order == 0);
    }
    memset(longest, 'k', 256);
    longest[256] = 0;
    again();
    with_key(longest);
    ask(ASKED);
    assert_true(w.status == 400 && w.n_order == 0);
    again();
    with_key(longest + 1);
    ask(ASKED);
    assert_int_equal(w.status, 200);
}

static void
only_what_a_repetition_would_get_again_is_stored(void **state)
{
    (void)state;
    assert_true(idem_final(200) && idem_final(202) && idem_final(404) && idem_final(422) && idem_final(413));
    assert_false(idem_final(408) || idem_final(409) || idem_final(429) || idem_final(499) || idem_final(500) || idem_final(503));
}

static void
the_question_is_stored_before_anything_is_paid_for(void **state)
{
    (void)state;
    ask(ASKED);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED, KIND_SEARCH, KIND_CHAT, KIND_CITE, KIND_TURN_FINISH);
    fresh(NULL);
    w.fail[KIND_TURN_BEGIN] = ERR_STORE_DOWN;
    ask(ASKED);
    assert_int_equal(w.status, 503);
    ORDER(KIND_TURN_BEGIN);
}

static void
wrong_fields_are_named_and_nothing_is_asked(void **state)
{
    static const struct {
        const char *body, *pointer;
    } wrong[] = {
        { "{\"session_id\":\"" SESSION "\"}", "/question" },
        { "{\"question\":\" \\t \",\"session_id\":\"" SESSION "\"}", "/question" },
        { "{\"question\":7,\"session_id\":\"" SESSION "\"}", "/question" },
        { "{\"question\":\"q\",\"session_id\":\"" SESSION "\",\"top_k\":0}", "/top_k" },
        { "{\"question\":\"q\",\"session_id\":\"" SESSION "\",\"top_k\":2.5}", "/top_k" },
        { "{\"question\":\"q\",\"session_id\":\"" SESSION "\",\"filter\":[]}", "/filter" },
        { "{\"question\":\"q\",\"session_id\":\"" SESSION "\",\"conversation_id\":\"x\"}", "/conversation_id" },
        { "{\"question\":\"q\",\"session_id\":\"" SESSION "\",\"collection\":\"a/b\"}", "/collection" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        fresh(NULL);
        ask(wrong[i].body);
        assert_int_equal(w.status, 422);
        assert_string_equal(w.pointer, wrong[i].pointer);
        assert_int_equal(w.n_order + (size_t)w.admitted, 0);
    }
}

static void
a_question_has_500_characters_at_most_however_many_bytes(void **state)
{
    struct buf b = BUF_MAX(0);

    (void)state;
    for (int n = 500; n <= 501; n++) {
        fresh(NULL);
        buf_reset(&b);
        buf_z(&b, "{\"session_id\":\"" SESSION "\",\"question\":\"  ");
        for (int i = 0; i < n; i++)
            buf_z(&b, "漢");
        buf_z(&b, "\"}");
        ask(b.p);
        assert_int_equal(w.status, n == 500 ? 200 : 422);
    }
    buf_free(&b);
}

static void
a_hit_is_answered_at_once_and_queued(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct turn_finish_req t;
    json_t *o, *was;

    (void)state;
    ask(ASKED);
    assert_int_equal(w.stored, 1);
    was = body();
    again();
    ask(ASKED);
    assert_int_equal(w.status, 200);
    assert_int_equal(w.n_order, 0);
    o = body();
    assert_true(str_is(json_str(o, "cached"), "query") && str_is(json_str(o, "saved"), "queued"));
    assert_true(str_eq(json_str(o, "answer"), json_str(was, "answer")));
    assert_true(json_equal(json_object_get(o, "sources"), json_object_get(was, "sources")));
    assert_false(str_eq(json_str(o, "message_id"), json_str(was, "message_id")));
    assert_true(str_eq(json_str(o, "conversation_id"), json_str(was, "conversation_id")));
    assert_int_equal(json_int(json_object_get(o, "usage"), "prompt_tokens", -1), 0);
    assert_int_equal(msg_decode(turn_finish_req_desc(), w.turn.p, w.turn.n, a, &t), ERR_OK);
    assert_true(str_is(t.question, "How long is an answer kept?") && t.from_cache && str_is(t.tenant, "default"));
    json_decref(o);
    json_decref(was);
    arena_free(&a);
}

static void
an_answer_is_saved_with_how_it_came_about(void **state)
{
    enum json_fault fault;
    const char *detail;
    json_t *o, *found;

    (void)state;
    w.hits = 3;
    ask(ASKED);
    o = json_read(buf_slice(&w.trace), &fault, &detail);
    assert_non_null(o);
    found = json_object_get(json_object_get(o, "retrieval"), "passages");
    assert_int_equal(json_array_size(found), 3);
    assert_true(json_is_true(json_object_get(json_array_get(found, 0), "cited")));
    assert_false(json_is_true(json_object_get(json_array_get(found, 1), "cited")));
    assert_true(str_is(json_str(json_object_get(o, "caches"), "embedding"), "hit"));
    assert_int_equal(json_int(json_object_get(o, "tokens"), "prompt", 0), 10);
    assert_true(json_is_null(json_object_get(json_object_get(o, "cost_dollars"), "total"))); /* "gpt" has no price */
    assert_non_null(json_object_get(json_object_get(o, "stages_ms"), "cite"));
    assert_null(memmem(w.trace.p, w.trace.n, "kept", 4)); /* no text of question or document */
    json_decref(o);
    assert_true(uuid_is_nil(&w.origin_id));
}

static void
a_copied_answer_names_the_message_that_it_was_copied_from(void **state)
{
    struct uuid first;
    json_t *o;

    (void)state;
    ask(ASKED);
    o = body();
    assert_true(uuid_parse(json_str(o, "message_id"), &first));
    json_decref(o);
    again();
    w.appended = false; /* saved through the store, where it can be seen */
    ask(ASKED);
    assert_true(uuid_eq(&w.origin_id, &first));
    assert_int_equal(w.trace.n, 0);
}

static void
a_hit_that_cannot_be_queued_is_saved_before_its_answer(void **state)
{
    json_t *o;

    (void)state;
    ask(ASKED);
    again();
    w.appended = false;
    ask(ASKED);
    ORDER(KIND_TURN_FINISH);
    assert_true(w.finish_has_question);
    o = body();
    assert_true(str_is(json_str(o, "saved"), "yes"));
    json_decref(o);
    again();
    w.fail[KIND_TURN_FINISH] = ERR_STORE_DOWN;
    ask(ASKED);
    o = body();
    assert_int_equal(w.status, 200);
    assert_true(str_is(json_str(o, "saved"), "no"));
    json_decref(o);
}

static void
a_malformed_cached_value_is_a_miss(void **state)
{
    (void)state;
    ask(ASKED);
    again();
    w.value.n -= 3;
    ask(ASKED);
    assert_int_equal(w.status, 200);
    assert_int_equal(w.n_order, 6);
}

static void
every_field_that_shapes_the_answer_is_in_the_cache_key(void **state)
{
    static const char *const bodies[] = {
        ASKED,
        "{\"question\":\"how long is an answer kept?\",\"session_id\":\"" SESSION "\"}",
        "{\"question\":\"How long is an answer kept?\",\"session_id\":\"6f1d2c3a-8e4b-4c5d-9e6f-7a8b9c0d1e20\"}",
        "{\"question\":\"How long is an answer kept?\",\"session_id\":\"" SESSION "\",\"top_k\":3}",
        "{\"question\":\"How long is an answer kept?\",\"session_id\":\"" SESSION "\",\"page_context\":\"p\"}",
        "{\"question\":\"How long is an answer kept?\",\"session_id\":\"" SESSION "\",\"filter\":{\"a\":1}}",
        "{\"question\":\"How long is an answer kept?\",\"session_id\":\"" SESSION "\",\"filter\":{\"a\":2}}",
    };
    char seen[16][128];
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        fresh(NULL);
        ask(bodies[i]);
        assert_memory_equal(w.probe.key, "fn:q:default:", 13);
        assert_int_equal(strlen(w.probe.key), 13 + 32);
        for (size_t k = 0; k < n; k++)
            assert_string_not_equal(seen[k], w.probe.key);
        memcpy(seen[n++], w.probe.key, 128);
    }
    fresh(NULL);
    ask("{\"filter\":{},\"session_id\":\"" SESSION "\",\"question\":\"x\"}");
    memcpy(seen[0], w.probe.key, 128);
    fresh(NULL);
    w.has_collection = true;
    w.collection = (struct collection){ .name = STR("docs"), .prompt = STR("Be brief.") };
    ask("{\"filter\":{},\"session_id\":\"" SESSION "\",\"question\":\"x\"}");
    assert_string_not_equal(seen[0], w.probe.key);
}

static void
the_cache_is_left_alone_when_it_does_not_apply(void **state)
{
    (void)state;
    ask_with(route_chat_query, ASKED, true); /* Cache-Control: no-cache */
    assert_true(w.probe.key[0] == 0 && w.stored == 0);
    fresh(NULL);
    w.epoch_known = false; /* no news from the change feed */
    ask(ASKED);
    assert_true(w.probe.key[0] == 0 && w.stored == 0);
    fresh(NULL);
    ask("{\"question\":\"q\",\"session_id\":\"" SESSION "\",\"conversation_id\":\"6f1d2c3a-8e4b-4c5d-9e6f-7a8b9c0d1e2f\"}");
    assert_true(w.probe.key[0] == 0 && w.stored == 0);
}

static void
only_whole_grounded_answers_are_cached(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        fresh(NULL);
        w.refused = i == 0;
        w.uncited = i == 1;
        w.degraded = i == 2;
        w.hits = i == 3 ? 0 : 2;
        ask(ASKED);
        assert_int_equal(w.status, 200);
        assert_int_equal(w.stored, 0);
    }
}

static void
an_answer_from_an_index_behind_the_epoch_is_not_cached(void **state)
{
    (void)state;
    w.index_seq = 6; /* the gateway knows of a deletion that the index has not seen */
    ask(ASKED);
    assert_int_equal(w.status, 200);
    assert_int_equal(w.stored, 0);
    fresh(NULL);
    w.index_seq = 9;
    ask(ASKED);
    assert_int_equal(w.stored, 1);
}

static void
nothing_found_asks_no_model_and_says_so(void **state)
{
    json_t *o;

    (void)state;
    w.hits = 0;
    w.has_collection = true;
    w.collection = (struct collection){ .name = STR("docs"), .refusal = STR("Ask the librarian.") };
    ask(ASKED);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED, KIND_SEARCH, KIND_TURN_FINISH);
    o = body();
    assert_true(str_is(json_str(o, "answer"), "Ask the librarian."));
    assert_int_equal(json_array_size(json_object_get(o, "sources")), 0);
    assert_false(json_flag(o, "grounded", true));
    assert_true(json_num(o, "confidence", 1) == 0);
    assert_true(str_starts(buf_slice(&w.finished), "refused "));
    json_decref(o);
}

static void
a_turn_with_history_searches_with_the_previous_exchange(void **state)
{
    (void)state;
    w.turns[0] = (struct turn){ STR("user"), STR("What is the cache?") };
    w.turns[1] = (struct turn){ STR("assistant"), STR("It keeps answers.") };
    w.n_turns = 2;
    ask("{\"question\":\"How long?\",\"session_id\":\"" SESSION "\",\"conversation_id\":\"6f1d2c3a-8e4b-4c5d-9e6f-7a8b9c0d1e2f\"}");
    assert_true(str_is(buf_slice(&w.searched), "How long?|What is the cache?\nIt keeps answers."));
    assert_true(str_is(buf_slice(&w.embedded), "What is the cache?\nIt keeps answers.\nHow long?"));
}

static void
without_an_embedding_the_words_are_searched_and_the_answer_is_degraded(void **state)
{
    json_t *o;

    (void)state;
    w.fail[KIND_EMBED] = ERR_UPSTREAM;
    ask(ASKED);
    assert_int_equal(w.status, 200);
    assert_false(w.had_vector);
    o = body();
    assert_true(json_flag(json_object_get(o, "usage"), "degraded", false));
    assert_int_equal(w.stored, 0);
    json_decref(o);
    fresh(NULL);
    w.fail[KIND_EMBED] = ERR_UPSTREAM;
    w.hits = 0;
    ask(ASKED);
    assert_int_equal(w.problem, ERR_UPSTREAM);
    fresh(NULL);
    w.fail[KIND_EMBED] = ERR_UPSTREAM_QUOTA; /* no passing fault */
    ask(ASKED);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED);
    assert_int_equal(w.problem, ERR_UPSTREAM_QUOTA);
}

static void
with_no_process_that_could_write_the_answer_a_question_waits_once_only(void **state)
{
    (void)state;
    w.fail[KIND_EMBED] = ERR_NO_WORKER;
    ask(ASKED);
    ORDER(KIND_TURN_BEGIN, KIND_EMBED);
    assert_int_equal(w.problem, ERR_NO_WORKER);
    fresh(NULL);
    w.fail[KIND_EMBED] = ERR_NO_WORKER;
    w.view.service[SERVICE_CHAT].workers = 1; /* roles are split: only embeddings are missing */
    ask(ASKED);
    assert_int_equal(w.status, 200);
}

static void
a_question_is_refused_before_it_is_stored_when_a_step_is_overloaded(void **state)
{
    static const enum service_id steps[] = { SERVICE_STORE, SERVICE_EMBED, SERVICE_RETRIEVE, SERVICE_CHAT };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        fresh(NULL);
        w.view.service[steps[i]].overloaded = true;
        ask(ASKED);
        assert_int_equal(w.problem, ERR_BUSY);
        assert_int_equal(w.n_order, 0);
    }
}

static void
an_answer_that_the_store_cannot_take_is_queued_or_said_to_be_lost(void **state)
{
    json_t *o;

    (void)state;
    w.fail[KIND_TURN_FINISH] = ERR_STORE_DOWN;
    ask(ASKED);
    o = body();
    assert_int_equal(w.queued, 1);
    assert_true(str_is(json_str(o, "saved"), "queued"));
    json_decref(o);
    fresh(NULL);
    w.fail[KIND_TURN_FINISH] = ERR_STORE_DOWN;
    w.redis_down = true;
    ask(ASKED);
    o = body();
    assert_int_equal(w.status, 200);
    assert_true(str_is(json_str(o, "saved"), "no"));
    json_decref(o);
}

static void
collections_of_others_are_as_good_as_missing(void **state)
{
    (void)state;
    ask("{\"question\":\"q\",\"session_id\":\"" SESSION "\",\"collection\":\"foreign\"}");
    assert_int_equal(w.problem, ERR_NOT_FOUND);
    fresh(NULL);
    ask("{\"question\":\"q\",\"session_id\":\"" SESSION "\",\"collection\":\"unknown\"}");
    assert_int_equal(w.problem, ERR_NOT_FOUND);
    assert_int_equal(w.n_order, 0);
}

static void
a_selection_shapes_search_and_key(void **state)
{
    (void)state;
    ask_with(route_chat_selection,
             "{\"selected_text\":\"kept for one hour\",\"question\":\"Why?\",\"session_id\":\"" SESSION "\",\"chapter\":\"Caches\"}",
             false);
    assert_int_equal(w.status, 200);
    assert_true(str_is(buf_slice(&w.searched), "Why?|kept for one hour"));
    fresh(NULL);
    ask_with(route_chat_selection,
             "{\"selected_text\":\"four\",\"question\":\"Why?\",\"session_id\":\"" SESSION "\",\"chapter\":\"Caches\"}", false);
    assert_string_equal(w.pointer, "/selected_text");
    fresh(NULL);
    ask_with(route_chat_selection, "{\"selected_text\":\"kept for\",\"question\":\"Why?\",\"session_id\":\"" SESSION "\"}", false);
    assert_string_equal(w.pointer, "/chapter");
}

static void
a_stream_has_its_events_in_order(void **state)
{
    json_t *o;

    (void)state;
    ask_with(route_chat_stream, ASKED, false);
    assert_string_equal(w.events.p, "meta sources delta delta citation done end");
    o = body();
    assert_true(str_is(json_str(o, "answer"), "For one hour [1].") && str_is(json_str(o, "saved"), "yes"));
    json_decref(o);
    again();
    ask_with(route_chat_stream, ASKED, false); /* from the cache */
    assert_int_equal(w.n_order, 0);
    assert_string_equal(w.events.p, "meta sources delta citation done end");
}

static void
what_no_part_could_bring_is_shown_with_the_whole_answer(void **state)
{
    (void)state;
    w.parts_lost = 1;
    ask_with(route_chat_stream, ASKED, false);
    assert_string_equal(w.events.p, "meta sources delta delta citation done end");
    assert_non_null(strstr(w.body.p, "For one hour [1]."));
    fresh(NULL);
    w.parts_lost = 2;
    ask_with(route_chat_stream, ASKED, false);
    assert_string_equal(w.events.p, "meta sources delta citation done end");
}

static void
a_stream_that_breaks_says_so_and_keeps_what_was_shown(void **state)
{
    (void)state;
    w.fail[KIND_CHAT] = ERR_UPSTREAM_CUT;
    ask_with(route_chat_stream, ASKED, false);
    assert_string_equal(w.events.p, "meta sources delta delta error end");
    assert_string_equal(w.finished.p, "incomplete For one hour [1].");
    assert_int_equal(w.stored, 0);
}

static void
a_stream_that_fails_before_it_began_has_a_status(void **state)
{
    (void)state;
    w.fail[KIND_TURN_BEGIN] = ERR_NO_WORKER;
    ask_with(route_chat_stream, ASKED, false);
    assert_int_equal(w.status, 503);
    assert_int_equal(w.events.n, 0);
}

static void
a_client_that_left_cancels_the_model(void **state)
{
    (void)state;
    w.streams_left = 4; /* headers, meta, sources, one delta */
    ask_with(route_chat_stream, ASKED, false);
    assert_true(str_starts(buf_slice(&w.finished), "incomplete For one "));
    assert_int_equal(w.order[w.n_order - 2], KIND_CHAT);
    fresh(NULL);
    w.gone = true;
    ask(ASKED);
    assert_int_equal(w.problem, ERR_CANCELLED);
    assert_int_equal(w.order[w.n_order - 1], KIND_CHAT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_answer_has_every_field_of_the_contract, fresh),
        cmocka_unit_test_setup(a_key_is_claimed_first_and_its_answer_is_stored_with_the_turn, fresh),
        cmocka_unit_test_setup(a_repetition_gets_the_stored_answer_and_nothing_is_asked, fresh),
        cmocka_unit_test_setup(a_stream_is_replayed_as_meta_and_done, fresh),
        cmocka_unit_test_setup(another_header_value_cannot_open_a_stored_answer, fresh),
        cmocka_unit_test_setup(a_running_and_a_foreign_request_are_told_apart, fresh),
        cmocka_unit_test_setup(a_cache_hit_with_a_key_is_saved_through_the_store, fresh),
        cmocka_unit_test_setup(a_passing_failure_frees_the_key_and_a_final_one_is_stored, fresh),
        cmocka_unit_test_setup(a_malformed_key_is_refused_before_anything_is_asked, fresh),
        cmocka_unit_test_setup(only_what_a_repetition_would_get_again_is_stored, fresh),
        cmocka_unit_test_setup(the_question_is_stored_before_anything_is_paid_for, fresh),
        cmocka_unit_test_setup(wrong_fields_are_named_and_nothing_is_asked, fresh),
        cmocka_unit_test_setup(a_question_has_500_characters_at_most_however_many_bytes, fresh),
        cmocka_unit_test_setup(a_hit_is_answered_at_once_and_queued, fresh),
        cmocka_unit_test_setup(an_answer_is_saved_with_how_it_came_about, fresh),
        cmocka_unit_test_setup(a_copied_answer_names_the_message_that_it_was_copied_from, fresh),
        cmocka_unit_test_setup(a_hit_that_cannot_be_queued_is_saved_before_its_answer, fresh),
        cmocka_unit_test_setup(a_malformed_cached_value_is_a_miss, fresh),
        cmocka_unit_test_setup(every_field_that_shapes_the_answer_is_in_the_cache_key, fresh),
        cmocka_unit_test_setup(the_cache_is_left_alone_when_it_does_not_apply, fresh),
        cmocka_unit_test_setup(only_whole_grounded_answers_are_cached, fresh),
        cmocka_unit_test_setup(an_answer_from_an_index_behind_the_epoch_is_not_cached, fresh),
        cmocka_unit_test_setup(nothing_found_asks_no_model_and_says_so, fresh),
        cmocka_unit_test_setup(a_turn_with_history_searches_with_the_previous_exchange, fresh),
        cmocka_unit_test_setup(without_an_embedding_the_words_are_searched_and_the_answer_is_degraded, fresh),
        cmocka_unit_test_setup(with_no_process_that_could_write_the_answer_a_question_waits_once_only, fresh),
        cmocka_unit_test_setup(a_question_is_refused_before_it_is_stored_when_a_step_is_overloaded, fresh),
        cmocka_unit_test_setup(an_answer_that_the_store_cannot_take_is_queued_or_said_to_be_lost, fresh),
        cmocka_unit_test_setup(collections_of_others_are_as_good_as_missing, fresh),
        cmocka_unit_test_setup(a_selection_shapes_search_and_key, fresh),
        cmocka_unit_test_setup(a_stream_has_its_events_in_order, fresh),
        cmocka_unit_test_setup(what_no_part_could_bring_is_shown_with_the_whole_answer, fresh),
        cmocka_unit_test_setup(a_stream_that_breaks_says_so_and_keeps_what_was_shown, fresh),
        cmocka_unit_test_setup(a_stream_that_fails_before_it_began_has_a_status, fresh),
        cmocka_unit_test_setup(a_client_that_left_cancels_the_model, fresh),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    fresh(NULL);
    return failed;
}
