/* A question before and after its journey: the strict body, the cache key, the hit, the JSON of the answer (ask.h).
 *
 * Cache key: MD5 and SHA-256 of the same input: the deployment secret and every field that shapes the answer, each
 * with its length in front, so that no two different questions have the same input. A session's answers stay in that
 * session, unless sessions share them (share.c): then the wording stands for the text, and the collection for the session. Documents
 * and the collection's settings are covered by the epoch, which is compared on reading instead. */
#include "gateway/ask/select.h"
#include "gateway/ask/share.h"
#include "gateway/ask/safe.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/random.h"
#include "gateway/request/render.h"
#include "proto/answer.h"
#include "gateway/admit/admit.h"
#include "gateway/admit/auth.h"
#include "gateway/watch/epochs.h"

#define OVERLOAD_RETRY_SPREAD 3

/* ---- the body */

static const char *const query_keys[] = { "question",     "session_id",       "conversation_id",
                                          "page_context", "collection",       "top_k",
                                          "filter",       "new_conversation", "selected_text",
                                          "chapter",      "section",          NULL };
static const char *const stream_keys[] = {
    "question",         "session_id",    "conversation_id", "page_context", "collection", "top_k", "filter",
    "new_conversation", "selected_text", "chapter",         "section",      "resumable",  NULL
};
static const char *const selection_keys[] = { "selected_text", "question",         "session_id", "chapter",
                                              "section",       "conversation_id",  "collection", "top_k",
                                              "filter",        "new_conversation", NULL };
static const struct text_rule rule_question = { "question", 1, 500, true, true };
static const struct text_rule rule_session = { "session_id", 1, 64, false, false };
static const struct text_rule rule_context = { "page_context", 0, 2000, false, true };
static const struct text_rule rule_selected = { "selected_text", 5, 5000, true, true };
static const struct text_rule rule_chapter = { "chapter", 1, 200, true, true };
static const struct text_rule rule_maybe_selected = { "selected_text", 5, 5000, false, true };
static const struct text_rule rule_maybe_chapter = { "chapter", 0, 200, false, true };
static const struct text_rule rule_section = { "section", 0, 200, false, true };
static const struct text_rule rule_collection = { "collection", 1, 64, false, false };

static bool
parse_selection(struct question *q, struct fault *f)
{
    char *where;

    if (!field_text(q->body, &rule_selected, &q->selection, f) ||
        !field_text(q->body, &rule_chapter, &q->chapter, f) ||
        !field_text(q->body, &rule_section, &q->section, f))
        return false;
    where = q->section.n > 0 ? arena_printf(q->r->arena, "Chapter: " STR_FMT "\nSection: " STR_FMT,
                                            STR_ARG(q->chapter), STR_ARG(q->section))
                             : arena_printf(q->r->arena, "Chapter: " STR_FMT, STR_ARG(q->chapter));
    q->page_context = str_of(where);
    return true;
}

/* A query may have a selection, too; then the names of where it was selected come along. */
static bool
parse_query(struct question *q, struct fault *f)
{
    return field_text(q->body, &rule_context, &q->page_context, f) &&
           field_text(q->body, &rule_maybe_selected, &q->selection, f) &&
           field_text(q->body, &rule_maybe_chapter, &q->chapter, f) &&
           field_text(q->body, &rule_section, &q->section, f);
}

static bool
parse_fields(struct question *q, struct str *session, struct str *collection, struct fault *f)
{
    const json_t *o = q->body;
    bool selection = strcmp(q->route, "selection") == 0;

    return field_text(o, &rule_question, &q->text, f) && field_text(o, &rule_session, session, f) &&
           (selection ? parse_selection(q, f) : parse_query(q, f)) &&
           field_uuid(o, "conversation_id", &q->conversation_id, f) &&
           field_text(o, &rule_collection, collection, f) &&
           field_flag(o, "new_conversation", &q->fresh, f) && field_flag(o, "resumable", &q->resumable, f) &&
           field_int(o, "top_k", 1, 20, &q->top_k, f) &&
           field_object(o, "filter", 8192, q->r->arena, &q->filter, f);
}

/* One that is named is not new. */
static bool
conversation_fits(const struct question *q, struct fault *f)
{
    if (!q->fresh || uuid_is_nil(&q->conversation_id))
        return true;
    fault_set(f, "new_conversation", "must be absent or false when conversation_id is given");
    return false;
}

void
ask_begin(struct request *r, const char *route, struct question *q)
{
    memset(q, 0, sizeof *q);
    q->r = r;
    q->route = route;
    q->render = ask_render;
    q->partial = BUF_MAX(262144);
    q->turn = BUF_MAX(ANSWER_MAX);
}

