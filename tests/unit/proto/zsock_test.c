/* zsock.c: what passes for a message of the bus. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "proto/zsock.h"

static void *from, *to;

static int
setup(void **state)
{
    (void)state;
    from = zmq_socket(bus_context(), ZMQ_DEALER);
    to = zmq_socket(bus_context(), ZMQ_DEALER);
    return zmq_bind(to, "inproc://zsock") || zmq_connect(from, "inproc://zsock");
}

static int
teardown(void **state)
{
    (void)state;
    zmq_close(from);
    zmq_close(to);
    bus_context_end();
    return 0;
}

/* Does a message of cmd with n frames pass? Those it has are good ones; beyond three they are payloads. */
static bool
passes(int cmd, int n)
{
    const char c = (char)cmd, *frame[] = { BUS_MAGIC, &c, "\x80", "payload", "more", "more" };
    const size_t size[] = { 4, 1, 1, 7, 4, 4 };
    struct zframes f;
    struct zmessage m;
    bool good;

    for (int i = 0; i < n; i++)
        assert_int_equal(zmq_send(from, frame[i], size[i], i < n - 1 ? ZMQ_SNDMORE : 0), size[i]);
    assert_int_equal(bus_recv(to, &f), 1);
    good = zframes_check(&f, 0, &m);
    if (good) {
        assert_int_equal(m.cmd, cmd);
        assert_true((m.payload != NULL) == (n == 4));
    }
    zframes_drop(&f);
    return good;
}

static void
each_command_has_its_exact_number_of_frames(void **state)
{
    (void)state;
    for (int cmd = 1; cmd < CMD_COUNT; cmd++)
        for (int n = 1; n <= 6; n++)
            assert_int_equal(passes(cmd, n),
                             n == (cmd == CMD_REQUEST || cmd == CMD_PARTIAL || cmd == CMD_FINAL ? 4 : 3));
    /* unknown ones are the hub's to answer, with DISCONNECT(unsupported) */
    assert_true(passes(CMD_COUNT, 3) && passes(0xff, 4));
    assert_false(passes(0, 3));
}

static void
what_is_sent_passes_with_and_without_a_payload(void **state)
{
    struct buf b = BUF_MAX(16);
    struct blob *payload;

    (void)state;
    buf_add(&b, "payload", 7);
    payload = blob_of_buf(&b);
    for (int cmd = 1; cmd < CMD_COUNT; cmd++)
        for (int with = 0; with < 2; with++) {
            struct zframes f;
            struct zmessage m;

            assert_int_equal(bus_send(from, STR_NONE, cmd, STR("\x80"), with ? payload : NULL), 0);
            assert_int_equal(bus_recv(to, &f), 1);
            assert_true(zframes_check(&f, 0, &m));
            assert_int_equal(m.cmd, cmd);
            if (m.payload)
                assert_int_equal(zmq_msg_size(m.payload), with ? 7 : 0);
            zframes_drop(&f);
        }
    blob_drop(&payload);
}

enum { SEEN_MS = 1500 }; /* longer than a heartbeat of ZMTP would be, which was 1 s */

/* A peer fills the queue, so that reading from it stops, and leaves: with ZMTP's heartbeats on, libzmq then
 * aborts the process. */
static void
a_peer_that_leaves_with_its_queue_full_ends_nobody(void **state)
{
    void *context = zmq_ctx_new(), *hub = zmq_socket(context, ZMQ_ROUTER),
         *peer = zmq_socket(context, ZMQ_DEALER);
    struct timespec t = { SEEN_MS / 1000, SEEN_MS % 1000 * 1000000 };
    static char frame[4096];
    char endpoint[128];
    size_t n = sizeof endpoint;
    int sent = 0;

    (void)state;
    bus_options(hub);
    bus_options(peer);
    assert_int_equal(zmq_bind(hub, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(hub, ZMQ_LAST_ENDPOINT, endpoint, &n), 0);
    assert_int_equal(zmq_connect(peer, endpoint), 0);
    for (int i = 0; i < 12000; i++) /* more than both queues and the kernel hold */
        sent += zmq_send(peer, frame, sizeof frame, ZMQ_DONTWAIT) > 0;
    assert_true(sent > 5000);
    nanosleep(&t, NULL); /* the queue fills */
    zmq_close(peer);
    nanosleep(&t, NULL); /* nothing tells that nothing happens */
    assert_true(zmq_recv(hub, frame, sizeof frame, ZMQ_DONTWAIT) > 0);
    zmq_close(hub);
    zmq_ctx_term(context);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_that_leaves_with_its_queue_full_ends_nobody),
        cmocka_unit_test(each_command_has_its_exact_number_of_frames),
        cmocka_unit_test(what_is_sent_passes_with_and_without_a_payload),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
