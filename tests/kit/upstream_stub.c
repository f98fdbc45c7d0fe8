/* upstream-stub: an OpenAI-compatible model server for tests and benches, on civetweb. Independent of the suite's code.
 *
 *   upstream-stub [--port N] [--host A] [--threads N] [--dims N] [--embed-delay-ms N] [--chat-delay-ms N] [--drip-ms N]
 *                 [--echo-canary 1]   a word canary-<12 hex> of the prompt comes back in the answer
 *   prints the port on one line, runs until SIGTERM or SIGINT
 *
 *   POST /v1/embeddings         base64 or float; vectors from hashed words: similar texts get similar vectors
 *   POST /v1/chat/completions   JSON or SSE; the first sentence of passage [1] of the prompt and " [1]", or a scripted text
 *   POST /v1/completions   GET /v1/models
 *   GET  /_stub/stats           calls by route, texts, tokens, concurrency, aborted (the client left before the answer)
 *   GET  /_stub/last            body of the last chat request
 *   POST /_stub/script          one rule or an array: {"route": "embeddings|chat|completions|models", "times": 1 (0: all),
 *     "status", "code", "message", "param", "retry_after", "redirect", "delay_ms", "drip_ms" (with "delay_to_ms",
 *     "drip_to_ms": drawn between the two), "cut_after_bytes", "garbage",
 *     "wrong_dims", "nan", "floats", "drop_last", "bad_index", "text", "hang", "no_done", "error_after" (events), "reject_param",
 *     "content_type"}. A route's rules are used in order; reject_param only applies to requests that have the parameter.
 *   POST /_stub/reset           rules and counters
 *
 * Whole answers go out in one write; drips, one event at a time. While it delays it watches the socket for a hang-up. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <civetweb.h>
#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_MAX (64 << 20)
#define MAX_DIMS 4096
#define HANG_MS 600000

enum route { EMBEDDINGS, CHAT, COMPLETIONS, MODELS, ROUTES };
static const char *const route_names[ROUTES] = { "embeddings", "chat", "completions", "models" };

static struct {
    const char *host;
    long port, threads, dims, delay_ms[ROUTES], drip_ms, echo_canary;
} conf = { .host = "127.0.0.1", .threads = 1300, .dims = 256 };

static atomic_long calls[ROUTES], texts, prompt_tokens, completion_tokens, in_flight, in_flight_max, aborted, scripted;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static json_t *rules[ROUTES];    /* arrays; under lock */
static char *last_chat;          /* under lock */
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
static bool
wait_ms(const struct mg_connection *c, long ms)
{
    struct pollfd p = { .events = POLLRDHUP };

    if (ms <= 0)
        return true;
    p.fd = find_fd(c);
    return poll(&p, 1, (int)ms) == 0;
}

static void
reply(struct mg_connection *c, int status, const char *type, const char *extra, const char *body, size_t n)
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

    reply(c, status, "application/json", "", z, strlen(z));
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
    while (p != NULL && *n < (size_t)want && (got = mg_read(c, p + *n, (size_t)want - *n)) > 0)
        *n += (size_t)got;
    if (p != NULL)
        p[*n] = 0;
    return p;
}

/* ---- script */
static long
num(const json_t *rule, const char *key, long fallback)
{
    const json_t *v = json_object_get(rule, key);

    return json_is_integer(v) ? (long)json_integer_value(v) : fallback;
}

static const char *
text_of(const json_t *o, const char *key, const char *fallback)
{
    const char *z = json_string_value(json_object_get(o, key));

    return z != NULL ? z : fallback;
}

static bool
flag(const json_t *rule, const char *key)
{
    return json_is_true(json_object_get(rule, key));
}

