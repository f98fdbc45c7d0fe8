/* POST /documents against a fake store: four forms, one job, faults by line, waiting until it can be found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "common/clock.h"
#include "gateway/admit/auth.h"
#include "gateway/admit/idempotency.h"
#include "gateway/api/api.h"
#include "gateway/upload/searchable.h"
#include "gateway/upload/upload.h"
#include "gateway/watch/epochs.h"

struct call {
    enum kind kind;
    enum err err;
    struct document_put_rep put;
    struct document_put_rep many[UPLOAD_MANY];
    struct documents_put_rep puts;
};

static struct world {
    int puts, refuse_at, fail_at; /* DOCUMENT_PUTs; which one is refused or fails (from 1) */
    int in_flight, most;
    char mimes[8][32], ids[8][64], titles[8][64];
    int looks, done_after; /* JOB_GETs; from which on the job is at its end */
    bool job_failed;
    int searches, found_after; /* SEARCHes; from which on the index is there */
    int64_t epoch;
    const char *content_type, *wait, *collection, *filename;
    int status;
    struct buf body;
    char pointer[64], location[128];
    enum err problem;
} w;
static struct uuid job;

/* ---- the hub: the first put makes the job, later ones must name it */

static enum err
put(struct call *q, const struct document_put_req *req)
{
    int n = w.puts++;

    assert_true(n == 0 || w.refuse_at == 1 || w.fail_at == 1 || uuid_eq(&req->job_id, &job));
    if (n < 8) {
        snprintf(w.mimes[n], 32, STR_FMT, STR_ARG(req->mime));
        snprintf(w.ids[n], 64, STR_FMT, STR_ARG(req->external_id));
        snprintf(w.titles[n], 64, STR_FMT, STR_ARG(req->title));
    }
    q->put = (struct document_put_rep){ .document_id = uuid_v4(), .job_id = job };
    return n + 1 == w.refuse_at ? ERR_VALIDATION : w.fail_at && n + 1 >= w.fail_at ? ERR_STORE_DOWN : ERR_OK;
}

/* One transaction: all are taken, or none. */
static void
put_many(struct call *q, const struct documents_put_req *req)
{
    int n = (int)req->items.n;

    if (n > 1 && w.refuse_at > w.puts && w.refuse_at <= w.puts + n) {
        q->err = ERR_VALIDATION;
        return;
    }
    for (int i = 0; i < n && !q->err; i++) {
        struct document_put_req one = req->items.v[i];

        assert_true(str_eq(one.collection, req->collection));
        one.job_id = i > 0 ? job : req->job_id;
        q->err = put(q, &one);
        q->many[i] = q->put;
    }
    q->puts.items.v = q->many;
    q->puts.items.n = (size_t)n;
}

struct call *
hub_call(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace,
         int64_t deadline_ms)
{
    struct call *q = calloc(1, sizeof *q);

    (void)h;
    (void)trace;
    (void)deadline_ms;
    assert_string_equal(tenant, "default");
    q->kind = kind;
    if (kind == KIND_DOCUMENT_PUT)
        q->err = put(q, req);
    if (kind == KIND_DOCUMENTS_PUT)
        put_many(q, req);
    if (++w.in_flight > w.most)
        w.most = w.in_flight;
    return q;
}

static const void *
reply_of(struct call *q)
{
    static struct job_rep running;
    static struct search_rep found;
    static struct document doc;
    static struct document_rep docs;

    switch (q->kind) {
    case KIND_DOCUMENT_PUT: return &q->put;
    case KIND_DOCUMENTS_PUT: return &q->puts;
    case KIND_JOB_GET:
        running = (struct job_rep){
            .job_id = job, .seq = 5, .status = STR("running"), .error = STR("not readable")
        };
        if (++w.looks > w.done_after)
            running.status = w.job_failed ? STR("failed") : STR("done");
        return &running;
    case KIND_SEARCH: found.seq = ++w.searches > w.found_after ? 5 : 4; return &found;
    default:
        doc = (struct document){ .id = uuid_v4(), .collection = STR("docs"), .status = STR("ready") };
        docs.items.v = &doc;
        docs.items.n = 1;
        return &docs;
    }
}

enum call_event
call_wait(struct call *q, int64_t wake_ms, struct outcome *out)
{
    (void)wake_ms;
    *out = (struct outcome){ .err = q->err, .text = q->err ? "said the store" : "" };
    out->msg = q->err ? NULL : reply_of(q);
    return CALL_DONE;
}

void
call_free(struct call **q)
{
    w.in_flight -= *q != NULL;
    free(*q);
    *q = NULL;
}