bool
ask_parse(struct request *r, const char *route, struct question *q)
{
    struct str session = STR_NONE, collection = STR_NONE;
    bool stream = strcmp(route, "stream") == 0;
    struct fault f;

    ask_begin(r, stream ? "query" : route, q);
    q->body = request_json(r, stream                            ? stream_keys
                              : strcmp(route, "selection") == 0 ? selection_keys
                                                                : query_keys);
    if (!q->body)
        return false;
    if (!parse_fields(q, &session, &collection, &f) || !conversation_fits(q, &f)) {
        reply_fault(r, &f);
        return false;
    }
    if (!request_session(r, session, &q->session, q->session_hash) ||
        !api_collection(r, collection, &q->collection))
        return false;
    q->query = q->text;
    q->standalone = uuid_is_nil(&q->conversation_id);
    q->named = collection.p != NULL;
    q->settled = collection_known(r, q->collection, &q->settings);
    return true;
}

static void
set_ids(struct question *q)
{
    q->question_id = uuid_v7();
    q->message_id = uuid_v7();
}

/* ---- the cache key */

static void
add_part(struct buf *in, struct str s)
{
    uint64_t n = s.p ? s.n : UINT64_MAX; /* absent is not empty */
    char length[8];

    for (int i = 0; i < 8; i++)
        length[i] = (char)(uint8_t)(n >> (8 * i));
    buf_add(in, length, sizeof length);
    buf_str(in, s);
}

static void
cache_input(const struct question *q, struct str text, struct str whose, struct buf *in)
{
    static const struct collection none;
    const struct collection *c = q->settings ? q->settings : &none;
    char numbers[64] = "0 0 0";                        /* nearly always, and printing a double is dear */
    char kind = viewer_of(q->r, q->session_hash).kind; /* the cached sources have links, which are rights */

    if (q->top_k || c->top_k || c->threshold != 0)
        snprintf(numbers, sizeof numbers, "%lld %lld %.17g", (long long)q->top_k, (long long)c->top_k,
                 c->threshold);
    buf_reserve(in, 1024);
    add_part(in, api_secret(q->r));
    add_part(in, str_of(PROMPT_VERSION));
    add_part(in, api_link_hosts(q->r));
    add_part(in, str_of(q->r->who.tenant));
    add_part(in, str_of(q->route));
    add_part(in, text);
    add_part(in, whose);
    add_part(in, q->collection);
    add_part(in, q->page_context);
    add_part(in, q->selection);
    add_part(in, q->chapter);
    add_part(in, q->section);
    add_part(in, q->filter);
    add_part(in, str_of(numbers));
    add_part(in, c->model);
    add_part(in, c->prompt);
    add_part(in, c->refusal);
    add_part(in, q->instructions);
    add_part(in, q->options);
    add_part(in, (struct str){ &kind, 1 });
}

void
ask_probe_name(const struct question *q, struct str text, struct str whose, struct cache_probe *probe)
{
    struct buf in = BUF_MAX(1048576);
    uint8_t digest[16];
    char hex[33];
    struct str s;

    cache_input(q, text, whose, &in);
    if (!in.failed) {
        s = buf_slice(&in);
        md5(&s, 1, digest);
        sha256(&s, 1, probe->sha256);
        buf_reset(&in);
        buf_printf(&in, "fn:q:%s:%s", q->r->who.tenant, hex_text(digest, 16, hex));
        memcpy(probe->key, in.p, in.n < sizeof probe->key ? in.n + 1 : 0);
    }
    buf_free(&in);
}

/* Fill the probe; it stays empty when the cache does not apply. */
static void
probe_set(struct question *q)
{
    struct request *r = q->r;

    q->probe.feed_ms = epochs_heard_ms(r->gw); /* before the epoch, which may only be newer */
    if (!q->standalone || q->fresh || q->raw || r->no_cache ||
        !epoch_of(r->gw, r->who.tenant, q->collection, &q->probe.epoch))
        return;
    ask_probe_name(q, q->text, (struct str){ (const char *)q->session_hash, 32 }, &q->probe);
}

/* ---- saving */

void
ask_turn(const struct question *q, struct turn_finish_req *t)
{
    memset(t, 0, sizeof *t);
    t->session = (struct str){ (const char *)q->session_hash, 32 };
    t->question_id = q->question_id;
    t->message_id = q->message_id;
    t->answer = q->answer.p ? q->answer : STR("");
    t->model = q->model;
    t->status = q->refused ? STR("refused") : STR("complete");
    t->confidence = q->confidence;
    t->grounded = q->grounded;
    t->from_cache = q->from_cache;
    t->prompt_tokens = q->from_cache ? 0 : q->prompt_tokens;
    t->completion_tokens = q->from_cache ? 0 : q->completion_tokens;
    t->finish = ask_cut(q) ? q->finish : STR_NONE;
    t->origin_id = q->trace.origin_id;
    t->origin_ms = q->trace.origin_ms;
    t->created_ms = clock_wall_ms();
    t->begun_ms = t->created_ms - (clock_us() - q->r->start_us) / 1000;
    t->expiry_days = api_expiry_days(q->r);
    t->citations.v = (struct citation *)(uintptr_t)q->citations; /* only read */
    t->citations.n = q->n_citations;
}