/* A figure, or one drawn between two. */
static long
drawn(const json_t *rule, const char *from, const char *to, long fallback)
{
    long least = num(rule, from, fallback), most = num(rule, to, least);

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
    json_array_foreach(rules[r], i, rule) {
        const char *param = text_of(rule, "reject_param", NULL);
        long times = num(rule, "times", 1);

        if (param != NULL && json_object_get(req, param) == NULL)
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
    const char *name = text_of(rule, "route", "");

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
    atomic_store(&texts, 0);
    atomic_store(&prompt_tokens, 0);
    atomic_store(&completion_tokens, 0);
    atomic_store(&aborted, 0);
    atomic_store(&in_flight_max, atomic_load(&in_flight));
}

/* ---- one model request */
struct turn {
    struct mg_connection *c;
    enum route route;
    json_t *req, *rule;
    char *body;
    size_t n;
};

static bool
open_turn(struct turn *t, struct mg_connection *c, enum route r)
{
    long now = atomic_fetch_add(&in_flight, 1) + 1, max = atomic_load(&in_flight_max);

    *t = (struct turn){ .c = c, .route = r };
    while (now > max && !atomic_compare_exchange_weak(&in_flight_max, &max, now))
        ;
    atomic_fetch_add(&calls[r], 1);
    t->body = r == MODELS ? NULL : read_body(c, &t->n);
    t->req = t->body == NULL ? NULL : json_loadb(t->body, t->n, 0, NULL);
    t->rule = take_rule(r, t->req);
    return r == MODELS || t->req != NULL;
}

static void
close_turn(struct turn *t)
{
    json_decref(t->req);
    json_decref(t->rule);
    free(t->body);
    atomic_fetch_sub(&in_flight, 1);
}

/* Delays, hangs and error statuses; true: the answer is already out (or nobody wants it). */
static bool
fault(struct turn *t)
{
    const json_t *r = t->rule;
    const char *param = text_of(r, "reject_param", text_of(r, "param", NULL));
    long status = num(r, "status", param != NULL ? 400 : 200);
    char extra[512], message[256];

    if (!wait_ms(t->c, flag(r, "hang") ? HANG_MS : drawn(r, "delay_ms", "delay_to_ms", conf.delay_ms[t->route]))) {
        atomic_fetch_add(&aborted, 1);
        mg_disable_connection_keep_alive(t->c);
        return true;
    }
    if (text_of(r, "redirect", NULL) != NULL) {
        snprintf(extra, sizeof extra, "Location: %s\r\n", text_of(r, "redirect", ""));
        reply(t->c, status == 200 ? 302 : (int)status, "text/plain", extra, "moved", 5);
        return true;
    }
    if (status == 200)
        return false;
    snprintf(message, sizeof message, "%s", text_of(r, "message", param != NULL ? "" : "scripted failure"));
    if (message[0] == 0)
        snprintf(message, sizeof message, "Unsupported parameter: '%s'", param);
    extra[0] = 0;
    if (text_of(r, "retry_after", NULL) != NULL)
        snprintf(extra, sizeof extra, "Retry-After: %s\r\n", text_of(r, "retry_after", ""));
    {
        json_t *e = json_pack("{s:{s:s,s:s,s:s?,s:s?}}", "error", "message", message, "type", text_of(r, "type", "stub"),
                              "param", param, "code", text_of(r, "code", NULL));
        char *z = json_dumps(e, JSON_COMPACT);

        reply(t->c, (int)status, "application/json", extra, z, strlen(z));
        free(z);
        json_decref(e);
    }
    return true;
}

/* Send a 200 body, in one write or in drips at the given ends; cut where the script says. */
static void
send_body(struct turn *t, const char *type, const char *body, size_t n, const size_t *ends, size_t n_ends)
{
    long drip = ends != NULL ? drawn(t->rule, "drip_ms", "drip_to_ms", conf.drip_ms) : 0, cut = num(t->rule, "cut_after_bytes", -1);
    const char *ctype = text_of(t->rule, "content_type", type);
    size_t stop = cut >= 0 && (size_t)cut < n ? (size_t)cut : n, at = 0;

    if (flag(t->rule, "garbage")) {
        static const char junk[] = "<html>data: {not json\n\ndata: {\"choices\": 7\n\n</html>\n\n";

        body = junk;
        n = stop = sizeof junk - 1;
        drip = 0;
    }
    if (drip <= 0 && stop == n) {
        reply(t->c, 200, ctype, "", body, n);
        return;
    }
    mg_printf(t->c, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", ctype, n);
    for (size_t i = 0; drip > 0 && i < n_ends && ends[i] <= stop; i++) {
        if (mg_write(t->c, body + at, ends[i] - at) <= 0 || !wait_ms(t->c, drip)) {
            atomic_fetch_add(&aborted, 1);
            mg_disable_connection_keep_alive(t->c);
            return;
        }
        at = ends[i];
    }
    if (stop > at)
        mg_write(t->c, body + at, stop - at);
    if (stop < n)
        mg_disable_connection_keep_alive(t->c);
}

/* ---- embeddings */
static void
embed_text(const char *z, float *v, size_t dims)
{
    double sum = 0;

    memset(v, 0, dims * sizeof *v);
    while (*z != 0) {
        uint32_t h = 2166136261u;
        size_t n = 0;

        while (isalnum((unsigned char)z[n]) || (unsigned char)z[n] >= 0x80) {
            h = (h ^ (uint32_t)tolower((unsigned char)z[n])) * 16777619u;
            n++;
        }
        if (n > 0) {
            v[h % dims] += 1.0f;
            v[(h >> 16) % dims] += (h & 0x8000) ? 0.5f : -0.5f;
        }
        z += n > 0 ? n : 1;
    }
    for (size_t i = 0; i < dims; i++)
        sum += (double)v[i] * (double)v[i];
    if (sum < 1e-9) {
        v[0] = 1.0f;
        sum = 1;
    }
    for (size_t i = 0; i < dims; i++)
        v[i] = (float)(v[i] / sqrt(sum));
}

static void
put_base64(FILE *f, const unsigned char *p, size_t n)
{
    static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);

        fputc(abc[v >> 18], f);
        fputc(abc[v >> 12 & 63], f);
        fputc(i + 1 < n ? abc[v >> 6 & 63] : '=', f);
        fputc(i + 2 < n ? abc[v & 63] : '=', f);
    }
}

