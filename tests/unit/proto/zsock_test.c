/* zsock.c: what passes for a message of the bus. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proto/zsock.h"

static void *from, *to;

static int
setup(void **state)
{
    (void)state;
    from = zmq_socket(zsock_context(), ZMQ_DEALER);
    to = zmq_socket(zsock_context(), ZMQ_DEALER);
    return zmq_bind(to, "inproc://zsock") || zmq_connect(from, "inproc://zsock");
}

static int
teardown(void **state)
{
    (void)state;
    zmq_close(from);
    zmq_close(to);
    zsock_context_end();
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
    assert_int_equal(zsock_recv(to, &f), 1);
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
            assert_int_equal(passes(cmd, n), n == (cmd == CMD_REQUEST || cmd == CMD_PARTIAL || cmd == CMD_FINAL ? 4 : 3));
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

            assert_int_equal(zsock_send(from, STR_NONE, cmd, STR("\x80"), with ? payload : NULL), 0);
            assert_int_equal(zsock_recv(to, &f), 1);
            assert_true(zframes_check(&f, 0, &m));
            assert_int_equal(m.cmd, cmd);
            if (m.payload)
                assert_int_equal(zmq_msg_size(m.payload), with ? 7 : 0);
            zframes_drop(&f);
        }
    blob_drop(&payload);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_command_has_its_exact_number_of_frames),
        cmocka_unit_test(what_is_sent_passes_with_and_without_a_payload),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