/* The turn that goes to fn:turns on a hit: everything but the answer, which the script takes
 * from the cached value. */
static void
turn_pack(struct question *q)
{
    struct turn_finish_req t;

    ask_turn(q, &t);
    t.question = q->text;
    t.selection = select_own(q);
    t.from_cache = true;
    t.tenant = str_of(q->r->who.tenant);
    if (msg_encode(turn_finish_req_desc(), &t, &q->turn) == ERR_OK)
        q->probe.turn = buf_slice(&q->turn);
}

/* ---- hits */

/* As the store names the citations of a copied answer. */
struct uuid
ask_citation_id(const struct uuid *message_id, int64_t n)
{
    const struct str parts[3] = { STR("citation"),
                                  { (const char *)message_id->b, 16 },
                                  { (const char *)&n, sizeof n } };

    return uuid_named(parts, 3);
}

void
ask_copy(struct question *q, const struct turn_finish_req *t)
{
    q->answer = t->answer;
    q->citations = t->citations.v;
    q->n_citations = t->citations.n;
    q->model = t->model;
    q->confidence = t->confidence;
    q->grounded = t->grounded;
    q->prompt_tokens = t->prompt_tokens;
    q->completion_tokens = t->completion_tokens;
    q->trace.origin_ms = t->created_ms;
    q->from_cache = true;
}

static bool
hit_take(struct question *q, const struct cache_hit *hit)
{
    struct turn_finish_req t;

    if (answer_read(hit->value, q->r->arena, NULL, NULL, &q->fragment, &t) != ERR_OK)
        return false;
    ask_copy(q, &t);
    q->conversation_id = t.conversation_id;
    q->trace.origin_id = t.message_id;
    q->saved = hit->appended ? SAVED_QUEUED : SAVED_NO;
    return true;
}

/* A step that is sure to wait for long: better refused now, before anything is stored or paid for, than in two seconds. */
bool
ask_overloaded(const struct question *q)
{
    static const enum service_id steps[] = { SERVICE_STORE, SERVICE_EMBED, SERVICE_RETRIEVE, SERVICE_CHAT };
    size_t n = q->copied ? 1 : sizeof steps / sizeof *steps; /* a copy needs the store only */
    bool over = false;
    struct hub_view v;

    hub_look(api_hub(q->r), &v);
    for (size_t i = 0; i < n; i++)
        over |= v.service[steps[i]].overloaded;
    return over;
}

/* Not all at once: those who are told the same second come back as one burst. */
int64_t
ask_overload_retry_ms(void)
{
    uint8_t dice;

    random_bytes(&dice, 1);
    return 1000 + dice % OVERLOAD_RETRY_SPREAD * 1000;
}

/* Made-up names must not get the store asked: this comes after the limits. */
enum err
ask_settle(struct question *q)
{
    enum err e = q->settled ? ERR_OK : collection_of(q->r, q->collection, &q->settings);

    q->settled = e == ERR_OK || (e == ERR_NOT_FOUND && !q->named);
    return q->settled ? ERR_OK : e;
}

static bool
settle(struct question *q)
{
    enum err e = ask_settle(q);

    if (e == ERR_OK) {
        probe_set(q);
        return true;
    }
    if (e != ERR_NOT_FOUND)
        request_retry_after(q->r, 1000);
    reply_problem(q->r, e, NULL); /* not found: as for a collection that this key may not know */
    return false;
}

/* Limits, unless they were taken before. */
static bool
charge(struct question *q)
{
    q->charged = q->charged || admit(q->r, q->session_hash, NULL, NULL);
    return q->charged;
}

/* The key before the cache: a repetition gets the stored answer, whatever was cached since. The key is the store's, twice: in
 * an overload nearly every request is a repetition, and would keep the store from what it could finish. */
static bool
admit_claim(struct question *q, struct cache_hit *hit)
{
    if (ask_overloaded(q)) {
        request_retry_after(q->r, ask_overload_retry_ms());
        reply_problem(q->r, ERR_BUSY, NULL);
        return false;
    }
    if (!charge(q) || !idem_take(q->r, q->session_hash, &q->stored))
        return false;
    if (q->stored.status != 0)
        return true;
    if (!settle(q))
        return false;
    idem_ids(q->r, &q->question_id, &q->message_id);
    cache_look(q->r, &q->probe, hit);
    return true;
}

