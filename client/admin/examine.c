/* The view through the public API: the gateway, its clock, the services behind it, the key, the model
 * server, the limits. The model server is asked for the vectors of one short text and, as `raw`, for one word:
 * nothing of it is stored. */
#include "client/admin/admin.h"

#include <stdlib.h>
#include <time.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/process/proc.h"
#include "common/text/text.h"

#define SKEW_WARN_S 5
#define SKEW_FAIL_S 60

struct probe { /* one call, about which nothing is said yet */
    struct fetch k;
    int64_t ms;
    json_t *v;      /* of the reply; NULL: none */
    struct buf why; /* why it failed */
};

static bool
probe(struct probe *p, struct doctor *d, const char *method, const char *path, struct str body)
{
    int64_t since = clock_ms();
    CURLcode result;
    bool ok;

    *p = (struct probe){ 0 };
    fetch_init(&p->k, d->cli, method, path, body, NULL);
    ok = fetch_perform(&p->k, &result);
    p->ms = clock_ms() - since;
    p->v = fetch_reply(&p->k);
    if (ok && p->v)
        return true;
    fetch_explain(&p->k, d->cli, result, &p->why);
    return false;
}

static void
probe_fini(struct probe *p)
{
    json_decref(p->v);
    buf_free(&p->why);
    fetch_fini(&p->k);
}

/* ---- the gateway */

static void
check_version(struct doctor *d, const json_t *health)
{
    snprintf(d->version, sizeof d->version, STR_FMT, STR_ARG(json_str(health, "version")));
    if (strcmp(d->version, footnote_version) != 0)
        doctor_found(d, GRADE_WARN, "version", "install the same release of both",
                     "this client is %s, the gateway %s", footnote_version, d->version);
}

static void
check_clock(struct doctor *d, const struct probe *p)
{
    time_t there = curl_getdate(fetch_header(&p->k, "Date"), NULL);
    long long skew = (long long)there - clock_wall_ms() / 1000, by = skew < 0 ? -skew : skew;
    enum grade g = by > SKEW_FAIL_S ? GRADE_FAIL : by > SKEW_WARN_S ? GRADE_WARN : GRADE_OK;

    if (there < 0)
        doctor_found(d, GRADE_NOTE, "clock", NULL, "the gateway does not say what time it is");
    else if (g == GRADE_OK)
        doctor_found(d, g, "clock", NULL, "the gateway's clock and this machine's agree");
    else
        doctor_found(d, g, "clock",
                     "set both by NTP: ends of keys, of links and of sessions count by these clocks",
                     "the gateway's clock is %lld s %s this machine's", by, skew < 0 ? "behind" : "ahead of");
}

/* ---- what is behind it */

static const struct need { /* of health's `services` */
    const char *name;
    enum grade down;
    const char *advice;
} needs[] = {
    { "embed", GRADE_FAIL, "start footnote-embedder; its HUB_ENDPOINTS must name the gateway's HUB_BIND" },
    { "chat", GRADE_FAIL, "start footnote-embedder; its HUB_ENDPOINTS must name the gateway's HUB_BIND" },
    { "retrieve", GRADE_FAIL,
      "start footnote-retriever; its HUB_ENDPOINTS must name the gateway's HUB_BIND" },
    { "store", GRADE_FAIL, "start footnote-store; its HUB_ENDPOINTS must name the gateway's HUB_BIND" },
    { "janitor", GRADE_WARN, "start footnote-janitor: without it nothing that is old is deleted" },
    { "rerank", GRADE_WARN, "the embedder has lost RERANK_URL: passages stay in the order of the search" },
    { "postgres", GRADE_FAIL, "check DATABASE_URL and that Postgres runs; the store's log has its words" },
    { "redis", GRADE_WARN,
      "check REDIS_URL and that Redis runs: each gateway counts limits alone, and nothing is cached" },
};

static void
check_service(struct doctor *d, const char *name, const json_t *o)
{
    long long workers = json_int(o, "workers", -1), capacity = json_int(o, "capacity", 0),
              queued = json_int(o, "queued", 0);
    struct str status = json_str(o, "status");
    const struct need *need = NULL;

    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        if (strcmp(needs[i].name, name) == 0)
            need = &needs[i];
    if (str_is(status, "starting"))
        doctor_found(d, GRADE_WARN, name, "wait: it loads; its log says how far it is", "it is starting");
    else if (str_is(status, "unknown"))
        doctor_found(d, GRADE_NOTE, name, NULL, "only the store knows, and none answers");
    else if (!str_is(status, "ok"))
        doctor_found(d, need ? need->down : GRADE_FAIL, name, need ? need->advice : NULL, "it is " STR_FMT,
                     STR_ARG(status));
    else if (queued > 0 && queued >= capacity)
        doctor_found(d, GRADE_WARN, name, "start another one of it: work is shared by itself",
                     "%lld calls wait, and %lld are worked on at once", queued, capacity);
    else if (workers >= 0)
        doctor_found(d, GRADE_OK, name, NULL, "%lld at work, %lld calls at once", workers, capacity);
    else
        doctor_found(d, GRADE_OK, name, NULL, "it answers");
}

