/* --health and --ready: one blocking GET to the internal port of the process that runs, with a deadline for all of it. */
#include "common/process/admin.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/text/number.h"

static bool
wait_for(int fd, short events, int64_t deadline)
{
    struct pollfd pf = { .fd = fd, .events = events };
    int64_t left = deadline - clock_ms();
    int rc;

    do {
        rc = poll(&pf, 1, left > 0 ? (int)left : 0);
    } while (rc < 0 && errno == EINTR);
    if (rc == 0)
        errno = ETIMEDOUT;
    return rc == 1;
}

static int
connect_to(const char *host, long port, int64_t deadline)
{
    struct addrinfo hint = { .ai_socktype = SOCK_STREAM }, *at = NULL;
    int fd, err = 0;
    socklen_t n = sizeof err;
    char text[16];

    (void)snprintf(text, sizeof text, "%ld", port);
    if (getaddrinfo(host, text, &hint, &at) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) != 0)
        err = errno;
    freeaddrinfo(at);
    if (err == EINPROGRESS) {
        err = 0;
        if (!wait_for(fd, POLLOUT, deadline))
            err = errno;
        else
            (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n);
    }
    if (fd >= 0 && err) {
        (void)close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

/* Send the request, read to the end. */
static bool
converse(int fd, const char *path, int64_t deadline, struct buf *in)
{
    char part[2048];
    int len = snprintf(part, sizeof part, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                       path);
    ssize_t k;

    if (send(fd, part, (size_t)len, MSG_NOSIGNAL) != len)
        return false;
    for (;;) {
        if (!wait_for(fd, POLLIN, deadline))
            return false;
        k = recv(fd, part, sizeof part, 0);
        if (k < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (k <= 0)
            return k == 0;
        buf_add(in, part, (size_t)k);
    }
}

int
admin_ask(const char *host, long port, const char *path, int timeout_ms, struct buf *body)
{
    int64_t deadline = clock_ms() + timeout_ms;
    struct buf in = BUF_MAX(16u << 20);
    const char *text;
    int64_t status = -1;
    int fd = connect_to(host, port, deadline);

    if (fd < 0 || !converse(fd, path, deadline, &in)) {
        buf_printf(body, "no answer from %s port %ld: %s", host, port, strerror(errno));
        goto out;
    }
    text = in.n ? strstr(in.p, "\r\n\r\n") : NULL;
    if (!text || in.failed || strncmp(in.p, "HTTP/1.1 ", 9) != 0) {
        buf_printf(body, "no answer from %s port %ld: that is not HTTP", host, port);
        goto out;
    }
    (void)number_first(str_of(in.p + 9), 999, &status);
    buf_z(body, text + 4);
out:
    if (fd >= 0)
        (void)close(fd);
    buf_free(&in);
    return (int)status;
}
