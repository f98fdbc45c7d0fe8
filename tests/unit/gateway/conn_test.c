/* The guard over client connections, on real sockets: one that is let go while idle was not slow. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/edge/conn.h"
#include "gateway/edge/http.h"
#include "gateway/edge/origin.h"
#include "gateway/edge/stat.h"

static const struct cidrs nobody;

static int
connect_to(long port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static struct sockaddr_in peer[256]; /* by descriptor: whom it was accepted from */

static int
accept_on(int listener)
{
    struct sockaddr_in from;
    socklen_t n = sizeof from;
    int fd = accept(listener, (struct sockaddr *)&from, &n);

    assert_true(fd >= 0 && fd < 256);
    peer[fd] = from;
    return fd;
}

/* As the server closes: it says so before, and ends its side of the connection. */
static void
server_close(int fd)
{
    char ip[INET_ADDRSTRLEN];

    conn_leave(inet_ntop(AF_INET, &peer[fd].sin_addr, ip, sizeof ip), ntohs(peer[fd].sin_port));
    shutdown(fd, SHUT_WR);
    close(fd);
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
    struct guard_config opt = { .threads = 1,
                                .header_timeout = 5,
                                .max_per_address = 8,
                                .write_timeout = 10,
                                .min_client_rate = 1024,
                                .proxies = &nobody };
    int listener = listen_on(&opt.port), client[2], server[2];
    char got[8];

    (void)s;
    assert_true(conn_guard_start(&opt));
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
        server_close(server[i]);
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

    server_close(c->fd);
    atomic_store(&c->over, true);
    return NULL;
}

/* A client whose machine has no room for what is sent to it; returns the server's side. */
static int
unread_answer(long port, int listener, int *client)
{
    static char answer[65536];
    struct linger wait = { 1, 60 };
    int server;

    *client = connect_to(port);
    server = accept_on(listener);
    assert_int_equal(setsockopt(server, SOL_SOCKET, SO_LINGER, &wait, sizeof wait), 0);
    while (send(server, answer, sizeof answer, MSG_DONTWAIT) > 0)
        ;
    return server;
}

static void
reset_close(int fd)
{
    struct linger reset = { 1, 0 };

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
}

static const struct guard_config eight = { .threads = 8,
                                           .header_timeout = 5,
                                           .max_per_address = 8,
                                           .write_timeout = 10,
                                           .min_client_rate = 1024,
                                           .proxies = &nobody };

/* A minute of linger, and too few descriptors for the watchdog to wait instead: a close under the guard's lock would let
 * nobody in before it is over. */
static void
a_close_that_waits_for_a_client_that_does_not_read_keeps_nobody_out(void **s)
{
    struct guard_config opt = eight;
    struct rlimit was, few = { 32, 0 };
    int listener = listen_on(&opt.port), unread, fresh, server, fill[16];
    struct closing c = { .fd = -1 };
    pthread_t thread;

    (void)s;
    getrlimit(RLIMIT_NOFILE, &was);
    few.rlim_max = was.rlim_max;
    setrlimit(RLIMIT_NOFILE, &few);
    assert_true(conn_guard_start(&opt));
    for (size_t i = 0; i < 10; i++)
        fill[i] = dup(listener);
    c.fd = unread_answer(opt.port, listener, &unread);
    assert_int_equal(pthread_create(&thread, NULL, close_it, &c), 0);
    while (conn_count() > 0) /* it has given its place back */
        sched_yield();
    fresh = connect_to(opt.port);
    server = accept_on(listener);
    assert_false(atomic_load(&c.over));
    reset_close(unread);
    pthread_join(thread, NULL);
    assert_false(conn_descriptors_scarce());
    for (int more = 0; more >= 0; more = dup(listener))
        assert_true(more < 29 || conn_descriptors_scarce());
    for (int fd = server + 1; fd < 32; fd++)
        close(fd);
    assert_false(conn_descriptors_scarce());
    for (size_t i = 0; i < 10; i++)
        close(fill[i]);
    close(fresh);
    server_close(server);
    conn_guard_stop();
    setrlimit(RLIMIT_NOFILE, &was);
    close(listener);
}

