/* Idempotency keys at the edge (idempotency.h). The store keeps the row; this file makes it from a request.
 *
 * Scope: the API key (anonymous and publishable ones: the session; without one, the request itself), and the route.
 * Fingerprint: method, path, query, the headers that change what is done, body. The stored answer is sealed
 * with a key that only the sender's header values give, its API key among them: answers hold session ids
 * and, once, API keys, which the database must never know. Callers who share no secret with us share no
 * answer that holds one: a request that mints a secret runs anew for them, since a guess of the header's
 * value would get it. */
#include "gateway/admit/idempotency.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/digest.h"
#include "gateway/admit/lease.h"
#include "gateway/request/handler.h"
#include "gateway/request/problem.h"
#include "gateway/edge/origin.h"

#define SETTLE_MS 2000 /* an answer that exists waits no longer than this for being stored */

static bool
key_ok(struct str key)
{
    for (size_t i = 0; i < key.n; i++)
        if (key.p[i] <= 0x20 || key.p[i] >= 0x7f)
            return false;
    return key.n >= 1 && key.n <= 255;
}

/* Digest of the digests: no two lists of parts look alike. */
static void
fingerprint(struct request *r, uint8_t out[32])
{
    const struct str parts[] = { str_of(method_names[r->method]),
                                 r->path,
                                 str_of(request_query(r)),
                                 request_header(r, "Content-Type"),
                                 request_header(r, "X-Session-ID"),
                                 request_header(r, "X-Filename"),
                                 r->body };
    uint8_t all[sizeof parts / sizeof parts[0]][32];

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        sha256(&(struct str){ parts[i].p ? parts[i].p : "", parts[i].n }, 1, all[i]);
    sha256(&(struct str){ (const char *)all, sizeof all }, 1, out);
}

/* Has the caller an API key that nobody else has? One that is bound to origins stands in a page for everybody. */
static bool
keyed(const struct request *r)
{
    static const uint8_t none[32];
    const struct api_key *k = r->who.key;

    return memcmp(r->who.key_hash, none, 32) != 0 && (!k || k->origins.n == 0);
}

/* The API key as it was sent; empty when none counts. */
static struct str
presented(const struct request *r)
{
    struct str h = request_header(r, "Authorization");

    if (!keyed(r) || h.n <= 7)
        return STR("");
    h.p += 7;
    h.n -= 7;
    return text_trim(h);
}

static void
make_secret(const struct request *r, struct str key, uint8_t out[32])
{
    struct str secret = api_secret(r), own = presented(r);
    uint8_t mine[32], theirs[32];
    struct str parts[] = {
        STR("footnote stored answer"), { (const char *)mine, 32 }, { (const char *)theirs, 32 }, key
    };

    sha256(&secret, 1, mine);
    sha256(&own, 1, theirs);
    sha256(parts, 4, out);
}

bool
idem_begin(struct request *r)
{
    struct str key = request_header(r, "Idempotency-Key");
    struct idem *i;
    uint8_t digest[32];

    if (!key.p)
        return true;
    if (!key_ok(key)) {
        reply_problem(r, ERR_BAD_REQUEST, "Idempotency-Key must have 1 to 255 visible ASCII characters");
        return false;
    }
    if ((r->route->flags & MINTS) && !keyed(r))
        return true;
    if (!(i = arena_alloc(r->arena, sizeof *i))) {
        reply_problem(r, ERR_BUSY, NULL);
        return false;
    }
    sha256(&key, 1, digest);
    hex_text(digest, 32, i->key);
    make_secret(r, key, i->secret);
    fingerprint(r, i->hash);
    i->holder = uuid_v7();
    r->idem = i;
    r->before_answer = idem_settle;
    return true;
}

/* Visitors of one page share its publishable key, or have none: they are told apart by their sessions. Their address
 * tells nothing apart: behind one stand a whole office and a proxy's every client. */
