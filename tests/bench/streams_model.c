/* streams_load's model server: it answers each question that names a stream with one token each interval, until it is told to end. */
#include "tests/bench/streams_load.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

int
model_listen(int port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 4096) < 0)
        die("the model server cannot listen");
    return fd;
}

void
model_accept(int listener)
{
    int fd, one = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        peer_new(fd, true);
    }
}

static void
refuse(const struct peer *p)
{
    static const char text[] =
        "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

    peer_send(p, text, sizeof text - 1);
}

static void
begin(struct peer *p, const char *body, size_t n)
{
    static const char head[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    static const char word[] = "streamer ";
    const char *at = memmem(body, n, word, sizeof word - 1), *next = at;

    while (next) { /* the last one: examples of a prompt may come before the question */
        at = next;
        next = memmem(at + 1, n - (size_t)(at + 1 - body), word, sizeof word - 1);
    }
    p->stream = at ? strtol(at + sizeof word - 1, NULL, 10) : -1;
    if (p->stream < 0 || p->stream >= n_streams || streams[p->stream].answers ||
        streams[p->stream].sent > 0) {
        p->stream = -1;
        refuse(p);
        return;
    }
    peer_send(p, head, sizeof head - 1);
    streams[p->stream].answers = p;
    streams[p->stream].due = now_s();
}

void
model_input(struct peer *p)
{
    char *end, *length;
    size_t head, body;

    while (p->n > 0 && (end = memmem(p->in, p->n, "\r\n\r\n", 4)) != NULL) {
        head = (size_t)(end - p->in) + 4;
        *end = 0;
        length = strcasestr(p->in, "\r\nContent-Length:");
        body = length ? strtoul(length + 17, NULL, 10) : 0;
        *end = '\r';
        if (p->n < head + body)
            return;
        begin(p, p->in + head, body);
        peer_take(p, head + body);
    }
}

void
model_gone(struct peer *p)
{
    if (p->stream >= 0 && streams[p->stream].answers == p)
        streams[p->stream].answers = NULL;
}

static void
say(const struct peer *p, const char *text, const char *reason)
{
    char data[400], frame[500];
    int n = snprintf(
        data, sizeof data,
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"streams\","
        "\"choices\":[{\"index\":0,\"delta\":{%s%s%s},\"finish_reason\":%s}]}\n\n",
        *text ? "\"content\":\"" : "", text, *text ? "\"" : "", reason);

    n = snprintf(frame, sizeof frame, "%x\r\n%s\r\n", (unsigned)n, data);
    peer_send(p, frame, (size_t)n);
}

static void
next_token(long i)
{
    static const char last[] = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
    struct stream *s = &streams[i];
    char text[TOKEN_BYTES + 1] = { 0 };
    long from = s->sent > 0 ? s->sent * TOKEN_BYTES - 1 : 0, to = (s->sent + 1) * TOKEN_BYTES - 1;

    for (long at = from; at < to; at++)
        text[at - from] = token_byte(i, at);
    say(s->answers, text, "null");
    s->sent++;
    if (!ending)
        return;
    say(s->answers, "", "\"stop\"");
    peer_send(s->answers, last, sizeof last - 1);
    s->ended = true;
    s->answers->stream = -1;
    s->answers = NULL;
}

void
model_tick(double now)
{
    for (long i = 0; i < n_streams; i++)
        if (streams[i].answers && streams[i].due <= now) {
            streams[i].due += (double)interval_ms / 1000;
            next_token(i);
        }
}
