/* GET /jobs/{id}: how far an ingestion job is; with Accept: text/event-stream as `progress` events until it is done. */
#include <time.h>

#include "common/clock.h"
#include "gateway/api/api.h"
#include "gateway/request/handler.h"
#include "gateway/request/render.h"
#include "gateway/admit/auth.h"
#include "gateway/upload/searchable.h"

#define EVERY_MS 250
#define STREAM_MS 120000

/* The job as JSON; false after the failure was sent. *done: it is at its end. */
static bool
look(struct request *r, const struct uuid *id, struct buf *b, bool *done)
{
    struct job_ref req = { .job_id = *id };
    struct held held = { 0 };
    struct job_rep job;
    struct outcome a;
    bool ok = api_get(r, &held, KIND_JOB_GET, &req, &a);

    if (ok) {
        job = *(const struct job_rep *)a.msg;
        ok = !job.collection.p || collection_allowed(r, job.collection);
        if (ok && str_is(job.status, "done") && job.collection.p &&
            job.seq > api_index_seq(r, &job.collection, 1))
            job.status = STR("running"); /* stored, and not in the index yet */
        *done = !str_is(job.status, "running");
        if (ok)
            render_job(b, &job);
        else
            reply_problem(r, ERR_NOT_FOUND, NULL);
    }
    held_free(&held);
    return ok;
}

static void
follow(struct request *r, const struct uuid *id, struct buf *b, bool done)
{
    struct buf last = BUF_MAX(65536);
    int64_t end = clock_ms() + STREAM_MS, ping = clock_ms() + STREAM_PING_MS;
    bool ok = stream_begin(r);

    r->deadline_ms = end;
    while (ok && !b->failed) {
        if (!str_eq(buf_slice(&last), buf_slice(b))) {
            ok = stream_event(r, done ? "done" : "progress", NULL, buf_slice(b));
            buf_reset(&last);
            buf_str(&last, buf_slice(b));
            ping = clock_ms() + STREAM_PING_MS;
        } else if (clock_ms() >= ping) {
            ok = stream_ping(r);
            ping = clock_ms() + STREAM_PING_MS;
        }
        if (!ok || done || clock_ms() >= end || api_gone(r))
            break;
        nanosleep(&(struct timespec){ .tv_nsec = EVERY_MS * 1000000 }, NULL);
        buf_reset(b);
        ok = look(r, id, b, &done);
    }
    stream_end(r);
    buf_free(&last);
}

void
route_job_get(struct request *r)
{
    struct buf b = BUF_MAX(65536);
    bool done = false;
    struct uuid id;

    if (!uuid_parse(r->arg, &id)) {
        reply_problem(r, ERR_NOT_FOUND, NULL);
        return;
    }
    if (!look(r, &id, &b, &done)) {
        buf_free(&b);
    } else if (str_starts(request_header(r, "Accept"), "text/event-stream")) {
        follow(r, &id, &b, done);
        buf_free(&b);
    } else {
        api_reply(r, 200, &b);
    }
}