/* However long its socket would linger: no thread waits, and it still counts as open until its client is cut off. */
static void
an_unread_answer_at_close_holds_no_thread_and_is_cut_off(void **s)
{
    struct guard_config opt = eight;
    int listener = listen_on(&opt.port), unread, fresh, server;
    char some[512];

    (void)s;
    opt.write_timeout = 1;
    opt.threads = 1;
    assert_true(conn_guard_start(&opt));
    server = unread_answer(opt.port, listener, &unread);
    server_close(server);
    assert_int_equal(conn_closing(), 1);
    assert_int_equal(conn_count(), 1);
    fresh = connect_to(opt.port); /* the one thread's place is free */
    server = accept_on(listener);
    assert_false(conn_was_let_go(server));
    while (conn_closing() > 0)
        sched_yield();
    while (recv(unread, some, sizeof some, 0) > 0)
        ;
    assert_int_equal(errno, ECONNRESET);
    close(unread);
    close(fresh);
    server_close(server);
    assert_int_equal(conn_count(), 0);
    conn_guard_stop();
    close(listener);
}

struct writing {
    int fd;
    long n;
    bool whole;
    atomic_bool over;
};

/* As a thread of the server: an answer in steps, in the phase of a write. */
static void *
write_it(void *arg)
{
    static const char answer[65536];
    struct writing *w = arg;
    enum conn_phase was;
    ssize_t k = 1;
    long at = 0;

    conn_phase_set(w->fd, CONN_WORK, 0);
    was = conn_write_begin(w->fd);
    while (at < w->n &&
           (k = send(w->fd, answer, (size_t)(w->n - at < 65536 ? w->n - at : 65536), MSG_NOSIGNAL)) > 0) {
        conn_wrote(w->fd, (size_t)k);
        at += k;
    }
    conn_phase_set(w->fd, was, 0);
    w->whole = at == w->n;
    shutdown(w->fd, SHUT_WR);
    atomic_store(&w->over, true);
    return NULL;
}

/* Reads so much in each hundredth of a second until the server ends it. */
static void
read_slowly(int fd, size_t step, const struct writing *w, bool to_the_end)
{
    char some[2048];

    assert_true(step <= sizeof some);
    while ((to_the_end || !atomic_load(&w->over)) && recv(fd, some, step, 0) > 0)
        usleep(10000);
}

/* 50,000 bytes must be taken in each second; this client takes 100 times STEP. */
static bool
is_answered(size_t step, bool to_the_end)
{
    struct guard_config opt = eight;
    int listener = listen_on(&opt.port), client;
    struct writing w = { .n = 400000 };
    pthread_t thread;

    opt.write_timeout = 1;
    opt.min_client_rate = 50000;
    assert_true(conn_guard_start(&opt));
    client = connect_to(opt.port);
    w.fd = accept_on(listener);
    conn_buffer_limit(w.fd, 8192);
    assert_int_equal(pthread_create(&thread, NULL, write_it, &w), 0);
    read_slowly(client, step, &w, to_the_end);
    pthread_join(thread, NULL);
    close(client);
    server_close(w.fd);
    conn_guard_stop();
    close(listener);
    return w.whole;
}

static void
a_reader_that_takes_too_little_is_cut_in_the_middle_of_its_answer(void **s)
{
    (void)s;
    assert_false(is_answered(20, false));
}

static void
a_reader_that_is_slow_but_steady_gets_its_whole_answer(void **s)
{
    (void)s;
    assert_true(is_answered(2048, true));
}

