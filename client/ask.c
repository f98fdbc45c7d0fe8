/* footnote ask: one question; its answer as a whole, or as it is being written (server-sent events delta … done). */
#include <poll.h>

#include "common/text/text.h"
#include "client/client.h"

#define EVENT_MAX ((size_t)4 << 20)

volatile sig_atomic_t ask_stopped;

#define TRIES 8 /* connections in a row without an event */

struct asking {
    const struct cli *cli;
    bool resumable, news; /* it can go on at another connection; an event came over this one */
    struct asked *asked;  /* gets what the answer came with; NULL: nobody wants it */
    bool wrote;           /* some of the answer was printed */
    bool done;            /* the event that ends it came */
    bool failed;          /* the server said why it stopped */
    bool raw;             /* --json: print events as they come */
};

/* A message about a failure does not continue the answer's last line. */
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

/* An answer for which only passages, or only words, could be had says so, too. */
static void
say_degraded(const json_t *v)
{
    if (json_is_true(json_object_get(json_object_get(v, "usage"), "degraded")))
        say("a model server is away: the answer quotes passages, or was found by words alone");
}

static void
keep(struct asked *a, const json_t *v)
{
    struct str conversation = json_str(v, "conversation_id");

    if (!a)
        return;
    json_decref(a->sources);
    a->sources = json_incref(json_object_get(v, "sources"));
    if (conversation.n == 36)
        memcpy(a->conversation, conversation.p, 37);
}

static void
on_done(struct asking *q, const json_t *v)
{
    q->done = true;
    if (!q->wrote)
        put_markdown(stdout, json_str(v, "answer"));
    fputc('\n', stdout);
    put_sources(q->cli, json_items(v, "sources"));
    keep(q->asked, v);
    say_cut(v);
    say_degraded(v);
}

static int
on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)arg;
    (void)(a + b + c + d);
    return ask_stopped;
}

static void
on_event(void *arg, struct str event, struct str data)
{
    struct asking *q = arg;
    enum json_fault fault;
    const char *detail;
    json_t *v = json_read(data, &fault, &detail);

    q->news = true;
    if (str_is(event, "meta"))
        q->resumable = json_flag(v, "resumable", false);
    if (q->raw) {
        printf(STR_FMT "\n", STR_ARG(data));
        q->done = q->done || str_is(event, "done");
    } else if (str_is(event, "delta")) {
        put_markdown(stdout, json_str(v, "text"));
        q->wrote = q->wrote || json_str(v, "text").n > 0;
    } else if (str_is(event, "restart") && q->wrote) {
        put_text(stdout, STR("\n\n"));
        end_line(q);
        say("the answer begins anew");
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

/* The path of the stream that an event's id belongs to. */
static void
path_of(char path[96], const char *id)
{
    snprintf(path, 96, "/api/v1/chat/stream/%.36s", id);
}

/* Nobody reads on: the answer need not be made. */
static void
stop(struct cli *c, const char *session, const char *id)
{
    struct fetch k;
    CURLcode result;
    char path[96];

    path_of(path, id);
    fetch_init(&k, c, "DELETE", path, STR_NONE, session);
    fetch_perform(&k, &result);
    fetch_fini(&k);
}

/* One connection: the question, or the stream from behind the last event. False: it is no use to try again. */
static bool
listen_once(struct asking *q, struct cli *c, struct str body, const char *session, struct sse *sse, bool *ok)
{
    bool first = !sse->id[0];
    char path[96] = "/api/v1/chat/stream";
    struct fetch k;
    CURLcode result;

    if (!first)
        path_of(path, sse->id);
    fetch_init(&k, c, first ? "POST" : "GET", path, first ? body : STR_NONE, first ? NULL : session);
    if (!first)
        fetch_header_add(&k, "Last-Event-ID", sse->id);
    k.sse = sse;
    curl_easy_setopt(k.easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(k.easy, CURLOPT_NOPROGRESS, 0L);
    if (first && !(*ok = fetch_perform(&k, &result)) && !q->resumable) {
        struct buf why = { 0 };

        fetch_explain(&k, c, result, &why);
        say("%s", why.p);
        buf_free(&why);
    } else if (!first) {
        *ok = fetch_perform(&k, &result) || k.status == 0 || k.status == 429 || k.status >= 500;
    }
    if (first && q->asked && k.status == 404)
        q->asked->conversation[0] = 0;
    fetch_fini(&k);
    return q->resumable && (first || *ok);
}

/* A connection that breaks is made again, and the stream goes on behind its last event, whichever gateway is asked. */
int
ask_stream(struct cli *c, struct str body, const char *session, struct asked *asked)
{
    struct asking q = { .cli = c, .asked = asked, .raw = c->opt[CLI_JSON] != NULL };
    struct sse sse;
    bool ok = false, again = true;

    sse_init(&sse, EVENT_MAX, on_event, &q);
    for (int tries = 0; again && tries < TRIES; tries++) {
        if (tries > 0)
            poll(NULL, 0, 125 << (tries < 5 ? tries : 5));
        q.news = false;
        sse_again(&sse);
        again = listen_once(&q, c, body, session, &sse, &ok) && !q.done && !q.failed && !ask_stopped;
        if (q.news)
            tries = 0;
    }
    if ((ok || q.resumable) && !q.done && !q.failed) {
        end_line(&q);
        say("the answer was cut off; ask again");
    }
    if (ask_stopped && q.resumable && !q.done)
        stop(c, session, sse.id);
    sse_fini(&sse);
    return q.done ? 0 : 1;
}

static int
ask_plain(struct cli *c, struct str body)
{
    struct fetch k;
    json_t *v;
    int rc = 1;

    fetch_init(&k, c, "POST", "/api/v1/chat/query", body, NULL);
    v = fetch_json(&k, c);
    if (v && !c->opt[CLI_JSON]) {
        put_markdown(stdout, json_str(v, "answer"));
        fputc('\n', stdout);
        put_sources(c, json_items(v, "sources"));
        say_cut(v);
        say_degraded(v);
    }
    if (v)
        rc = 0;
    json_decref(v);
    fetch_fini(&k);
    return rc;
}

void
ask_body(const struct cli *c, struct str question, const char *session, const char *conversation, bool stream,
         struct buf *body)
{
    buf_c(body, '{');
    buf_key_str(body, "question", question);
    buf_key_str(body, "session_id", str_of(session));
    if (conversation && *conversation)
        buf_key_str(body, "conversation_id", str_of(conversation));
    if (c->opt[CLI_COLLECTION])
        buf_key_str(body, "collection", str_of(c->opt[CLI_COLLECTION]));
    if (c->opt[CLI_TOP_K])
        buf_key_int(body, "top_k", c->top_k);
    if (stream)
        buf_key_bool(body, "resumable", true);
    buf_c(body, '}');
}

int
cmd_ask(struct cli *c)
{
    struct buf question = { 0 }, body = { 0 };
    struct uuid fresh = uuid_v4();
    bool stream = c->opt[CLI_STREAM] != NULL;
    char text[37];
    const char *session = c->opt[CLI_SESSION] ? c->opt[CLI_SESSION] : uuid_text(&fresh, text);
    int rc;

    join_args(c, &question);
    ask_body(c, buf_slice(&question), session, NULL, stream, &body);
    rc = stream ? ask_stream(c, buf_slice(&body), session, NULL) : ask_plain(c, buf_slice(&body));
    buf_free(&question);
    buf_free(&body);
    return rc;
}