static void
put_row(FILE *f, const struct turn *t, size_t index, const char *text, size_t dims, bool base64)
{
    static _Thread_local float v[MAX_DIMS];

    embed_text(text, v, dims);
    if (flag(t->rule, "nan"))
        v[dims / 2] = NAN;
    fprintf(f, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", index > 0 ? "," : "",
            flag(t->rule, "bad_index") ? index + 1 : index);
    if (base64) {
        fputc('"', f);
        put_base64(f, (const unsigned char *)v, dims * sizeof *v);
        fputs("\"}", f);
        return;
    }
    for (size_t i = 0; i < dims; i++)
        if (isfinite(v[i]))
            fprintf(f, "%c%.7g", i == 0 ? '[' : ',', (double)v[i]);
        else
            fprintf(f, "%cNaN", i == 0 ? '[' : ',');
    fputs("]}", f);
}

static void
answer_embeddings(struct turn *t)
{
    json_t *input = json_object_get(t->req, "input");
    size_t dims = (size_t)num(t->req, "dimensions", conf.dims), n = json_is_array(input) ? json_array_size(input) : 1, len;
    bool base64 = strcmp(text_of(t->req, "encoding_format", "float"), "base64") == 0;
    char *out = NULL;
    long tokens = 0;
    FILE *f = open_memstream(&out, &len);

    dims = dims == 0 || dims > MAX_DIMS ? 1 : dims;
    if (flag(t->rule, "wrong_dims"))
        dims -= 1;
    base64 = base64 && !flag(t->rule, "floats");
    fputs("{\"object\":\"list\",\"data\":[", f);
    for (size_t i = 0; i + (size_t)flag(t->rule, "drop_last") < n; i++) {
        const char *z = json_string_value(json_is_array(input) ? json_array_get(input, i) : input);

        tokens += z == NULL ? 0 : (long)(strlen(z) + 3) / 4;
        put_row(f, t, i, z == NULL ? "" : z, dims, base64);
    }
    fprintf(f, "],\"model\":\"%s\",\"usage\":{\"prompt_tokens\":%ld,\"total_tokens\":%ld}}", text_of(t->req, "model", "stub"),
            tokens, tokens);
    fclose(f);
    atomic_fetch_add(&texts, (long)n);
    atomic_fetch_add(&prompt_tokens, tokens);
    send_body(t, "application/json", out, len, NULL, 0);
    free(out);
}

/* ---- chat */
/* The first sentence of passage [1] of the last message, and its mark. */
static void
default_answer(const char *prompt, char *out, size_t cap)
{
    const char *p = strstr(prompt, "\n[1]"), *end;

    if (p == NULL) {
        snprintf(out, cap, "There are no passages in this prompt.");
        return;
    }
    p += 1;
    do {
        p = strchr(p, '\n');
        p = p == NULL ? "" : p + 1;
    } while (*p == '#' || *p == '\n');
    for (end = p; *end != 0 && end - p < 280; end++)
        if ((strchr(".!?", *end) != NULL && (isspace((unsigned char)end[1]) || end[1] == 0)) || (end[0] == '\n' && end[1] == '\n'))
            break;
    while (end > p && ((unsigned char)*end & 0xc0) == 0x80)
        end--;
    snprintf(out, cap, "%.*s [1]", (int)(end - p) + (strchr(".!?", *end) != NULL && *end != 0), p);
}