enum err
call_once(struct hub *h, enum kind kind, const void *req, const char *tenant, const char *trace,
          int64_t deadline_ms, struct call **q, struct outcome *out)
{
    *q = hub_call(h, kind, req, tenant, trace, deadline_ms);
    call_wait(*q, INT64_MAX, out);
    return out->err;
}

/* ---- the edge */

struct hub *
api_hub(const struct request *r)
{
    (void)r;
    return NULL;
}
bool
api_gone(const struct request *r)
{
    (void)r;
    return false;
}
struct str
api_first_collection(const struct request *r)
{
    (void)r;
    return STR_NONE;
}
bool
collection_allowed(const struct request *r, struct str name)
{
    (void)r;
    return !str_is(name, "foreign");
}

struct str
request_header(const struct request *r, const char *name)
{
    (void)r;
    return strcmp(name, "X-Filename") == 0 ? str_of(w.filename) : str_of(w.content_type);
}

struct str
request_param(struct request *r, const char *name)
{
    (void)r;
    return strcmp(name, "wait") == 0         ? str_of(w.wait)
           : strcmp(name, "collection") == 0 ? str_of(w.collection)
                                             : STR_NONE;
}

void
request_header_add(struct request *r, const char *name, const char *value)
{
    (void)r;
    assert_string_equal(name, "Location");
    snprintf(w.location, sizeof w.location, "%s", value);
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
reply_json(struct request *r, int status, struct str body)
{
    (void)r;
    assert_int_equal(w.status, 0); /* exactly one answer */
    w.status = status;
    buf_str(&w.body, body);
}

void
reply_problem(struct request *r, enum err e, const char *detail)
{
    reply_json(r, err_http(e), str_of(detail));
    w.problem = e;
}

void
reply_invalid(struct request *r, const char *pointer, const char *detail)
{
    reply_problem(r, ERR_VALIDATION, detail);
    snprintf(w.pointer, sizeof w.pointer, "%s", pointer);
}

void
reply_outcome(struct request *r, const struct outcome *a)
{
    reply_problem(r, a->err, a->text);
}

bool
epoch_of(struct gateway *gw, const char *tenant, struct str collection, int64_t *epoch)
{
    (void)gw;
    (void)tenant;
    (void)collection;
    *epoch = w.epoch;
    return true;
}

/* ---- the tests */

static int
fresh(void **state)
{
    (void)state;
    buf_free(&w.body);
    memset(&w, 0, sizeof w);
    w.epoch = 5;
    job = uuid_v7();
    return 0;
}

static void
send_for(const char *type, const char *body, int64_t ms)
{
    struct str t = str_of(type);
    const char *semicolon = strchr(type, ';');
    struct request r = { .arena = arena_new(8 << 20),
                         .id = "req-1",
                         .body = str_of(body),
                         .who = { .tenant = "default" },
                         .deadline_ms = clock_ms() + ms };

    w.content_type = type;
    r.content_type = semicolon ? (struct str){ type, (size_t)(semicolon - type) } : t;
    route_document_put(&r);
    arena_free(&r.arena);
    assert_int_equal(w.in_flight, 0);
}

static void
upload(const char *type, const char *body)
{
    send_for(type, body, 5000);
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
a_document_becomes_a_job(void **state)
{
    char want[128], text[37];
    json_t *o;

    (void)state;
    upload("application/json", "{\"id\":\"a\",\"title\":\"A\",\"text\":\"words\"}");
    assert_int_equal(w.status, 202);
    snprintf(want, sizeof want, "/api/v1/jobs/%s", uuid_text(&job, text));
    assert_string_equal(w.location, want);
    o = body();
    assert_true(str_is(json_str(o, "job_id"), text) && str_is(json_str(o, "status"), "pending"));
    assert_int_equal(json_array_size(json_object_get(o, "document_ids")), 1);
    json_decref(o);
}

static void
documents_without_an_id_get_one_before_they_are_sent(void **state)
{
    struct uuid a, b;

    (void)state;
    upload("application/jsonl",
           "{\"text\":\"one\"}\n{\"text\":\"two\"}\n{\"text\":\"three\",\"id\":\"mine\"}\n");
    assert_int_equal(w.puts, 3);
    assert_true(uuid_parse(str_of(w.ids[0]), &a) && uuid_version(&a) == 7);
    assert_true(uuid_parse(str_of(w.ids[1]), &b) && !uuid_eq(&a, &b));
    assert_string_equal(w.ids[2], "mine");
}

static void
with_an_idempotency_key_a_rerun_makes_the_same_ids(void **state)
{
    struct idem idem = { .seed = uuid_v4() };
    struct document_put_req req = { .collection = STR("docs"),
                                    .mime = STR("text/plain"),
                                    .body = STR("words") };

    (void)state;
    for (int run = 0; run < 2; run++) {
        struct request r = {
            .arena = arena_new(1 << 20), .id = "req-1", .who = { .tenant = "default" }, .idem = &idem
        };
        struct upload u;

        upload_init(&u, &r, STR("docs"));
        for (int i = 0; i < 2; i++) {
            req.external_id = STR_NONE;
            u.job_id = job;
            upload_put(&u, &req, 0, NULL);
        }
        upload_flush(&u);
        upload_fini(&u);
        arena_free(&r.arena);
    }
    assert_int_equal(w.puts, 4);
    assert_string_equal(w.ids[0], w.ids[2]);
    assert_string_equal(w.ids[1], w.ids[3]);
    assert_string_not_equal(w.ids[0], w.ids[1]);
}

static void
wrong_records_are_listed_by_line_and_the_others_share_one_job(void **state)
{
    struct buf b = BUF_MAX(0);
    json_t *o, *errors;

    (void)state;
    buf_z(
        &b,
        "{\"text\":\"first\"}\nnonsense\n{\"titel\":1,\"text\":\"x\"}\n{\"text\":\"y\",\"collection\":\"foreign\"}\n");
    for (int i = 0; i < 6 * UPLOAD_MANY - 1; i++)
        buf_z(&b, "{\"text\":\"more\"}\n");
    upload("application/x-ndjson", b.p);
    assert_int_equal(w.status, 202);
    assert_int_equal(w.puts, 6 * UPLOAD_MANY);
    assert_int_equal(w.most, UPLOAD_WINDOW);
    o = body();
    errors = json_object_get(o, "errors");
    assert_int_equal(json_array_size(errors), 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(json_int(json_array_get(errors, i), "line", 0), (int)i + 2);
    json_decref(o);
    buf_free(&b);
}

static void
a_store_that_fails_ends_the_upload(void **state)
{
    json_t *o;

    (void)state;
    w.fail_at = 1;
    upload("application/jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n{\"text\":\"c\"}\n");
    assert_int_equal(w.problem, ERR_STORE_DOWN);
    assert_int_equal(w.puts, 1);
    fresh(NULL);
    w.fail_at = 2; /* the second of two calls: an id that comes twice does not go along with itself */
    upload("application/jsonl", "{\"text\":\"a\",\"id\":\"x\"}\n{\"text\":\"b\",\"id\":\"x\"}\n");
    assert_int_equal(w.status, 202);
    o = body();
    assert_int_equal(json_int(o, "refused", 0), 1);
    json_decref(o);
    fresh(NULL);
    w.refuse_at = 2; /* what is refused together is asked one by one */
    upload("application/jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n{\"text\":\"c\"}\n");
    assert_int_equal(w.status, 202);
    o = body();
    assert_int_equal(json_int(o, "documents", 0), 2);
    assert_int_equal(json_int(json_array_get(json_object_get(o, "errors"), 0), "line", 0), 2);
    json_decref(o);
    fresh(NULL);
    w.refuse_at = 1;
    upload("application/json", "{\"text\":\"a\"}");
    assert_int_equal(w.problem, ERR_VALIDATION);
}

/* Also when the one before was refused with its lot and comes by itself after that. */
static void
of_two_records_with_one_id_the_later_one_stands(void **state)
{
    (void)state;
    w.refuse_at = 3;
    upload(
        "application/jsonl",
        "{\"id\":\"a\",\"title\":\"1\",\"text\":\"t\"}\n{\"id\":\"a\",\"title\":\"2\",\"text\":\"t\"}\n"
        "{\"id\":\"b\",\"title\":\"bad\",\"text\":\"t\"}\n{\"id\":\"a\",\"title\":\"4\",\"text\":\"t\"}\n");
    assert_int_equal(w.status, 202);
    assert_int_equal(w.puts, 4);
    assert_string_equal(w.titles[0], "1");
    assert_string_equal(w.titles[1], "2");
    assert_string_equal(w.titles[2], "bad");
    assert_string_equal(w.titles[3], "4");
}

static void
a_request_without_a_good_record_is_refused(void **state)
{
    (void)state;
    upload("application/jsonl", "\n\n");
    assert_int_equal(w.status, 422);
    fresh(NULL);
    upload("application/jsonl", "[]\n{}\n");
    assert_int_equal(w.status, 422);
    fresh(NULL);
    w.collection = "foreign";
    upload("application/json", "{\"text\":\"a\"}");
    assert_int_equal(w.problem, ERR_NOT_FOUND);
    fresh(NULL);
    upload("application/json", "{\"text\":\"a\",\"collection\":\"foreign\"}");
    assert_int_equal(w.problem, ERR_NOT_FOUND);
    assert_int_equal(w.puts, 0);
}

static void
a_raw_body_takes_its_type_and_name_from_headers(void **state)
{
    (void)state;
    w.filename = "dir/notes.md";
    upload("text/plain; charset=utf-8", "# Notes\n");
    assert_int_equal(w.status, 202);
    assert_string_equal(w.mimes[0], "text/markdown");
    assert_string_equal(w.ids[0], "notes.md");
    fresh(NULL);
    upload("video/mp4", "x");
    assert_int_equal(w.status, 415);
    fresh(NULL);
    upload("application/pdf", "%PNG"); /* it says what it is not */
    assert_int_equal(w.status, 422);
    fresh(NULL);
    upload("text/plain", "%PDF-1.4\n"); /* its bytes say what it is */
    assert_string_equal(w.mimes[0], "application/pdf");
    fresh(NULL);
    upload("text/plain", "caf\xE9");
    assert_int_equal(w.status, 422);
}

static void
a_form_takes_all_its_files_or_none(void **state)
{
    static const char good[] = "--b\r\nContent-Disposition: form-data; name=f; filename=a.md\r\n\r\n# A\r\n"
                               "--b\r\nContent-Disposition: form-data; name=f; filename=b.txt\r\n\r\nB\r\n"
                               "--b\r\nContent-Disposition: form-data; name=collection\r\n\r\nc\r\n--b--";
    static const char bad[] =
        "--b\r\nContent-Disposition: form-data; name=f; filename=a.md\r\n\r\n# A\r\n"
        "--b\r\nContent-Disposition: form-data; name=f; filename=b.bin\r\n\r\nB\r\n--b--";

    (void)state;
    upload("multipart/form-data; boundary=b", good);
    assert_int_equal(w.status, 202);
    assert_int_equal(w.puts, 2);
    assert_string_equal(w.ids[1], "b.txt");
    assert_string_equal(w.titles[1], "b.txt");
    fresh(NULL);
    upload("multipart/form-data; boundary=b", bad);
    assert_int_equal(w.status, 415);
    assert_int_equal(w.puts, 0);
    fresh(NULL);
    upload("multipart/form-data", good);
    assert_int_equal(w.status, 400);
    fresh(NULL);
    upload("multipart/form-data; boundary=b",
           "--b\r\nContent-Disposition: form-data; name=secret\r\n\r\nc\r\n--b--");
    assert_int_equal(w.status, 422);
}

static void
waiting_ends_when_feed_and_index_have_it(void **state)
{
    (void)state;
    w.wait = "1";
    w.done_after = 2;
    w.found_after = 2;
    upload("application/json", "{\"text\":\"a\"}");
    assert_int_equal(w.status, 200);
    assert_int_equal(w.looks, 3);
    assert_int_equal(w.searches, 3);
}

static void
waiting_too_long_gives_the_job_and_a_failed_job_its_reason(void **state)
{
    (void)state;
    w.wait = "1";
    w.epoch = 4; /* this gateway has not seen the change */
    send_for("application/json", "{\"text\":\"a\"}", 300);
    assert_int_equal(w.status, 202);
    assert_int_equal(w.searches, 0);
    fresh(NULL);
    w.wait = "1";
    w.job_failed = true;
    upload("application/json", "{\"text\":\"a\"}");
    assert_int_equal(w.status, 422);
    assert_string_equal(w.body.p, "not readable");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_document_becomes_a_job, fresh),
        cmocka_unit_test_setup(documents_without_an_id_get_one_before_they_are_sent, fresh),
        cmocka_unit_test_setup(with_an_idempotency_key_a_rerun_makes_the_same_ids, fresh),
        cmocka_unit_test_setup(wrong_records_are_listed_by_line_and_the_others_share_one_job, fresh),
        cmocka_unit_test_setup(a_store_that_fails_ends_the_upload, fresh),
        cmocka_unit_test_setup(of_two_records_with_one_id_the_later_one_stands, fresh),
        cmocka_unit_test_setup(a_request_without_a_good_record_is_refused, fresh),
        cmocka_unit_test_setup(a_raw_body_takes_its_type_and_name_from_headers, fresh),
        cmocka_unit_test_setup(a_form_takes_all_its_files_or_none, fresh),
        cmocka_unit_test_setup(waiting_ends_when_feed_and_index_have_it, fresh),
        cmocka_unit_test_setup(waiting_too_long_gives_the_job_and_a_failed_job_its_reason, fresh),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    fresh(NULL);
    return failed;
}
