/* accept() and recv() of this executable. civetweb tells nobody that a connection was accepted, nor that a byte of a head came, and
 * both must be known: a flood has to be refused before it holds threads, and a head has a total time. libc is called through for
 * everything; only what the public port accepted is also told to conn.c, for all others a call is one look at an atomic.
 * close() is libc's own: http.c hears of the end by civetweb's connection_close. */
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gateway/edge/conn.h"

typedef int (*accept_fn)(int, struct sockaddr *, socklen_t *);
typedef ssize_t (*recv_fn)(int, void *, size_t, int);

/* dlsym gives functions as data pointers: POSIX says that this conversion holds. */
#define REAL(type, name) ((type)(uintptr_t)dlsym(RTLD_NEXT, name))

int accept(int listener, struct sockaddr *restrict sa, socklen_t *restrict len);
int
accept(int listener, struct sockaddr *restrict sa, socklen_t *restrict len)
{
    static _Atomic(accept_fn) real;
    accept_fn fn = atomic_load_explicit(&real, memory_order_relaxed);
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
    int fd;

    if (!fn)
        atomic_store(&real, fn = REAL(accept_fn, "accept"));
    fd = fn(listener, sa, len);
    if (fd < 0 || !sa || sa->sa_family != AF_INET || !conn_is_public(listener) ||
        conn_enter(fd, in->sin_addr.s_addr, in->sin_port))
        return fd;
    close(fd);
    errno = ECONNABORTED;
    return -1;
}

ssize_t
recv(int fd, void *p, size_t n, int flags)
{
    static _Atomic(recv_fn) real;
    recv_fn fn = atomic_load_explicit(&real, memory_order_relaxed);
    bool ours = conn_is_ours(fd);
    ssize_t got;

    if (!fn)
        atomic_store(&real, fn = REAL(recv_fn, "recv"));
#ifdef __SANITIZE_THREAD__
    if (!ours) /* libzmq's own: it guards its buffers by atomics that the sanitizer cannot see */
        return (ssize_t)syscall(SYS_recvfrom, fd, p, n, flags, NULL, NULL);
#endif
    got = fn(fd, p, n, flags);
    if (ours && (flags & MSG_PEEK) == 0)
        conn_received(fd, p, got);
    return got;
}

/* It stands here so that a program with conn.c also links the two calls above: a sanitizer's own accept() and
 * recv() would do else. */
bool
guard_peek(int fd)
{
    char c;
    ssize_t got = recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
}