/* The prompt's last word canary-<12 hex>: so a test sees whose answer it was given. */
static void
add_canary(const char *prompt, char *out, size_t cap)
{
    const char *last = NULL;
    size_t n = strlen(out);

    for (const char *p = strstr(prompt, "canary-"); p != NULL; p = strstr(p + 1, "canary-"))
        last = p;
    if (last != NULL)
        snprintf(out + n, cap - n, " %.19s", last);
}

static const char *
prompt_of(const struct turn *t)
{
    json_t *messages = json_object_get(t->req, "messages");

    if (t->route == COMPLETIONS)
        return text_of(t->req, "prompt", "");
    return text_of(json_array_get(messages, json_array_size(messages) - 1), "content", "");
}

static void
put_event(FILE *f, const char *model, const char *content, const char *finish)
{
    json_t *delta = content != NULL ? json_pack("{s:s}", "content", content) : json_object();
    json_t *e = json_pack("{s:s,s:s,s:i,s:s,s:[{s:i,s:o,s:s?}]}", "id", "chatcmpl-stub", "object", "chat.completion.chunk",
                          "created", 1, "model", model, "choices", "index", 0, "delta", delta, "finish_reason", finish);
    char *z = json_dumps(e, JSON_COMPACT);

    fprintf(f, "data: %s\n\n", z);
    free(z);
    json_decref(e);
}

#define EVENTS 4096
static void
stream_answer(struct turn *t, const char *text, long ptok, long ctok)
{
    static _Thread_local size_t ends[EVENTS];
    const char *model = text_of(t->req, "model", "stub"), *p = text;
    long error_after = num(t->rule, "error_after", -1);
    size_t n = 0, len = 0;
    char *out = NULL, piece[256];
    FILE *f = open_memstream(&out, &len);

    put_event(f, model, "", NULL);
    while (*p != 0 && n < EVENTS - 8) {
        size_t k = strcspn(p + 1, " ") + 1;

        k = k < sizeof piece - 1 ? k : sizeof piece - 1;
        while (k > 1 && ((unsigned char)p[k] & 0xc0) == 0x80)
            k--;
        memcpy(piece, p, k);
        piece[k] = 0;
        fflush(f);
        ends[n++] = len;
        if (error_after >= 0 && n > (size_t)error_after)
            break;
        put_event(f, model, piece, NULL);
        p += k;
    }
    if (error_after >= 0)
        fputs("data: {\"error\":{\"message\":\"scripted\",\"type\":\"server_error\",\"code\":\"stub_error\"}}\n\n", f);
    else if (!flag(t->rule, "no_done")) {
        put_event(f, model, NULL, "stop");
        if (json_is_true(json_object_get(json_object_get(t->req, "stream_options"), "include_usage")))
            fprintf(f, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":%ld,\"completion_tokens\":%ld,\"total_tokens\":%ld}}\n\n",
                    ptok, ctok, ptok + ctok);
        fputs("data: [DONE]\n\n", f);
    }
    fclose(f);
    ends[n++] = len;
    send_body(t, "text/event-stream", out, len, ends, n);
    free(out);
}

static void
whole_answer(struct turn *t, const char *text, long ptok, long ctok)
{
    json_t *choice = t->route == CHAT ? json_pack("{s:i,s:{s:s,s:s},s:s}", "index", 0, "message", "role", "assistant",
                                                  "content", text, "finish_reason", "stop")
                                      : json_pack("{s:i,s:s,s:s}", "index", 0, "text", text, "finish_reason", "stop");
    json_t *o = json_pack("{s:s,s:s,s:i,s:s,s:[o],s:{s:I,s:I,s:I}}", "id", "chatcmpl-stub", "object", "chat.completion",
                          "created", 1, "model", text_of(t->req, "model", "stub"), "choices", choice, "usage",
                          "prompt_tokens", (json_int_t)ptok, "completion_tokens", (json_int_t)ctok, "total_tokens",
                          (json_int_t)(ptok + ctok));
    char *z = json_dumps(o, JSON_COMPACT);

    send_body(t, "application/json", z, strlen(z), NULL, 0);
    free(z);
    json_decref(o);
}

