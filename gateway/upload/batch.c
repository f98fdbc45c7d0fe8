/* Documents on their way to the store (upload.h).
 *
 * The first call makes the job, the others join it; up to UPLOAD_MANY documents share a call and a
 * transaction, UPLOAD_WINDOW calls are under way at once. A record that is wrong is listed with its line and
 * the others go on; what the store refuses together is asked one by one, so that only the wrong one is
 * refused; a store that fails ends the upload. With ?wait=1 the answer waits until the job is done, this
 * gateway's feed has seen its last change, and a retriever's index has it. */
#include "gateway/upload/upload.h"

#include <stdio.h>
#include <time.h>

#include "common/clock.h"
#include "gateway/admit/idempotency.h"
#include "gateway/request/render.h"
#include "gateway/admit/auth.h"
#include "gateway/upload/searchable.h"
#include "gateway/watch/epochs.h"

#define POLL_MS 25
#define POLL_MAX_MS 200

void
upload_init(struct upload *u, struct request *r, struct str collection)
{
    memset(u, 0, sizeof *u);
    u->r = r;
    u->collection = collection;
    u->ids = BUF_MAX(1048576);
    u->errors = BUF_MAX(1048576);
}

static void
lot_free(struct lot **l)
{
    if (!*l)
        return;
    call_free(&(*l)->call);
    for (size_t i = 0; i < (*l)->n; i++)
        json_decref((*l)->json[i]);
    mem_free(l);
}

void
upload_fini(struct upload *u)
{
    for (size_t i = 0; i < u->n_pending; i++)
        lot_free(&u->pending[i]);
    lot_free(&u->lot);
    u->n_pending = 0;
    buf_free(&u->ids);
    buf_free(&u->errors);
}

static void
note_error(struct upload *u, size_t line, const char *pointer, const char *detail)
{
    if (u->refused++ >= UPLOAD_ERRORS)
        return;
    if (u->errors.n > 0)
        buf_c(&u->errors, ',');
    buf_c(&u->errors, '{');
    if (line > 0)
        buf_key_int(&u->errors, "line", (int64_t)line);
    buf_key_str(&u->errors, "pointer", str_of(pointer));
    buf_key_str(&u->errors, "detail", str_of(detail));
    buf_c(&u->errors, '}');
}

void
upload_refuse(struct upload *u, size_t line, const struct fault *f)
{
    note_error(u, line, f->pointer, f->detail);
}

static void
note_taken(struct upload *u, const struct document_put_rep *rep)
{
    char text[37];

    if (u->taken++ == 0) {
        u->job_id = rep->job_id;
        u->first = rep->document_id;
    }
    u->unchanged += rep->unchanged;
    if (u->ids.n > 0)
        buf_c(&u->ids, ',');
    buf_json_z(&u->ids, uuid_text(&rep->document_id, text));
}

static void
note_failure(struct upload *u, const size_t *lines, size_t n, const struct outcome *a)
{
    for (size_t i = 0; i < n; i++)
        note_error(u, lines[i], "", outcome_text(a));
    u->stopped = u->stopped || err_http(a->err) >= 500;
    if (u->failure.err == ERR_OK) {
        u->failure = *a;
        u->failure.text = arena_dup(u->r->arena, str_of(a->text ? a->text : ""));
        u->failure.msg = NULL;
    }
}

