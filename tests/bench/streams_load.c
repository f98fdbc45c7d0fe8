/* streams_load: many streams of a gateway at once, and the model server behind it, in one thread: each client checks each byte of its
 * own stream against what the model server has sent it.
 *
 *   streams_load --target 127.0.0.1:8080 --model-port N --streams N [--ramp R] [--interval-ms N] [--seconds S]
 *
 * R streams begin a second; each gets a token every interval. "open" is printed when each has got two. When its standard input ends, the
 * answers end with their next tokens; the last line is a JSON object: {"streams", "tokens" (sent), "whole" (streams that got each byte
 * once, in order, with events numbered one after the other, and their "done"), "wrong" (bytes or events out of order),
 * "unfinished", "refused" (503, after which a stream is asked for again)}. Exit 0 when all are whole. After S seconds it ends in any case. */
#include "tests/bench/streams_load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 128
#define LOOK_MS 5 /* between two looks at all streams */

struct stream streams[STREAMS_MAX];
long n_streams = 100, interval_ms = 1000;
bool ending;

static int poller, listener;
static struct sockaddr_in target;
static long ramp = 100, seconds = 600, model_port, begun, over, shown, tokens_early, refused;

double
now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void
die(const char *what)
{
    fprintf(stderr, "streams_load: %s: %s\n", what, strerror(errno));
    exit(2);
}

char
token_byte(long stream, long at)
{
    char text[32];

    at++; /* the first token's blank is not sent */
    snprintf(text, sizeof text, " s%05ldt%05ld", stream, at / TOKEN_BYTES);
    return text[at % TOKEN_BYTES];
}

/* ---- connections */

struct peer *
peer_new(int fd, bool model)
{
    struct peer *p = calloc(1, sizeof *p);
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = p };

    if (!p || epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e) < 0)
        die("a connection is too much");
    p->fd = fd;
    p->model = model;
    p->stream = -1;
    return p;
}

void
peer_free(struct peer *p)
{
    close(p->fd);
    free(p->in);
    free(p);
}

bool
peer_read(struct peer *p)
{
    ssize_t got;

    for (;;) {
        if (p->cap - p->n < 4096 && !(p->in = realloc(p->in, p->cap += 8192)))
            die("out of memory");
        got = recv(p->fd, p->in + p->n, p->cap - p->n - 1, MSG_DONTWAIT);
        if (got <= 0)
            return got < 0 && (errno == EAGAIN || errno == EINTR);
        p->n += (size_t)got;
        p->in[p->n] = 0;
    }
}

void
peer_take(struct peer *p, size_t n)
{
    p->n -= n;
    memmove(p->in, p->in + n, p->n);
    if (p->n > 0)
        p->in[p->n] = 0;
}

/* Some hundred bytes on the way to this machine: there is room. */
void
peer_send(const struct peer *p, const char *text, size_t n)
{
    if (send(p->fd, text, n, MSG_NOSIGNAL) != (ssize_t)n && errno != EPIPE && errno != ECONNRESET)
        die("a send that is not whole");
}

/* ---- clients */

static void
client_begin(long i)
{
    char body[400], text[1000];
    uint8_t r[16];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), n;
    struct peer *p;

    if (fd < 0 || connect(fd, (struct sockaddr *)&target, sizeof target) < 0)
        die("cannot connect to the gateway");
    if (getrandom(r, sizeof r, 0) != sizeof r)
        die("no random bytes");
    n = snprintf(body, sizeof body,
                 "{\"question\":\"When is the lamp of the lighthouse lit? Asks streamer %ld\",\"session_id\":"
                 "\"%02x%02x%02x%02x-%02x%02x-4%x%02x-8%x%02x-%02x%02x%02x%02x%02x%02x\"}",
                 i, r[0], r[1], r[2], r[3], r[4], r[5], r[6] & 15, r[7], r[8] & 15, r[9], r[10], r[11], r[12],
                 r[13], r[14], r[15]);
    n = snprintf(text, sizeof text,
                 "POST /api/v1/chat/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                 "Connection: close\r\nContent-Length: %d\r\n\r\n%s",
                 n, body);
    streams[i].again = 0;
    p = peer_new(fd, false);
    p->stream = i;
    peer_send(p, text, (size_t)n);
}

static void
wrong(long i, const char *what, const char *text)
{
    if (streams[i].wrong++ == 0 && shown++ < 5)
        fprintf(stderr, "streams_load: stream %ld: %s: %.300s\n", i, what, text);
}

/* Refused with 503, or told so before anything was written. */
static void
later(struct stream *s)
{
    refused++;
    s->again = now_s() + 1;
    s->events = 0;
    s->head = false;
}

static void
delta(long i, const char *data)
{
    static const char key[] = "\"text\":\"";
    struct stream *s = &streams[i];
    const char *p = strstr(data, key);

    if (!p)
        wrong(i, "a delta without text", data);
    for (p += p ? sizeof key - 1 : 0; p && *p && *p != '"'; p++) {
        if (*p != token_byte(i, s->got)) {
            wrong(i, "another text than was sent", data);
            return;
        }
        if (++s->got == 2 * TOKEN_BYTES - 1)
            tokens_early++;
    }
}

/* One event: its fields, a line each, end with an empty line that is cut. */
static void
event(long i, const char *text)
{
    const char *id = strstr(text, "id: "), *data = strstr(text, "data: ");
    const char *seq = id ? strchr(id, ':') : NULL;

    seq = seq ? strchr(seq + 1, ':') : NULL;
    if (!data)
        return; /* retry, or a comment */
    if (!seq || strtol(seq + 1, NULL, 10) != streams[i].events++)
        wrong(i, "an event out of its order", text);
    if (strncmp(text, "event: delta\n", 13) == 0)
        delta(i, data);
    else if (strncmp(text, "event: done\n", 12) == 0)
        streams[i].done = true;
    else if (strncmp(text, "event: error\n", 13) == 0 && strstr(data, "\"status\":503,") &&
             streams[i].got == 0)
        later(&streams[i]);
    else if (strncmp(text, "event: error\n", 13) == 0)
        wrong(i, "an error", data);
}