static void
answer_chat(struct turn *t)
{
    char quote[512];
    const char *text = text_of(t->rule, "text", NULL);
    long ptok = (long)t->n / 4, ctok;

    if (text == NULL) {
        default_answer(prompt_of(t), quote, sizeof quote);
        if (conf.echo_canary)
            add_canary(prompt_of(t), quote, sizeof quote);
        text = quote;
    }
    ctok = (long)(strlen(text) + 3) / 4;
    atomic_fetch_add(&prompt_tokens, ptok);
    atomic_fetch_add(&completion_tokens, ctok);
    if (json_is_true(json_object_get(t->req, "stream")))
        stream_answer(t, text, ptok, ctok);
    else
        whole_answer(t, text, ptok, ctok);
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
        reply_json(c, 200, json_pack("{s:s,s:[{s:s,s:s}]}", "object", "list", "data", "id", "stub", "object", "model"));
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
    json_object_set_new(o, "texts", json_integer(atomic_load(&texts)));
    json_object_set_new(o, "prompt_tokens", json_integer(atomic_load(&prompt_tokens)));
    json_object_set_new(o, "completion_tokens", json_integer(atomic_load(&completion_tokens)));
    json_object_set_new(o, "concurrent", json_integer(atomic_load(&in_flight)));
    json_object_set_new(o, "concurrent_max", json_integer(atomic_load(&in_flight_max)));
    json_object_set_new(o, "aborted", json_integer(atomic_load(&aborted)));
    reply_json(c, 200, o);
    return 200;
}

static int
on_last(struct mg_connection *c, void *arg)
{
    (void)arg;
    pthread_mutex_lock(&lock);
    if (last_chat == NULL)
        reply(c, 404, "application/json", "", "{}", 2);
    else
        reply(c, 200, "application/json", "", last_chat, strlen(last_chat));
    pthread_mutex_unlock(&lock);
    return 200;
}

static int
on_script(struct mg_connection *c, void *arg)
{
    size_t n, i;
    char *body = read_body(c, &n);
    json_t *v = body == NULL ? NULL : json_loadb(body, n, 0, NULL), *rule;
    bool ok = v != NULL;

    (void)arg;
    if (json_is_array(v)) {
        json_array_foreach(v, i, rule)
            ok &= add_rule(rule);
    } else if (v != NULL) {
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
    const struct { const char *name; long *at; } flags[] = {
        { "--port", &conf.port }, { "--threads", &conf.threads }, { "--dims", &conf.dims }, { "--drip-ms", &conf.drip_ms },
        { "--echo-canary", &conf.echo_canary }, { "--embed-delay-ms", &conf.delay_ms[EMBEDDINGS] }, { "--chat-delay-ms", &conf.delay_ms[CHAT] },
    };

    for (int i = 1; i < argc; i += 2) {
        bool known = i + 1 < argc && strcmp(argv[i], "--host") == 0;

        if (known)
            conf.host = argv[i + 1];
        for (size_t k = 0; i + 1 < argc && k < sizeof flags / sizeof flags[0]; k++)
            if (strcmp(argv[i], flags[k].name) == 0) {
                *flags[k].at = strtol(argv[i + 1], NULL, 10);
                known = true;
            }
        if (!known) {
            fprintf(stderr, "usage: upstream-stub [--port N] [--host A] [--threads N] [--dims N] [--embed-delay-ms N] "
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
    const char *options[] = { "listening_ports", listen, "num_threads", threads, "enable_keep_alive", "yes",
                              "keep_alive_timeout_ms", "60000", "tcp_nodelay", "1", "listen_backlog", "1024",
                              "request_timeout_ms", "600000", NULL };
    struct mg_callbacks none = { 0 };
    struct mg_context *ctx;

    snprintf(listen, sizeof listen, "%s:%ld", conf.host, conf.port);
    snprintf(threads, sizeof threads, "%ld", conf.threads);
    mg_init_library(0);
    ctx = mg_start(&none, NULL, options);
    if (ctx == NULL)
        return NULL;
    mg_set_request_handler(ctx, "/v1/embeddings$", on_model, (void *)(intptr_t)EMBEDDINGS);
    mg_set_request_handler(ctx, "/v1/chat/completions$", on_model, (void *)(intptr_t)CHAT);
    mg_set_request_handler(ctx, "/v1/completions$", on_model, (void *)(intptr_t)COMPLETIONS);
    mg_set_request_handler(ctx, "/v1/models$", on_model, (void *)(intptr_t)MODELS);
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
    if (ctx == NULL || mg_get_server_ports(ctx, 4, ports) < 1) {
        fprintf(stderr, "upstream-stub: cannot listen on %s:%ld\n", conf.host, conf.port);
        return 1;
    }
    printf("%d\n", ports[0].port);
    fflush(stdout);
    sigwait(&set, &sig);
    _exit(0); /* mg_stop would wait for hanging requests */
}