static int
connect_from(long port, const char *address)
{
    struct sockaddr_in me = { .sin_family = AF_INET },
                       a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    inet_pton(AF_INET, address, &me.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&me, sizeof me), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void
when_places_are_scarce_the_slowest_of_the_address_that_holds_most_goes_and_no_request_at_work(void **s)
{
    static const char *const from[6] = { "127.0.0.2", "127.0.0.3", "127.0.0.3",
                                         "127.0.0.3", "127.0.0.3", "127.0.0.4" };
    struct guard_config opt = eight;
    int listener = listen_on(&opt.port), client[6], server[6], late;
    char some[64];

    (void)s;
    opt.threads = 6;
    assert_true(conn_guard_start(&opt));
    for (size_t i = 0; i < 6; i++) {
        client[i] = connect_from(opt.port, from[i]);
        server[i] = accept_on(listener);
    }
    conn_phase_set(server[0], CONN_BODY, 0);
    conn_phase_set(server[1], CONN_WORK, 0); /* a request at work */
    for (int i = 2; i < 6; i++)
        conn_phase_set(server[i], CONN_BODY, 0);
    assert_int_equal(send(client[2], some, 40, 0), 40);
    assert_int_equal(recv(server[2], some, sizeof some, 0), 40);
    assert_int_equal(send(client[4], some, 40, 0), 40);
    assert_int_equal(recv(server[4], some, sizeof some, 0), 40);
    /* the watchdog itself makes room from 90 % on, once somebody is slow */
    while (!conn_was_pushed(server[3]))
        sched_yield();
    for (int i = 0; i < 6; i++)
        assert_int_equal(conn_was_pushed(server[i]), i == 3);
    late = connect_from(opt.port, "127.0.0.5");
    server_close(server[3]);
    server[3] = accept_on(listener);
    assert_false(conn_was_cut(server[1]));
    for (size_t i = 0; i < 6; i++) {
        close(client[i]);
        server_close(server[i]);
    }
    close(late);
    conn_guard_stop();
    close(listener);
}

/* As the HTTP library reads a head: each piece behind the one before it. */
static void
a_tab_in_a_header_is_read_as_a_blank_wherever_the_head_is_cut(void **s)
{
    static const char head[] = "\r\nGET\t/ HTTP/1.1\r\nHost:\th\r\nA: b\tc\t\r\n\r\nbody\t\tbody";
    static const char want[] = "\r\nGET\t/ HTTP/1.1\r\nHost: h\r\nA: b c \r\n\r\nbody\t\tbody";
    struct guard_config opt = eight;
    int listener = listen_on(&opt.port);
    char got[128];

    (void)s;
    assert_true(conn_guard_start(&opt));
    for (size_t cut = 1; cut < sizeof head - 1; cut++) {
        int client = connect_to(opt.port), server = accept_on(listener);
        size_t n = 0;

        for (size_t end = cut; n < sizeof head - 1; end = sizeof head - 1) {
            if (memmem(got, n, "\r\n\r\n", 4)) /* whole: the library answers before it reads on */
                conn_phase_set(server, CONN_BODY, 0);
            assert_int_equal(send(client, head + n, end - n, 0), end - n);
            assert_int_equal(recv(server, got + n, end - n, MSG_WAITALL), end - n);
            n = end;
        }
        assert_int_equal(conn_head_start() - got, 0);
        assert_memory_equal(got, want, n);
        close(client);
        server_close(server);
    }
    conn_guard_stop();
    close(listener);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tab_in_a_header_is_read_as_a_blank_wherever_the_head_is_cut),
        cmocka_unit_test(a_reader_that_takes_too_little_is_cut_in_the_middle_of_its_answer),
        cmocka_unit_test(a_reader_that_is_slow_but_steady_gets_its_whole_answer),
        cmocka_unit_test(
            when_places_are_scarce_the_slowest_of_the_address_that_holds_most_goes_and_no_request_at_work),
        cmocka_unit_test(an_unread_answer_at_close_holds_no_thread_and_is_cut_off),
        cmocka_unit_test(a_close_that_waits_for_a_client_that_does_not_read_keeps_nobody_out),
        cmocka_unit_test(a_request_that_meets_the_end_of_its_idle_connection_is_read_and_was_not_slow),
    };

    return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}