/* The gateway writes each event as a chunk of its own, and this client holds it to that. */
static void
client_input(struct peer *p)
{
    struct stream *s = &streams[p->stream];
    char *end;
    size_t size, head;

    if (!s->head) {
        if (p->n == 0 || !(end = strstr(p->in, "\r\n\r\n")))
            return;
        if (strncmp(p->in, "HTTP/1.1 503 ", 13) == 0) {
            later(s);
            return;
        }
        if (strncmp(p->in, "HTTP/1.1 200 ", 13) != 0)
            wrong(p->stream, "refused", end);
        s->head = true;
        peer_take(p, (size_t)(end - p->in) + 4);
    }
    while (s->again == 0 && p->n > 0 && (end = strstr(p->in, "\r\n")) != NULL) {
        size = strtoul(p->in, NULL, 16);
        head = (size_t)(end - p->in) + 2;
        if (p->n < head + size + 2)
            return;
        if (size > 0) {
            p->in[head + size - 1] = 0;
            event(p->stream, p->in + head);
        }
        peer_take(p, head + size + 2);
    }
}

/* ---- all of it */

static bool
whole(const struct stream *s)
{
    return s->done && s->ended && s->wrong == 0 && s->sent > 0 && s->got == s->sent * TOKEN_BYTES - 1;
}

static void
handle(struct peer *p)
{
    bool there = peer_read(p);

    if (p->model)
        model_input(p);
    else if (p->stream >= 0)
        client_input(p);
    if (!p->model && p->stream >= 0 && streams[p->stream].again > 0)
        p->stream = -1; /* it is asked again, on another connection */
    if (there)
        return;
    if (p->model)
        model_gone(p);
    else
        over += p->stream >= 0;
    peer_free(p);
}

static int
report(void)
{
    long n_whole = 0, tokens = 0, n_wrong = 0, unfinished = 0;

    for (long i = 0; i < n_streams; i++) {
        const struct stream *s = &streams[i];

        n_whole += whole(s);
        n_wrong += s->wrong > 0;
        tokens += s->sent;
        unfinished += !s->done;
        if (!whole(s) && s->wrong == 0)
            wrong(i, "not whole", s->done ? "done, with a part of its text" : "not done");
    }
    printf("{\"streams\": %ld, \"tokens\": %ld, \"whole\": %ld, \"wrong\": %ld, \"unfinished\": %ld}\n",
           n_streams, tokens, n_whole, n_wrong, unfinished);
    return n_whole == n_streams ? 0 : 1;
}

static void
again(double now)
{
    for (long i = 0; i < begun; i++)
        if (streams[i].again > 0 && streams[i].again < now)
            client_begin(i);
}

static void
run(void)
{
    struct epoll_event e[EVENTS];
    double start = now_s(), now = start, looked = 0;
    bool told = false;

    while (over < n_streams && now - start < (double)seconds) {
        while (begun < n_streams && (double)begun < (now - start) * (double)ramp)
            client_begin(begun++);
        if (now - looked > (double)LOOK_MS / 1000) {
            looked = now;
            again(now);
            model_tick(now);
        }
        for (int i = 0, n = epoll_wait(poller, e, EVENTS, LOOK_MS); i < n; i++) {
            if (e[i].data.ptr == &listener)
                model_accept(listener);
            else if (e[i].data.ptr == &ending)
                ending = getchar() == EOF;
            else
                handle(e[i].data.ptr);
        }
        if (ending)
            epoll_ctl(poller, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
        if (!told && tokens_early == n_streams) {
            told = true;
            puts("open");
            fflush(stdout);
        }
        now = now_s();
    }
}

static void
options(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        char *value = argv[i + 1], *colon = strchr(value, ':');

        if (strcmp(argv[i], "--target") == 0 && colon) {
            *colon = 0;
            target.sin_family = AF_INET;
            target.sin_port = htons((uint16_t)strtol(colon + 1, NULL, 10));
            inet_pton(AF_INET, value, &target.sin_addr);
        } else if (strcmp(argv[i], "--model-port") == 0) {
            model_port = strtol(value, NULL, 10);
        } else if (strcmp(argv[i], "--streams") == 0) {
            n_streams = strtol(value, NULL, 10);
        } else if (strcmp(argv[i], "--ramp") == 0) {
            ramp = strtol(value, NULL, 10);
        } else if (strcmp(argv[i], "--interval-ms") == 0) {
            interval_ms = strtol(value, NULL, 10);
        } else if (strcmp(argv[i], "--seconds") == 0) {
            seconds = strtol(value, NULL, 10);
        }
    }
    errno = EINVAL;
    if (n_streams < 1 || n_streams > STREAMS_MAX || !model_port || !target.sin_port || ramp < 1 ||
        interval_ms < 1)
        die("see the head of streams_load.c");
}

int
main(int argc, char **argv)
{
    struct epoll_event e = { .events = EPOLLIN };

    options(argc, argv);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    poller = epoll_create1(EPOLL_CLOEXEC);
    listener = model_listen((int)model_port);
    e.data.ptr = &listener;
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    e.data.ptr = &ending;
    if (epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &e) < 0)
        die("standard input must be a pipe");
    run();
    return report();
}