/* Limits and cache in one trip. */
static bool
admit_look(struct question *q, struct cache_hit *hit)
{
    set_ids(q);
    if (!q->settled || q->charged) {
        if (!charge(q) || !settle(q))
            return false;
        cache_look(q->r, &q->probe, hit);
        return true;
    }
    probe_set(q);
    if (q->probe.key[0] && api_save_hits(q->r))
        turn_pack(q);
    return admit(q->r, q->session_hash, &q->probe, hit);
}

bool
ask_admit(struct question *q)
{
    struct cache_hit hit = { 0 };
    int64_t since = clock_us();

    ask_stage(q, STAGE_AUTH, since - q->r->auth_us);
    if (!(q->r->idem ? admit_claim(q, &hit) : admit_look(q, &hit)))
        return false;
    ask_stage(q, STAGE_CACHE, since);
    q->trace.cache = hit.outcome;
    if (hit.hit && hit_take(q, &hit))
        ask_answered(q);
    return true;
}

void
ask_save_hit(struct question *q)
{
    struct turn_finish_req t;
    struct citation *own = arena_alloc(q->r->arena, (q->n_citations + 1) * sizeof *own);
    struct buf sealed = BUF_MAX(IDEM_BODY_MAX);
    struct outcome a;

    if (q->saved == SAVED_QUEUED || !api_save_hits(q->r) || !own)
        return;
    for (size_t i = 0; i < q->n_citations; i++) {
        own[i] = q->citations[i];
        own[i].id = ask_citation_id(&q->message_id, own[i].n); /* the cached ids belong to the first answer */
    }
    ask_turn(q, &t);
    t.question = q->text;
    t.selection = select_own(q);
    t.citations.v = own;
    ask_keep(q, &t, &sealed);
    if (api_call(q->r, &q->held, KIND_TURN_FINISH, &t, q->r->deadline_ms, &a) == ERR_OK) {
        q->saved = SAVED_YES;
        if (t.idem_key.p)
            idem_kept(q->r);
    }
    buf_free(&sealed);
}

/* The answer as readers find it: saved. */
void
ask_keep(struct question *q, struct turn_finish_req *t, struct buf *sealed)
{
    struct buf body = BUF_MAX(IDEM_BODY_MAX);
    enum ask_saved before = q->saved;

    if (!q->r->idem)
        return;
    q->saved = SAVED_YES;
    q->render(q, &body);
    q->saved = before;
    if (!body.failed)
        idem_fill(q->r, buf_slice(&body), t, sealed);
    buf_free(&body);
}

/* ---- the answer as JSON */

bool
ask_cache_fragment(const struct question *q, struct buf *b)
{
    struct viewer viewer = viewer_of(q->r, q->session_hash);

    buf_key_str(b, "answer", q->answer);
    buf_key(b, "sources");
    render_sources(b, q->citations, q->n_citations, &viewer);
    buf_key_num(b, "confidence", q->confidence);
    buf_key_bool(b, "grounded", q->grounded);
    return !b->failed;
}

bool
ask_cut(const struct question *q)
{
    return q->finish.n > 0 && !str_is(q->finish, "stop");
}

static void
render_usage(const struct question *q, struct buf *b)
{
    buf_key(b, "usage");
    buf_c(b, '{');
    buf_key_int(b, "prompt_tokens", q->from_cache ? 0 : q->prompt_tokens);
    buf_key_int(b, "completion_tokens", q->from_cache ? 0 : q->completion_tokens);
    buf_key_bool(b, "embedding_cached", q->embedding_cached);
    buf_key_str(b, "model", q->model);
    buf_key_bool(b, "degraded", q->degraded);
    buf_c(b, '}');
}

void
ask_render(const struct question *q, struct buf *b)
{
    static const char *const saved[] = { "no", "queued", "yes" };

    buf_reserve(b, q->fragment.n + 1024);
    buf_c(b, '{');
    if (q->fragment.p)
        buf_str(b, q->fragment);
    else
        ask_cache_fragment(q, b);
    render_key_uuid(b, "session_id", &q->session);
    render_key_uuid(b, "message_id", &q->message_id);
    render_key_uuid(b, "conversation_id", &q->conversation_id);
    buf_key_str(b, "cached", ask_cached(q));
    buf_key_str(b, "saved", str_of(saved[q->saved]));
    buf_key_str(b, "finish", ask_cut(q) ? q->finish : STR("stop"));
    render_usage(q, b);
    buf_c(b, '}');
}

void
ask_fini(struct question *q)
{
    ask_show_rest(q, NULL);
    call_free(&q->begin.call);
    held_free(&q->held);
    buf_free(&q->turn);
    buf_free(&q->partial);
    json_decref(q->body);
    q->body = NULL;
}
