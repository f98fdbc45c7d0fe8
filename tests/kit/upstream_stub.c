/* upstream-stub: an OpenAI-compatible model server for tests and benches, on civetweb. Independent of the suite's code.
 * Here: connections, scripts, routes; what is answered is in upstream_answer.c.
 *
 *   upstream-stub [--port N] [--host A] [--threads N] [--dims N] [--embed-delay-ms N] [--chat-delay-ms N] [--drip-ms N]
 *                 [--echo-canary 1]   a word canary-<12 hex> of the prompt comes back in the answer
 *                 [--model F] [--alias A] [--ctx-size N] [--parallel N]   of llama-server, in whose place it is started: ignored
 *   prints the port on one line, runs until SIGTERM or SIGINT
 *
 *   POST /v1/embeddings         base64 or float; vectors from hashed words: similar texts get similar vectors
 *   POST /v1/chat/completions   JSON or SSE; the first sentence of passage [1] of the prompt and " [1]", or a scripted text
 *   POST /v1/completions   GET /v1/models   GET /health
 *   GET  /_stub/stats           calls by route, texts, tokens, concurrency, aborted (the client left before the answer)
 *   GET  /_stub/last            body of the last chat request
 *   POST /_stub/script          one rule or an array: {"route": "embeddings|chat|completions|models", "times": 1 (0: all),
 *     "status", "code", "message", "param", "retry_after", "redirect", "delay_ms", "drip_ms" (with "delay_to_ms",
 *     "drip_to_ms": drawn between the two), "cut_after_bytes", "garbage",
 *     "wrong_dims", "nan", "floats", "drop_last", "bad_index", "text", "hang", "no_done", "error_after", "junk_after" (events), "reject_param",
 *     "content_type"}. A route's rules are used in order; reject_param only applies to requests that have the parameter.
 *   POST /_stub/reset           rules and counters
 *
 * Whole answers go out in one write; drips, one event at a time. While it delays it watches the socket for a hang-up. */
#include "tests/kit/upstream_stub.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_MAX (64 << 20)
#define HANG_MS 600000

static const char *const route_names[ROUTES] = { "embeddings", "chat", "completions", "models" };
struct stub_conf stub_conf = { .host = "127.0.0.1", .threads = 1300, .dims = 256 };
struct stub_sums stub_sums;

static atomic_long calls[ROUTES], scripted;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static json_t *rules[ROUTES]; /* arrays; under lock */
static char *last_chat;       /* under lock */
static atomic_int fd_of_port[65536];

/* ---- connections */
static int
peer_port(int fd)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;

    if (getpeername(fd, (struct sockaddr *)&a, &n) != 0 || a.sin_family != AF_INET)
        return -1;
    return ntohs(a.sin_port);
}

/* The descriptor of a connection, found by its peer's port: civetweb does not tell it. */
static int
find_fd(const struct mg_connection *c)
{
    int port = mg_get_request_info(c)->remote_port, fd = atomic_load(&fd_of_port[port & 0xffff]);

    if (fd > 0 && peer_port(fd) == port)
        return fd;
    for (fd = 3; fd < 16384; fd++)
        if (peer_port(fd) == port) {
            atomic_store(&fd_of_port[port & 0xffff], fd);
            return fd;
        }
    return -1;
}

/* Wait; false when the client hung up meanwhile. */
bool
stub_wait(const struct mg_connection *c, long ms)
{
    struct pollfd p = { .events = POLLRDHUP };

    if (ms <= 0)
        return true;
    p.fd = find_fd(c);
    return poll(&p, 1, (int)ms) == 0;
}

void
stub_reply(struct mg_connection *c, int status, const char *type, const char *extra, const char *body,
           size_t n)
{
    char *out = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&out, &len);

    fprintf(f, "HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s\r\n", status, type, n, extra);
    fwrite(body, 1, n, f);
    fclose(f);
    mg_write(c, out, len);
    free(out);
}

static void
reply_json(struct mg_connection *c, int status, json_t *v)
{
    char *z = json_dumps(v, JSON_COMPACT);

    stub_reply(c, status, "application/json", "", z, strlen(z));
    free(z);
    json_decref(v);
}