static void
make_scope(const struct request *r, struct idem *i)
{
    struct str s = request_header(r, "X-Session-ID");
    struct uuid id;
    char hex[65] = "";
    uint8_t hash[32];
    const char *kind = "local";

    if (keyed(r)) {
        kind = "key";
        hex_text(r->who.key_hash, 32, hex);
    } else if (i->has_session) {
        kind = "session";
        hex_text(i->session, 32, hex);
    } else if (s.p && uuid_parse(s, &id)) {
        kind = "session";
        session_digest(&id, hash);
        hex_text(hash, 32, hex);
    } else if (r->who.anonymous || r->who.key) {
        kind = "request";
        hex_text(i->hash, 32, hex);
    }
    snprintf(i->scope, sizeof i->scope, "%s:%.64s %.60s", kind, hex, r->route->name);
}

/* The sealed text is the address for Location (or nothing), a line feed, the body. */
static bool
open_stored(struct request *r, const struct idem_claim_rep *rep, struct idem_answer *out)
{
    struct buf plain = BUF_MAX(IDEM_BODY_MAX);
    const char *nl = NULL;
    struct str all = STR_NONE;

    if (unseal(r->idem->secret, rep->stored, &plain))
        all = arena_str(r->arena, buf_slice(&plain));
    buf_free(&plain);
    if (all.p)
        nl = memchr(all.p, '\n', all.n);
    if (!nl)
        return false;
    out->status = (int)rep->status;
    out->location = (struct str){ all.p, (size_t)(nl - all.p) };
    out->body = (struct str){ nl + 1, all.n - out->location.n - 1 };
    return true;
}

static bool
claimed(struct request *r, const struct idem_claim_rep *rep, struct idem_answer *stored)
{
    struct idem *i = r->idem;

    if (!rep->stored.p) {
        i->seed = rep->seed;
        i->outcome = IDEM_RUNNING;
        idem_keep(r);
        return true;
    }
    if (rep->status >= 200 && rep->status < 500 && open_stored(r, rep, stored)) {
        i->outcome = IDEM_REPLAYED;
        return true;
    }
    LOG(WARN, r->id, M("a stored answer cannot be read; has DEPLOYMENT_SECRET changed?"));
    i->outcome = IDEM_FAILED;
    reply_problem(r, ERR_CONFLICT, "this request was done, but its stored answer cannot be read any more");
    return false;
}

static enum err
ask_claim(struct request *r, struct held *held, struct outcome *a)
{
    const struct idem *i = r->idem;
    const struct idem_claim_req req = { .scope = str_of(i->scope),
                                        .key = str_of(i->key),
                                        .hash = { (const char *)i->hash, 32 },
                                        .holder = i->holder,
                                        .lease_ms = idem_lease_ms(r) };

    return api_call(r, held, KIND_IDEM_CLAIM, &req, r->deadline_ms, a);
}

bool
idem_take(struct request *r, const uint8_t *session, struct idem_answer *stored)
{
    struct idem *i = r->idem;
    struct held held = { 0 };
    struct outcome a;
    bool good = false;

    *stored = (struct idem_answer){ 0 };
    if (session)
        memcpy(i->session, session, 32);
    i->has_session = session != NULL;
    make_scope(r, i);
    if (ask_claim(r, &held, &a) == ERR_OK) {
        good = claimed(r, a.msg, stored);
    } else {
        i->outcome = a.err == ERR_IN_PROGRESS   ? IDEM_BUSY
                     : a.err == ERR_IDEMPOTENCY ? IDEM_MISMATCH
                                                : IDEM_FAILED;
        if (a.err == ERR_IN_PROGRESS)
            request_retry_after(r, 1000);
        else if (a.retry_after_ms > 0)
            request_retry_after(r, a.retry_after_ms);
        reply_problem(r, a.err, a.text);
    }
    held_free(&held);
    return good;
}

