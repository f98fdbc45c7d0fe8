/* footnote ask: one question; its answer as a whole, or as it is being written (server-sent events delta … done). */
#include <stdlib.h>

#include "common/text/text.h"
#include "client/client.h"

struct asking {
    bool wrote;    /* some of the answer was printed */
    bool done;     /* the event that ends it came */
    bool failed;   /* the server said why it stopped */
    bool raw;      /* --json: print events as they come */
};

/* What is said about a failure does not continue the answer's last line. */
static void
end_line(const struct asking *q)
{
    if (q->wrote)
        fputc('\n', stdout);
    fflush(stdout);
}

/* An answer that was cut says so; on the other stream, since it is none of the answer. */
static void
say_cut(const json_t *v)
{
    struct str finish = json_str(v, "finish");

    fflush(stdout);
    if (str_is(finish, "length"))
        say("the answer is cut off: it reached its greatest length");
    else if (str_is(finish, "content_filter"))
        say("the answer is cut off: by the content filter of the model");
    else if (finish.n > 0 && !str_is(finish, "stop"))
        say("the answer is cut off: " STR_FMT, STR_ARG(finish));
}

static void
on_done(struct asking *q, const json_t *v)
{
    q->done = true;
    if (!q->wrote)
        put_text(stdout, json_str(v, "answer"));
    fputc('\n', stdout);
    put_sources(json_items(v, "sources"));
    say_cut(v);
}

static void
on_event(void *arg, struct str event, struct str data)
{
    struct asking *q = arg;
    enum json_fault fault;
    const char *detail;
    json_t *v = json_read(data, &fault, &detail);

    if (q->raw) {
        printf(STR_FMT "\n", STR_ARG(data));
        q->done = q->done || str_is(event, "done");
    } else if (str_is(event, "delta")) {
        put_text(stdout, json_str(v, "text"));
        q->wrote = q->wrote || json_str(v, "text").n > 0;
    } else if (str_is(event, "done")) {
        on_done(q, v);
    }
    if (str_is(event, "error")) {
        struct str why = json_str(v, "detail").n ? json_str(v, "detail") : json_str(v, "title");

        q->failed = true;
        end_line(q);
        say("the answer failed: " STR_FMT, STR_ARG(why));
    }
    fflush(stdout);
    json_decref(v);
}

static int
ask_stream(struct cli *c, struct str body)
{
    struct asking q = { .raw = c->opt[CLI_JSON] != NULL };
    struct sse sse = { .on = on_event, .arg = &q };
    struct call k;
    bool ok;

    call_init(&k, c, "POST", "/api/v1/chat/stream", body, NULL);
    k.sse = &sse;
    ok = call_run(&k, c);
    if (ok && !q.done && !q.failed) {
        end_line(&q);
        say("the answer was cut off; ask again");
    }
    call_fini(&k);
    sse_fini(&sse);
    return ok && q.done ? 0 : 1;
}

static int
ask_whole(struct cli *c, struct str body)
{
    struct call k;
    json_t *v;
    int rc = 1;

    call_init(&k, c, "POST", "/api/v1/chat/query", body, NULL);
    v = call_json(&k, c);
    if (v && !c->opt[CLI_JSON]) {
        put_text(stdout, json_str(v, "answer"));
        fputc('\n', stdout);
        put_sources(json_items(v, "sources"));
        say_cut(v);
    }
    if (v)
        rc = 0;
    json_decref(v);
    call_fini(&k);
    return rc;
}

int
cmd_ask(struct cli *c)
{
    struct buf question = { 0 }, body = { 0 };
    struct uuid fresh = uuid_v4();
    char session[37];
    int rc;

    join_args(c, &question);
    buf_c(&body, '{');
    buf_key_str(&body, "question", buf_slice(&question));
    buf_key_str(&body, "session_id", str_of(c->opt[CLI_SESSION] ? c->opt[CLI_SESSION] : uuid_text(&fresh, session)));
    if (c->opt[CLI_COLLECTION])
        buf_key_str(&body, "collection", str_of(c->opt[CLI_COLLECTION]));
    if (c->opt[CLI_TOP_K])
        buf_key_int(&body, "top_k", strtol(c->opt[CLI_TOP_K], NULL, 10));
    buf_c(&body, '}');
    rc = c->opt[CLI_STREAM] ? ask_stream(c, buf_slice(&body)) : ask_whole(c, buf_slice(&body));
    buf_free(&question);
    buf_free(&body);
    return rc;
}