static void
check_services(struct doctor *d, const json_t *health)
{
    const char *name;
    json_t *o;

    json_object_foreach (json_object_get(health, "services"), name, o)
        check_service(d, name, o);
    if (json_str(health, "embedding").n > 0)
        doctor_found(
            d, GRADE_WARN, "embed",
            "give the embedder the old model again, or wait: `footnote collection NAME` shows how far the change is",
            STR_FMT, STR_ARG(json_str(health, "embedding")));
    if (json_str(health, "search").n > 0)
        doctor_found(d, GRADE_WARN, "retrieve",
                     "look at the search cluster: /readyz of a retriever and its log say what is wrong",
                     STR_FMT, STR_ARG(json_str(health, "search")));
}

/* The part that only /readyz knows; services are told apart above. */
static void
check_ready(struct doctor *d)
{
    static const struct {
        const char *missing, *advice;
    } reasons[] = {
        { "keys", "the gateway has not heard from the store which keys hold: does the store run?" },
        { "draining", "it is being stopped, and takes no new work: ask another gateway" },
        { "saturated", "start another gateway, or raise MAX_REQUESTS" },
        { "descriptors", "raise the gateway's limit of open files (LimitNOFILE, ulimit -Hn)" },
    };
    struct probe p;
    struct str missing;

    if (probe(&p, d, "GET", "/readyz", STR_NONE)) {
        doctor_found(d, GRADE_OK, "ready", NULL, "questions can be answered");
    } else {
        missing = json_str(p.v, "missing");
        for (size_t i = 0; i < sizeof reasons / sizeof *reasons && missing.n > 0; i++)
            if (str_has(missing, reasons[i].missing))
                doctor_found(d, GRADE_FAIL, "ready", reasons[i].advice, "the gateway takes no questions: %s",
                             reasons[i].missing);
    }
    probe_fini(&p);
}

/* ---- the key, and its limits */

static void
check_limits(struct doctor *d, const struct probe *p)
{
    long long limit = strtoll(fetch_header(&p->k, "X-RateLimit-Limit"), NULL, 10),
              left = strtoll(fetch_header(&p->k, "X-RateLimit-Remaining"), NULL, 10);

    if (limit <= 0)
        return;
    if (left * 10 < limit)
        doctor_found(d, GRADE_WARN, "limits",
                     "wait a minute, or make a key with higher limits (--per-minute, --per-hour)",
                     "%lld of %lld requests are left in this window", left, limit);
    else
        doctor_found(d, GRADE_OK, "limits", NULL, "%lld of %lld requests are left in this window", left,
                     limit);
}

/* The outcome of a call with the key, or without one. */
static void
judge_key(struct doctor *d, const struct probe *p, bool ok)
{
    bool given = d->cli->key != NULL;

    if (ok && given)
        doctor_found(d, GRADE_OK, "key", NULL, "the key is valid");
    else if (ok && !fetch_local(d->cli->url))
        doctor_found(d, GRADE_FAIL, "key", "set AUTH=on at the gateway, and make keys",
                     "no key is asked for: who reaches the gateway may do everything");
    else if (ok)
        doctor_found(d, GRADE_NOTE, "key", "set AUTH=on before others can reach the gateway",
                     "no key is asked for (AUTH=off)");
    else if (p->k.status == 403 && given)
        doctor_found(d, GRADE_NOTE, "key", "look again with a key that has the scope chat",
                     "the key lacks the scope chat: models, other keys and limits are not looked at");
    else
        doctor_found(
            d, GRADE_FAIL, "key",
            p->k.status == 401
                ? "give a valid key with FOOTNOTE_KEY, FOOTNOTE_KEY_FILE or --key; `footnote keys create` makes one"
                : "the gateway's log has the request",
            "%s", p->why.p);
}

/* True: it may ask. */
static bool
check_key(struct doctor *d)
{
    struct probe p;
    bool ok = probe(&p, d, "GET", "/api/v1/collections?limit=1", STR_NONE);

    judge_key(d, &p, ok);
    if (ok)
        check_limits(d, &p);
    probe_fini(&p);
    return ok;
}

struct aging { /* the keys that end soon */
    struct doctor *d;
    char own[65]; /* id of the key that we use; "": none */
    size_t keys;
    size_t soon;
};