void
idem_ids(const struct request *r, struct uuid *question, struct uuid *answer)
{
    const struct str parts[] = { STR("idempotent answer"), { (const char *)r->idem->seed.b, 16 } };

    *question = r->idem->seed;
    *answer = uuid_named(parts, 2);
    if (r->gw->opt->messages_partitioned) /* the milliseconds of its question, a UUIDv7, stand first */
        memcpy(answer->b, question->b, 6);
}

/* ---- storing */

bool
idem_final(int status)
{
    if (status >= 200 && status < 300)
        return true;
    return status >= 400 && status < 499 && status != 408 && status != 409 && status != 425 && status != 429;
}

static struct str
location_of(const struct request *r)
{
    static const char name[] = "Location: ";
    const char *at = r->headers.n > 0 ? r->headers.p : NULL;

    for (; at != NULL; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, name, sizeof name - 1) == 0)
            return (struct str){ at + sizeof name - 1, strcspn(at + sizeof name - 1, "\r\n") };
    }
    return STR("");
}

static bool
seal_answer(const struct request *r, struct str location, struct str body, struct buf *out)
{
    struct buf plain = BUF_MAX(IDEM_BODY_MAX - SEAL_EXTRA);

    buf_str(&plain, location);
    buf_c(&plain, '\n');
    buf_str(&plain, body);
    if (!plain.failed)
        seal(r->idem->secret, buf_slice(&plain), out);
    out->failed = out->failed || plain.failed;
    buf_free(&plain);
    return !out->failed;
}

bool
idem_fill(const struct request *r, struct str body, struct turn_finish_req *t, struct buf *sealed)
{
    const struct idem *i = r->idem;

    if (!seal_answer(r, STR(""), body, sealed))
        return false;
    t->idem_key = str_of(i->key);
    t->idem_scope = str_of(i->scope);
    t->idem_holder = i->holder;
    t->idem_body = buf_slice(sealed);
    t->idem_status = 200;
    return true;
}

void
idem_kept(struct request *r)
{
    if (r->idem)
        r->idem->outcome = IDEM_STORED;
}

static void
finish(struct request *r, int status, struct str sealed)
{
    struct idem *i = r->idem;
    struct idem_finish_req req = { .scope = str_of(i->scope),
                                   .key = str_of(i->key),
                                   .holder = i->holder,
                                   .status = status,
                                   .body = sealed };
    struct held held = { 0 };
    struct outcome a;

    if (i->has_session)
        req.session = (struct str){ (const char *)i->session, 32 };
    idem_unkeep(r);
    i->outcome = status > 0 ? IDEM_STORED : IDEM_FREED;
    if (api_call(r, &held, KIND_IDEM_FINISH, &req, clock_ms() + SETTLE_MS, &a) != ERR_OK) {
        i->outcome = IDEM_FAILED; /* the lease runs out by itself */
        LOG(WARN, r->id, M("an idempotency key could not be settled"), KS("code", err_name(a.err)));
    }
    held_free(&held);
}

bool
idem_running(const struct request *r)
{
    return r->idem && r->idem->outcome == IDEM_RUNNING;
}

void
idem_settle(struct request *r, int status, struct str body)
{
    struct buf sealed = BUF_MAX(IDEM_BODY_MAX);

    if (!idem_running(r))
        return;
    if (idem_final(status) && seal_answer(r, location_of(r), body, &sealed))
        finish(r, status, buf_slice(&sealed));
    else
        finish(r, 0, STR_NONE);
    buf_free(&sealed);
}

void
idem_end(struct request *r)
{
    if (idem_running(r))
        finish(r, 0, STR_NONE);
    if (r->idem)
        idem_unkeep(r);
}

/* ---- replaying */

void
idem_replayed(struct request *r)
{
    request_header_add(r, "Idempotency-Replayed", "true");
}

void
idem_replay(struct request *r, const struct idem_answer *stored)
{
    idem_replayed(r);
    if (stored->location.n > 0)
        request_header_add(r, "Location", arena_dup(r->arena, stored->location));
    reply_bytes(r, stored->status, stored->status < 400 ? "application/json" : problem_type(r), stored->body);
}