static char *
read_body(struct mg_connection *c, size_t *n)
{
    long long want = mg_get_request_info(c)->content_length;
    char *p;
    int got;

    *n = 0;
    if (want < 0 || want > BODY_MAX)
        return NULL;
    p = malloc((size_t)want + 1);
    while (p && *n < (size_t)want && (got = mg_read(c, p + *n, (size_t)want - *n)) > 0)
        *n += (size_t)got;
    if (p)
        p[*n] = 0;
    return p;
}

/* ---- script */
long
rule_num(const json_t *rule, const char *key, long fallback)
{
    const json_t *v = json_object_get(rule, key);

    return json_is_integer(v) ? (long)json_integer_value(v) : fallback;
}

const char *
json_text(const json_t *o, const char *key, const char *fallback)
{
    const char *z = json_string_value(json_object_get(o, key));

    return z != NULL ? z : fallback;
}

bool
rule_flag(const json_t *rule, const char *key)
{
    return json_is_true(json_object_get(rule, key));
}

/* A figure, or one drawn between two. */
long
rule_drawn(const json_t *rule, const char *from, const char *to, long fallback)
{
    long least = rule_num(rule, from, fallback), most = rule_num(rule, to, least);

    return most > least ? least + random() % (most - least + 1) : least;
}

/* The rule for this request (a new reference), used up once; NULL: none. */
static json_t *
take_rule(enum route r, const json_t *req)
{
    json_t *rule, *found = NULL;
    size_t i;

    if (atomic_load(&scripted) == 0)
        return NULL;
    pthread_mutex_lock(&lock);
    json_array_foreach (rules[r], i, rule) {
        const char *param = json_text(rule, "reject_param", NULL);
        long times = rule_num(rule, "times", 1);

        if (param && !json_object_get(req, param))
            continue;
        found = json_deep_copy(rule);
        if (times == 1) {
            json_array_remove(rules[r], i);
            atomic_fetch_sub(&scripted, 1);
        } else if (times > 1) {
            json_object_set_new(rule, "times", json_integer(times - 1));
        }
        break;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static bool
add_rule(json_t *rule)
{
    const char *name = json_text(rule, "route", "");

    for (int r = 0; r < ROUTES; r++)
        if (strcmp(name, route_names[r]) == 0) {
            pthread_mutex_lock(&lock);
            json_array_append(rules[r], rule);
            atomic_fetch_add(&scripted, 1);
            pthread_mutex_unlock(&lock);
            return true;
        }
    return false;
}

static void
reset(void)
{
    pthread_mutex_lock(&lock);
    for (int r = 0; r < ROUTES; r++) {
        json_array_clear(rules[r]);
        atomic_store(&calls[r], 0);
    }
    free(last_chat);
    last_chat = NULL;
    pthread_mutex_unlock(&lock);
    atomic_store(&scripted, 0);
    atomic_store(&stub_sums.texts, 0);
    atomic_store(&stub_sums.prompt_tokens, 0);
    atomic_store(&stub_sums.completion_tokens, 0);
    atomic_store(&stub_sums.aborted, 0);
    atomic_store(&stub_sums.in_flight_max, atomic_load(&stub_sums.in_flight));
}

/* ---- one model request */
static bool
open_turn(struct turn *t, struct mg_connection *c, enum route r)
{
    long now = atomic_fetch_add(&stub_sums.in_flight, 1) + 1, max = atomic_load(&stub_sums.in_flight_max);

    *t = (struct turn){ .c = c, .route = r };
    while (now > max && !atomic_compare_exchange_weak(&stub_sums.in_flight_max, &max, now))
        ;
    atomic_fetch_add(&calls[r], 1);
    t->body = r == MODELS ? NULL : read_body(c, &t->n);
    t->req = !t->body ? NULL : json_loadb(t->body, t->n, 0, NULL);
    t->rule = take_rule(r, t->req);
    return r == MODELS || t->req != NULL;
}

static void
close_turn(struct turn *t)
{
    json_decref(t->req);
    json_decref(t->rule);
    free(t->body);
    atomic_fetch_sub(&stub_sums.in_flight, 1);
}

/* Delays, hangs and error statuses; true: the answer is already out (or nobody wants it). */
static bool
fault(struct turn *t)
{
    const json_t *r = t->rule;
    const char *param = json_text(r, "reject_param", json_text(r, "param", NULL));
    long status = rule_num(r, "status", param != NULL ? 400 : 200);
    char extra[512], message[256];

    if (!stub_wait(t->c, rule_flag(r, "hang")
                             ? HANG_MS
                             : rule_drawn(r, "delay_ms", "delay_to_ms", stub_conf.delay_ms[t->route]))) {
        atomic_fetch_add(&stub_sums.aborted, 1);
        mg_disable_connection_keep_alive(t->c);
        return true;
    }
    if (json_text(r, "redirect", NULL)) {
        snprintf(extra, sizeof extra, "Location: %s\r\n", json_text(r, "redirect", ""));
        stub_reply(t->c, status == 200 ? 302 : (int)status, "text/plain", extra, "moved", 5);
        return true;
    }
    if (status == 200)
        return false;
    snprintf(message, sizeof message, "%s", json_text(r, "message", param != NULL ? "" : "scripted failure"));
    if (message[0] == 0)
        snprintf(message, sizeof message, "Unsupported parameter: '%s'", param);
    extra[0] = 0;
    if (json_text(r, "retry_after", NULL))
        snprintf(extra, sizeof extra, "Retry-After: %s\r\n", json_text(r, "retry_after", ""));
    {
        json_t *e = json_pack("{s:{s:s,s:s,s:s?,s:s?}}", "error", "message", message, "type",
                              json_text(r, "type", "stub"), "param", param, "code",
                              json_text(r, "code", NULL));
        char *z = json_dumps(e, JSON_COMPACT);

        stub_reply(t->c, (int)status, "application/json", extra, z, strlen(z));
        free(z);
        json_decref(e);
    }
    return true;
}

/* ---- routes */
static int
on_model(struct mg_connection *c, void *arg)
{
    struct turn t;
    bool ok = open_turn(&t, c, (enum route)(intptr_t)arg);

    if (t.route == CHAT && ok) {
        pthread_mutex_lock(&lock);
        free(last_chat);
        last_chat = strdup(t.body);
        pthread_mutex_unlock(&lock);
    }
    if (!ok)
        reply_json(c, 400, json_pack("{s:{s:s}}", "error", "message", "not JSON"));
    else if (fault(&t))
        ;
    else if (t.route == EMBEDDINGS)
        answer_embeddings(&t);
    else if (t.route == MODELS)
        reply_json(c, 200,
                   json_pack("{s:s,s:[{s:s,s:s}]}", "object", "list", "data", "id", "stub", "object",
                             "model"));
    else
        answer_chat(&t);
    close_turn(&t);
    return 200;
}

static int
on_stats(struct mg_connection *c, void *arg)
{
    json_t *o = json_object();

    (void)arg;
    for (int r = 0; r < ROUTES; r++)
        json_object_set_new(o, route_names[r], json_integer(atomic_load(&calls[r])));
    json_object_set_new(o, "texts", json_integer(atomic_load(&stub_sums.texts)));
    json_object_set_new(o, "prompt_tokens", json_integer(atomic_load(&stub_sums.prompt_tokens)));
    json_object_set_new(o, "completion_tokens", json_integer(atomic_load(&stub_sums.completion_tokens)));
    json_object_set_new(o, "concurrent", json_integer(atomic_load(&stub_sums.in_flight)));
    json_object_set_new(o, "concurrent_max", json_integer(atomic_load(&stub_sums.in_flight_max)));
    json_object_set_new(o, "aborted", json_integer(atomic_load(&stub_sums.aborted)));
    reply_json(c, 200, o);
    return 200;
}

static int
on_health(struct mg_connection *c, void *arg)
{
    (void)arg;
    reply_json(c, 200, json_pack("{s:s}", "status", "ok"));
    return 200;
}

static int
on_last(struct mg_connection *c, void *arg)
{
    (void)arg;
    pthread_mutex_lock(&lock);
    if (!last_chat)
        stub_reply(c, 404, "application/json", "", "{}", 2);
    else
        stub_reply(c, 200, "application/json", "", last_chat, strlen(last_chat));
    pthread_mutex_unlock(&lock);
    return 200;
}

static int
on_script(struct mg_connection *c, void *arg)
{
    size_t n, i;
    char *body = read_body(c, &n);
    json_t *v = !body ? NULL : json_loadb(body, n, 0, NULL), *rule;
    bool ok = v != NULL;

    (void)arg;
    if (json_is_array(v)) {
        json_array_foreach (v, i, rule)
            ok &= add_rule(rule);
    } else if (v) {
        ok = add_rule(v);
    }
    reply_json(c, ok ? 200 : 400, json_pack("{s:b}", "ok", ok));
    json_decref(v);
    free(body);
    return 200;
}

static int
on_reset(struct mg_connection *c, void *arg)
{
    (void)arg;
    reset();
    reply_json(c, 200, json_pack("{s:b}", "ok", 1));
    return 200;
}

/* ---- start */
static bool
read_args(int argc, char **argv)
{
    static const char *const ignored[] = { "--model", "--alias", "--ctx-size", "--parallel" };
    const struct {
        const char *name;
        long *at;
    } flags[] = {
        { "--port", &stub_conf.port },
        { "--threads", &stub_conf.threads },
        { "--dims", &stub_conf.dims },
        { "--drip-ms", &stub_conf.drip_ms },
        { "--echo-canary", &stub_conf.echo_canary },
        { "--embed-delay-ms", &stub_conf.delay_ms[EMBEDDINGS] },
        { "--chat-delay-ms", &stub_conf.delay_ms[CHAT] },
    };

    for (int i = 1; i < argc; i += 2) {
        bool known = i + 1 < argc && strcmp(argv[i], "--host") == 0;

        if (known)
            stub_conf.host = argv[i + 1];
        for (size_t k = 0; i + 1 < argc && k < sizeof ignored / sizeof ignored[0]; k++)
            known |= strcmp(argv[i], ignored[k]) == 0;
        for (size_t k = 0; i + 1 < argc && k < sizeof flags / sizeof flags[0]; k++)
            if (strcmp(argv[i], flags[k].name) == 0) {
                *flags[k].at = strtol(argv[i + 1], NULL, 10);
                known = true;
            }
        if (!known) {
            fprintf(
                stderr,
                "usage: upstream-stub [--port N] [--host A] [--threads N] [--dims N] [--embed-delay-ms N] "
                "[--chat-delay-ms N] [--drip-ms N] [--echo-canary 1]\n");
            return false;
        }
    }
    return true;
}

static struct mg_context *
serve(void)
{
    char listen[96], threads[16];
    const char *options[] = {
        "listening_ports",       listen,   "num_threads", threads, "enable_keep_alive", "yes",
        "keep_alive_timeout_ms", "60000",  "tcp_nodelay", "1",     "listen_backlog",    "1024",
        "request_timeout_ms",    "600000", NULL
    };
    struct mg_callbacks none = { 0 };
    struct mg_context *ctx;

    snprintf(listen, sizeof listen, "%s:%ld", stub_conf.host, stub_conf.port);
    snprintf(threads, sizeof threads, "%ld", stub_conf.threads);
    mg_init_library(0);
    ctx = mg_start(&none, NULL, options);
    if (!ctx)
        return NULL;
    mg_set_request_handler(ctx, "/v1/embeddings$", on_model, (void *)(intptr_t)EMBEDDINGS);
    mg_set_request_handler(ctx, "/v1/chat/completions$", on_model, (void *)(intptr_t)CHAT);
    mg_set_request_handler(ctx, "/v1/completions$", on_model, (void *)(intptr_t)COMPLETIONS);
    mg_set_request_handler(ctx, "/v1/models$", on_model, (void *)(intptr_t)MODELS);
    mg_set_request_handler(ctx, "/health$", on_health, NULL);
    mg_set_request_handler(ctx, "/_stub/stats$", on_stats, NULL);
    mg_set_request_handler(ctx, "/_stub/last$", on_last, NULL);
    mg_set_request_handler(ctx, "/_stub/script$", on_script, NULL);
    mg_set_request_handler(ctx, "/_stub/reset$", on_reset, NULL);
    return ctx;
}

int
main(int argc, char **argv)
{
    struct rlimit files = { 20000, 20000 };
    struct mg_server_port ports[4];
    struct mg_context *ctx;
    sigset_t set;
    int sig;

    if (!read_args(argc, argv))
        return 2;
    for (int r = 0; r < ROUTES; r++)
        rules[r] = json_array();
    (void)setrlimit(RLIMIT_NOFILE, &files);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    ctx = serve();
    if (!ctx || mg_get_server_ports(ctx, 4, ports) < 1) {
        fprintf(stderr, "upstream-stub: cannot listen on %s:%ld\n", stub_conf.host, stub_conf.port);
        return 1;
    }
    printf("%d\n", ports[0].port);
    fflush(stdout);
    sigwait(&set, &sig);
    _exit(0); /* mg_stop would wait for hanging requests */
}