static bool
look_at_key(void *arg, const json_t *k)
{
    struct aging *a = arg;
    struct str id = json_str(k, "id"), label = json_str(k, "label"), end = json_str(k, "expires_at");
    bool own = *a->own && str_is(id, a->own), replaced = json_str(k, "replaced_by").n > 0;
    int64_t left_ms;

    a->keys++;
    if (end.n == 0)
        return true;
    left_ms = admin_time_ms(end) - clock_wall_ms();
    if (left_ms > KEY_SOON_MS || ((left_ms < 0 || replaced) && !own))
        return true;
    a->soon++;
    doctor_found(
        a->d, GRADE_WARN, "key",
        replaced
            ? "its successor is made: put that in its place"
            : "make its successor with `footnote keys rotate` (or another one with `footnote keys create`), and "
              "put that in its place",
        "%s \"" STR_FMT "\" (%.12s) ends in %lld days", own ? "the key in use," : "the key", STR_ARG(label),
        id.p ? id.p : "", (long long)(left_ms / CLOCK_DAY_MS));
    return true;
}

/* A key that lists no others: every answer says when it ends. */
static void
judge_end(struct doctor *d, const struct probe *p)
{
    int64_t end_ms = admin_time_ms(str_of(fetch_header(&p->k, "X-Key-Expires-At")));
    int64_t left_ms = end_ms - clock_wall_ms();

    if (end_ms > 0 && left_ms < KEY_SOON_MS)
        doctor_found(d, GRADE_WARN, "key", "ask whoever made it for its successor",
                     "the key in use ends in %lld days", (long long)(left_ms / CLOCK_DAY_MS));
    doctor_found(d, GRADE_NOTE, "key", NULL, "it is no admin's: other keys are not looked at");
}

static void
check_keys(struct doctor *d)
{
    struct aging a = { .d = d };
    struct cli quiet = cli_quiet(d->cli);
    struct str key = d->cli->key ? str_of(d->cli->key) : STR_NONE;
    uint8_t digest[32];
    struct probe p;
    bool admin = probe(&p, d, "GET", "/api/v1/keys?limit=1", STR_NONE);

    if (!admin)
        judge_end(d, &p);
    probe_fini(&p);
    if (!admin)
        return;
    if (key.n > 0) {
        sha256(&key, 1, digest);
        hex_text(digest, sizeof digest, a.own);
    }
    if (each_item(&quiet, "/api/v1/keys", NULL, look_at_key, &a) && a.soon == 0)
        doctor_found(d, GRADE_OK, "key", NULL, "%zu keys; none of them ends within 14 days", a.keys);
}

/* ---- the model server */

static const char *
model_advice(const struct probe *p)
{
    if (str_is(json_str(json_object_get(p->v, "error"), "code"), "service_unavailable"))
        return "start the embedder: `make run`, or `docker-compose up -d embedder`";
    return "check OPENAI_BASE_URL, OPENAI_API_KEY and the models' names; the embedder's log has the model server's words";
}

static void
check_embedding(struct doctor *d)
{
    const json_t *first;
    struct probe p;

    if (probe(&p, d, "POST", "/v1/embeddings",
              STR("{\"model\":\"docs\",\"input\":[\"Is anybody there?\"]}"))) {
        first = json_array_get(json_object_get(p.v, "data"), 0);
        doctor_found(d, GRADE_OK, "model", NULL, "vectors of " STR_FMT ", %zu numbers each, in %lld ms",
                     STR_ARG(json_str(p.v, "model")), json_array_size(json_object_get(first, "embedding")),
                     (long long)p.ms);
    } else {
        doctor_found(d, GRADE_FAIL, "model", model_advice(&p), "no vectors: %s", p.why.p);
    }
    probe_fini(&p);
}

static void
check_chat(struct doctor *d)
{
    struct probe p;

    if (probe(
            &p, d, "POST", "/v1/chat/completions",
            STR("{\"model\":\"raw\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"Say yes.\"}]}")))
        doctor_found(d, GRADE_OK, "model", NULL, "the model that writes answers replies in %lld ms",
                     (long long)p.ms);
    else if (p.k.status == 400) /* the built-in one has nothing to quote */
        doctor_found(d, GRADE_NOTE, "model",
                     "give the embedder OPENAI_API_KEY or OPENAI_BASE_URL for a model that writes",
                     "no model server is set: answers are quoted from the documents");
    else
        doctor_found(d, GRADE_FAIL, "model", model_advice(&p), "the model that writes answers: %s", p.why.p);
    probe_fini(&p);
}

void
examine_api(struct doctor *d)
{
    struct probe p;
    bool there = probe(&p, d, "GET", "/api/v1/health", STR_NONE);

    if (there) {
        doctor_found(d, GRADE_OK, "gateway", NULL, "%s answers in %lld ms", d->cli->url, (long long)p.ms);
        check_version(d, p.v);
        check_clock(d, &p);
        check_services(d, p.v);
    } else {
        doctor_found(d, GRADE_FAIL, "gateway",
                     "start footnote-gateway, or name it with --url or FOOTNOTE_URL", "%s", p.why.p);
    }
    probe_fini(&p);
    if (!there)
        return;
    check_ready(d);
    if (check_key(d)) {
        check_keys(d);
        check_embedding(d);
        check_chat(d);
    }
}