static void
nap(int64_t ms)
{
    nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

static struct outcome
answer_of(struct call *call)
{
    struct outcome a = { .err = ERR_INTERNAL, .text = "" };

    while (call_wait(call, INT64_MAX, &a) != CALL_DONE)
        ;
    return a;
}

/* One of them is refused: asking for each finds out which. */
static void
one_by_one(struct upload *u, struct lot *l)
{
    struct request *r = u->r;

    for (size_t i = 0; i < l->n && !u->stopped; i++) {
        struct call *call;
        struct outcome a;

        l->item[i].job_id = u->job_id;
        call = hub_call(api_hub(r), KIND_DOCUMENT_PUT, &l->item[i], r->who.tenant, r->id, r->deadline_ms);
        a = answer_of(call);
        if (a.err == ERR_OK)
            note_taken(u, a.msg);
        else
            note_failure(u, &l->line[i], 1, &a);
        call_free(&call);
    }
}

static void
ask_lot(struct upload *u, struct lot *l)
{
    struct request *r = u->r;
    struct documents_put_req req = { .collection = l->item[0].collection,
                                     .job_id = u->job_id,
                                     .items = { l->item, l->n } };

    l->call = hub_call(api_hub(r), KIND_DOCUMENTS_PUT, &req, r->who.tenant, r->id, r->deadline_ms);
}

/* A retriever that ends documents of the same job holds its row for moments: then it is asked again. */
static struct outcome
lot_answer(struct upload *u, struct lot *l)
{
    struct outcome a = answer_of(l->call);

    for (int i = 1; i < UPLOAD_TRIES && a.err == ERR_STORE_BUSY && clock_ms() < u->r->deadline_ms; i++) {
        call_free(&l->call);
        nap(POLL_MS);
        ask_lot(u, l);
        a = answer_of(l->call);
    }
    return a;
}

/* Wait for the oldest call under way. */
static void
collect(struct upload *u)
{
    struct lot *l = u->pending[0];
    struct outcome a = lot_answer(u, l);
    const struct documents_put_rep *rep = a.msg;

    u->n_pending--;
    memmove(&u->pending[0], &u->pending[1], u->n_pending * sizeof u->pending[0]);
    if (a.err == ERR_OK && rep->items.n == l->n) {
        for (size_t i = 0; i < rep->items.n; i++)
            note_taken(u, &rep->items.v[i]);
    } else if (a.err != ERR_OK && err_http(a.err) < 500 && l->n > 1) {
        one_by_one(u, l);
    } else {
        a.err = a.err ? a.err : ERR_BAD_FRAME;
        note_failure(u, l->line, l->n, &a);
    }
    lot_free(&l);
}

static void
send_lot(struct upload *u)
{
    struct lot *l = u->lot;

    if (!l)
        return;
    u->lot = NULL;
    ask_lot(u, l);
    u->pending[u->n_pending++] = l;
    if (u->n_pending == UPLOAD_WINDOW || uuid_is_nil(&u->job_id))
        collect(u);
}

/* Is the same document among them? All are of one collection. */
static bool
holds(const struct lot *l, const struct document_put_req *req)
{
    bool same = false;

    for (size_t i = 0; i < l->n && !same; i++)
        same = str_eq(l->item[i].external_id, req->external_id);
    return same && str_eq(l->item[0].collection, req->collection);
}

/* May it go along with those at hand? */
static bool
fits(const struct lot *l, const struct document_put_req *req)
{
    return l->n < UPLOAD_MANY && l->bytes + req->body.n <= UPLOAD_BYTES &&
           str_eq(l->item[0].collection, req->collection) && !holds(l, req);
}

/* An earlier record of the same document is under way. It may have to be sent again, and would come last. */
static bool
is_sent(const struct upload *u, const struct document_put_req *req)
{
    for (size_t i = 0; i < u->n_pending; i++)
        if (holds(u->pending[i], req))
            return true;
    return false;
}

/* The id of a document that came without one. With an Idempotency-Key a rerun makes the same ids. */
static struct str
mint_id(struct upload *u)
{
    const struct idem *idem = u->r->idem;
    struct uuid id = uuid_v7();
    char text[37];

    u->minted++;
    if (idem && !uuid_is_nil(&idem->seed))
        id = uuid_named((const struct str[]){ STR("document"),
                                              { (const char *)idem->seed.b, 16 },
                                              { (const char *)&u->minted, sizeof u->minted } },
                        3);
    return arena_str(u->r->arena, str_of(uuid_text(&id, text)));
}

/* False: it was noted as refused. */
static bool
prepare(struct upload *u, struct document_put_req *req, size_t line)
{
    struct request *r = u->r;

    if (u->stopped) {
        note_error(u, line, "", "not taken, because an earlier one failed");
        return false;
    }
    if (!req->collection.p)
        req->collection = u->collection;
    if (!name_ok(req->collection) || !collection_allowed(r, req->collection)) {
        note_error(u, line, "/collection", "is not a collection that this key may use");
        return false;
    }
    if (!u->first_collection.p)
        u->first_collection = arena_str(r->arena, req->collection);
    u->mixed = u->mixed || !str_eq(u->first_collection, req->collection);
    if (!req->external_id.p) /* made here, so that the hub may send it again */
        req->external_id = mint_id(u);
    return true;
}

void
upload_put(struct upload *u, struct document_put_req *req, size_t line, json_t *json)
{
    if (!prepare(u, req, line)) {
        json_decref(json);
        return;
    }
    if (u->lot && !fits(u->lot, req))
        send_lot(u);
    while (is_sent(u, req))
        collect(u);
    if (!u->lot)
        u->lot = mem_new(sizeof *u->lot);
    u->lot->bytes += req->body.n;
    u->lot->line[u->lot->n] = line;
    u->lot->json[u->lot->n] = json;
    u->lot->item[u->lot->n++] = *req;
    if (u->lot->n == UPLOAD_MANY || u->lot->bytes >= UPLOAD_BYTES)
        send_lot(u);
}

void
upload_flush(struct upload *u)
{
    send_lot(u);
    while (u->n_pending > 0)
        collect(u);
}

/* ---- waiting until it can be found */

static bool
feed_has(struct upload *u, int64_t seq)
{
    int64_t epoch = 0;

    return u->mixed || (epoch_of(u->r->gw, u->r->who.tenant, u->first_collection, &epoch) && epoch >= seq);
}

static bool
index_has(struct upload *u, int64_t seq)
{
    int64_t reached = api_index_seq(u->r, &u->first_collection, 1);

    return reached != INT64_MAX && reached >= seq;
}

enum waited { WAITED_FOUND, WAITED_FAILED, WAITED_LATE };

static enum waited
look_at_job(struct upload *u, int64_t *seq)
{
    struct job_ref req = { .job_id = u->job_id };
    struct held held = { 0 };
    enum waited w = WAITED_LATE;
    const struct job_rep *job;
    struct outcome a;

    if (api_call(u->r, &held, KIND_JOB_GET, &req, u->r->deadline_ms, &a) == ERR_OK) {
        job = a.msg;
        *seq = job->seq;
        if (str_is(job->status, "failed")) {
            w = WAITED_FAILED;
            reply_problem(u->r, ERR_VALIDATION, arena_dup(u->r->arena, job->error));
        } else if (str_is(job->status, "done")) {
            w = WAITED_FOUND;
        }
    }
    held_free(&held);
    return w;
}

static enum waited
wait_found(struct upload *u)
{
    int64_t step = POLL_MS, seq = 0;
    bool done = false;

    while (clock_ms() + step + POLL_MS < u->r->deadline_ms && !api_gone(u->r)) {
        if (!done) {
            enum waited w = look_at_job(u, &seq);

            if (w == WAITED_FAILED)
                return w;
            done = w == WAITED_FOUND;
        }
        if (done && feed_has(u, seq) && index_has(u, seq))
            return WAITED_FOUND;
        nap(step);
        step = step * 2 < POLL_MAX_MS ? step * 2 : POLL_MAX_MS;
    }
    return WAITED_LATE;
}

/* ---- the answer */

static void
reply_job(struct upload *u, int status, const char *state)
{
    char location[64], text[37];
    struct buf b = BUF_MAX(4194304);

    snprintf(location, sizeof location, "/api/v1/jobs/%s", uuid_text(&u->job_id, text));
    request_header_add(u->r, "Location", location);
    buf_c(&b, '{');
    render_key_uuid(&b, "job_id", &u->job_id);
    render_key_uuid(&b, "document_id", &u->first);
    buf_key(&b, "document_ids");
    buf_c(&b, '[');
    buf_str(&b, buf_slice(&u->ids));
    buf_c(&b, ']');
    buf_key_str(&b, "status", str_of(state));
    buf_key_int(&b, "documents", (int64_t)u->taken);
    buf_key_int(&b, "unchanged", (int64_t)u->unchanged);
    buf_key_int(&b, "refused", (int64_t)u->refused);
    buf_key(&b, "errors");
    buf_c(&b, '[');
    buf_str(&b, buf_slice(&u->errors));
    buf_z(&b, "]}");
    api_reply(u->r, status, &b);
}

static void
reply_document(struct upload *u)
{
    struct document_ref ref = { .document_id = u->first };
    const struct document_rep *rep;
    struct held held = { 0 };
    struct outcome a;
    struct buf b = BUF_MAX(1048576);

    if (api_get(u->r, &held, KIND_DOCUMENT_GET, &ref, &a)) {
        rep = a.msg;
        if (rep->items.n == 1 &&
            !str_is(rep->items.v[0].status, "ready")) { /* replaced meanwhile, or it cannot be loaded */
            reply_job(u, 202, "pending");
        } else if (rep->items.n == 1) {
            render_document(&b, &rep->items.v[0]);
            api_reply(u->r, 200, &b);
        } else {
            reply_problem(u->r, ERR_NOT_FOUND, "the document was deleted meanwhile");
        }
    }
    held_free(&held);
}

void
upload_reply(struct upload *u)
{
    struct str wait = request_param(u->r, "wait");
    enum waited w = WAITED_LATE;

    upload_flush(u);
    if (u->taken == 0 && u->failure.err && (u->stopped || u->refused == 1)) {
        reply_outcome(u->r, &u->failure);
        return;
    }
    if (u->taken == 0) {
        char *all = arena_printf(u->r->arena, "no document was taken: [" STR_FMT "]",
                                 STR_ARG(buf_slice(&u->errors)));

        reply_invalid(u->r, "", all ? all : "no document was taken");
        return;
    }
    if (str_is(wait, "1") || str_is(wait, "true"))
        w = wait_found(u);
    if (w == WAITED_FOUND && u->taken == 1 && u->refused == 0)
        reply_document(u);
    else if (w == WAITED_FOUND)
        reply_job(u, 200, "ready");
    else if (w == WAITED_LATE)
        reply_job(u, 202, u->unchanged == u->taken ? "unchanged" : "pending");
}
