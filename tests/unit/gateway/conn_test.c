/* The guard over client connections, on real sockets: one that is let go while idle was not slow. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/conn.h"
#include "gateway/gateway.h"

static int
connect_to(long port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static int
accept_on(int listener)
{
    struct sockaddr_in from;
    socklen_t n = sizeof from;
    int fd = accept(listener, (struct sockaddr *)&from, &n);

    assert_true(fd >= 0);
    return fd;
}

static int
listen_on(long *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

/* One thread, two connections: the second takes the first one's place, whose request was on its way. */
static void
a_request_that_meets_the_end_of_its_idle_connection_is_read_and_was_not_slow(void **s)
{
    struct gateway_opt opt = { .http_threads = 1, .header_timeout = 5, .max_conn_per_addr = 8 };
    struct gateway gw = { .opt = &opt };
    int listener = listen_on(&opt.port), client[2], server[2];
    char got[8];

    (void)s;
    assert_true(conn_guard_start(&gw));
    client[0] = connect_to(opt.port);
    server[0] = accept_on(listener);
    assert_false(conn_was_let_go(server[0]));
    client[1] = connect_to(opt.port);
    server[1] = accept_on(listener);
    assert_true(conn_was_let_go(server[0]));
    assert_false(conn_was_let_go(server[1]));
    assert_int_equal(send(client[0], "GET", 3, 0), 3);
    assert_int_equal(recv(server[0], got, sizeof got, 0), 3);
    assert_true(conn_was_let_go(server[0]));
    assert_false(conn_was_cut(server[0]));
    assert_false(conn_gone(server[0]));
    for (int i = 0; i < 2; i++) {
        close(client[i]);
        close(server[i]);
    }
    assert_int_equal(conn_count(), 0);
    conn_guard_stop();
    close(listener);
}

struct closing {
    int fd;
    atomic_bool over;
};

static void *
close_it(void *arg)
{
    struct closing *c = arg;

    close(c->fd);
    atomic_store(&c->over, true);
    return NULL;
}

/* A minute of linger: a close under the guard's lock would let nobody in before it is over. */
static void
a_close_that_waits_for_a_client_that_does_not_read_keeps_nobody_out(void **s)
{
    struct gateway_opt opt = { .http_threads = 8, .header_timeout = 5, .max_conn_per_addr = 8 };
    struct gateway gw = { .opt = &opt };
    struct linger wait = { 1, 60 }, reset = { 1, 0 };
    int listener = listen_on(&opt.port), unread, fresh, server;
    struct closing c = { .fd = -1 };
    static char answer[65536];
    pthread_t thread;

    (void)s;
    assert_true(conn_guard_start(&gw));
    unread = connect_to(opt.port);
    c.fd = accept_on(listener);
    assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &wait, sizeof wait), 0);
    while (send(c.fd, answer, sizeof answer, MSG_DONTWAIT) > 0)
        ;
    assert_int_equal(pthread_create(&thread, NULL, close_it, &c), 0);
    while (conn_count() > 0) /* it has given its place back */
        sched_yield();
    fresh = connect_to(opt.port);
    server = accept_on(listener);
    assert_false(atomic_load(&c.over));
    setsockopt(unread, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(unread);
    pthread_join(thread, NULL);
    close(fresh);
    close(server);
    conn_guard_stop();
    close(listener);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_close_that_waits_for_a_client_that_does_not_read_keeps_nobody_out),
        cmocka_unit_test(a_request_that_meets_the_end_of_its_idle_connection_is_read_and_was_not_slow),
    };

    return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}
