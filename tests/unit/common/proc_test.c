/* The skeleton, as a process of its own: what it prints, its internal port, its signals and exit codes. Each test forks
 * a small service whose behaviour is set by options; its output goes to a private file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "prockit.h"

/* ---- what it prints */

static void
help_and_version_need_no_valid_options(void **state)
{
    (void)state;
    (void)setenv("METRICS_PORT", "x", 1);
    BEGIN("t", "--help");
    assert_int_equal(end_of_child(), 0);
    assert_non_null(strstr(output(), "usage: footnote-test"));
    assert_non_null(strstr(output(), "--metrics-port N"));
    BEGIN("t", "--version");
    assert_int_equal(end_of_child(), 0);
    assert_int_equal(strncmp(output(), "footnote-test 0.1.0 (build ", 27), 0);
    BEGIN("t", "--print-options=env");
    assert_int_equal(end_of_child(), 0);
    assert_non_null(strstr(output(), "#METRICS_PORT=0\n"));
    (void)unsetenv("METRICS_PORT");
}

static void
check_config_shows_what_is_in_force_and_exits_by_it(void **state)
{
    (void)state;
    BEGIN("t", "--check-config", "--secret=hunter2", "--log-format=json");
    assert_int_equal(end_of_child(), 0);
    assert_non_null(strstr(output(), "LOG_FORMAT=json  # flag\n"));
    assert_non_null(strstr(output(), "SECRET=***  # flag\n"));
    assert_null(strstr(output(), "hunter2"));
    BEGIN("t", "--check-config", "--mode=wrong");
    assert_int_equal(end_of_child(), 1);
    assert_non_null(strstr(output(), "will not do"));
}

static void
wrong_options_end_with_2_and_say_what_would_be_right(void **state)
{
    (void)state;
    BEGIN("t", "--metrics-port=70000");
    assert_int_equal(end_of_child(), 2);
    assert_non_null(strstr(output(), "--metrics-port: \"70000\" is out of bounds; allowed: 0 to 65535\n"));
    BEGIN("t", "--log-level=loud");
    assert_int_equal(end_of_child(), 2);
    assert_non_null(strstr(output(),
                           "LOG_LEVEL: \"loud\" is not known; allowed: debug, info, warn, error\n"));
    BEGIN("t", "--mode=wrong");
    assert_int_equal(end_of_child(), 2);
}

static void
a_failed_start_ends_with_1(void **state)
{
    (void)state;
    BEGIN("t", "--mode=failing");
    assert_int_equal(end_of_child(), 1);
    assert_null(strstr(output(), "ready to work"));
}

static void
the_start_line_tells_what_is_not_default_but_no_secret(void **state)
{
    (void)state;
    BEGIN("t", "--secret=hunter2", "--mode=plain");
    (void)await("ready to work");
    assert_non_null(strstr(output(), "version=0.1.0 build="));
    assert_non_null(strstr(output(), "options=\"SECRET=*** MODE=plain\""));
    assert_null(strstr(output(), "hunter2"));
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_int_equal(end_of_child(), 0);
}

/* A shell's soft limit is no limit for a service. */
static void
the_limit_of_open_files_is_raised_and_told(void **state)
{
    struct rlimit was, low = { 128, 0 };
    struct buf body = { 0 };
    char words[64];
    long port, most;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    low.rlim_max = was.rlim_max;
    most = was.rlim_max < DESCRIPTORS_MOST ? (long)was.rlim_max : DESCRIPTORS_MOST;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    BEGIN("t");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    port = port_of_child();
    (void)snprintf(words, sizeof words, " descriptors=%ld ", most);
    (void)await(words);
    assert_int_equal(ask(port, "/metrics", &body), 200);
    (void)snprintf(words, sizeof words, "\nprocess_max_fds %ld\n", most);
    assert_non_null(strstr(body.p, words));
    buf_free(&body);
}

/* A process that cannot serve what its options say tells so, and by how much. */
static void
an_option_that_wants_more_files_than_there_may_be_is_told(void **state)
{
    (void)state;
    BEGIN("t", "--mode=many");
    (void)await("ready to work");
    assert_null(strstr(output(), "option=FEW"));
    assert_non_null(strstr(output(), "option=MANY value=9 wanted="));
}

/* ---- the internal port */

static void
the_internal_port_answers_health_metrics_and_errors(void **state)
{
    struct buf body = { 0 };
    long port;

    (void)state;
    BEGIN("t");
    port = port_of_child();
    assert_int_equal(ask(port, "/healthz", &body), 200);
    assert_string_equal(body.p, "{\"status\":\"ok\"}\n");
    assert_int_equal(ask(port, "/readyz?verbose", &body), 200);
    assert_string_equal(body.p, "{\"status\":\"ready\"}\n");
    assert_int_equal(ask(port, "/metrics", &body), 200);
    assert_non_null(strstr(body.p, "\nprocess_open_fds "));
    assert_non_null(strstr(body.p, "\nfootnote_build_info{version=\"0.1.0\",build=\""));
    assert_non_null(strstr(body.p, "\nfootnote_internal_requests_total{path=\"/healthz\"} 1\n"));
    assert_int_equal(ask(port, "/nothing", &body), 404);
    buf_free(&body);
}

static void
readiness_follows_the_service_and_its_reasons(void **state)
{
    struct buf body = { 0 };
    long port;

    (void)state;
    BEGIN("t", "--mode=unready");
    port = port_of_child();
    assert_int_equal(ask(port, "/readyz", &body), 503);
    assert_string_equal(body.p, "{\"status\":\"not ready\",\"reasons\":[\"bus\",\"post\\\"gres\"]}\n");
    assert_null(strstr(output(), "ready to work"));
    assert_int_equal(kill(child, SIGHUP), 0); /* reload makes it ready */
    (void)await("reload was called");
    (void)await("ready to work");
    assert_int_equal(ask(port, "/readyz", &body), 200);
    buf_free(&body);
}

static void
ready_with_a_reason_is_degraded_not_down(void **state)
{
    struct buf body = { 0 };

    (void)state;
    BEGIN("t", "--mode=degraded");
    assert_int_equal(ask(port_of_child(), "/readyz", &body), 200);
    assert_string_equal(body.p, "{\"status\":\"ready\",\"degraded\":[\"redis\"]}\n");
    buf_free(&body);
}

static int
dial(long port)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* Send bytes, read the first line of the answer ("" when there is none). */
static const char *
exchange(long port, const char *bytes, size_t n)
{
    static char line[512];
    int fd = dial(port);
    ssize_t k;

    assert_true(send(fd, bytes, n, MSG_NOSIGNAL) > 0);
    k = recv(fd, line, sizeof line - 1, 0);
    line[k > 0 ? k : 0] = '\0';
    line[strcspn(line, "\r")] = '\0';
    (void)close(fd);
    return line;
}

#define EXCHANGE(port, text) exchange(port, text, sizeof(text) - 1)

static void
requests_that_are_not_plain_gets_are_refused(void **state)
{
    static char big[4200];
    long port;

    (void)state;
    BEGIN("t");
    port = port_of_child();
    assert_string_equal(EXCHANGE(port, "HEAD /healthz HTTP/1.0\r\n\r\n"), "HTTP/1.1 200 OK");
    assert_string_equal(EXCHANGE(port, "POST /healthz HTTP/1.1\r\n\r\n"), "HTTP/1.1 405 Method Not Allowed");
    assert_string_equal(EXCHANGE(port, "nonsense\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    assert_string_equal(EXCHANGE(port, "GET /healthz HTTP/2.0\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    assert_string_equal(EXCHANGE(port, "\0\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    memset(big, 'a', sizeof big);
    assert_string_equal(exchange(port, big, sizeof big), "HTTP/1.1 431 Request Header Fields Too Large");
}

static void
idle_connections_cannot_lock_a_probe_out(void **state)
{
    struct buf body = { 0 };
    int fds[100];
    long port;

    (void)state;
    BEGIN("t");
    port = port_of_child();
    for (size_t i = 0; i < 100; i++) {
        fds[i] = dial(port);
        if (i % 16 == 15)
            assert_int_equal(ask(port, "/healthz", &body), 200);
    }
    assert_int_equal(ask(port, "/healthz", &body), 200);
    assert_int_equal(ask(port, "/metrics", &body), 200);
    assert_null(strstr(body.p, "internal_connections_closed_total 0\n"));
    for (size_t i = 0; i < 100; i++)
        (void)close(fds[i]);
    buf_free(&body);
}

static void
an_idle_connection_is_closed_after_its_time(void **state)
{
    char c;
    int64_t begun;
    int fd;

    (void)state;
    BEGIN("t");
    fd = dial(port_of_child());
    begun = clock_ms();
    assert_int_equal(send(fd, "GET", 3, MSG_NOSIGNAL), 3);
    assert_true(recv(fd, &c, 1, 0) <= 0);
    assert_in_range(clock_ms() - begun, 4500, 20000);
    (void)close(fd);
}

static void
health_and_ready_ask_the_running_process(void **state)
{
    pid_t service;
    char flag[40];

    (void)state;
    BEGIN("t", "--mode=unready");
    (void)snprintf(flag, sizeof flag, "--metrics-port=%ld", port_of_child());
    service = child;
    BEGIN("t", "--health", flag);
    assert_int_equal(end_of_child(), 0);
    BEGIN("t", "--ready", flag);
    assert_int_equal(end_of_child(), 1);
    assert_non_null(strstr(output(), "post\\\"gres"));
    child = service;
    assert_int_equal(kill(child, SIGKILL), 0);
    (void)end_of_child();
    BEGIN("t", "--health", flag);
    assert_int_equal(end_of_child(), 1);
    assert_non_null(strstr(output(), "no answer from 127.0.0.1"));
}

static void
a_port_in_use_ends_the_start_with_a_reason(void **state)
{
    pid_t service;
    char flag[40];

    (void)state;
    BEGIN("t");
    (void)snprintf(flag, sizeof flag, "--metrics-port=%ld", port_of_child());
    service = child;
    BEGIN("t", flag);
    assert_int_equal(end_of_child(), 1);
    child = service;
    assert_non_null(strstr(output(), "Address already in use"));
}

/* ---- signals */

static void
sigterm_drains_stops_and_exits_0(void **state)
{
    (void)state;
    BEGIN("t");
    (void)await("ready to work");
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_int_equal(end_of_child(), 0);
    assert_non_null(strstr(output(), "draining"));
    assert_non_null(strstr(output(), "stop was called"));
}

static void
while_draining_it_is_healthy_but_not_ready(void **state)
{
    struct buf body = { 0 };
    long port;

    (void)state;
    BEGIN("t", "--mode=slow");
    port = port_of_child();
    (void)await("ready to work");
    assert_int_equal(kill(child, SIGINT), 0);
    (void)await("draining");
    assert_int_equal(ask(port, "/healthz", &body), 200);
    assert_int_equal(ask(port, "/readyz", &body), 503);
    assert_string_equal(body.p, "{\"status\":\"not ready\",\"reasons\":[\"draining\"]}\n");
    buf_free(&body);
}

static void
second_signal_ends(const char *mode)
{
    int64_t begun;

    BEGIN("t", mode);
    (void)await("ready to work");
    assert_int_equal(kill(child, SIGTERM), 0);
    (void)await("draining");
    begun = clock_ms();
    for (int status = 0; waitpid(child, &status, WNOHANG) == 0;) {
        assert_true(clock_ms() - begun < 2000); /* 1 s, and some for a busy machine */
        (void)kill(child, SIGTERM);             /* until one comes after the first was taken */
        (void)poll(NULL, 0, 20);
    }
    child = 0;
}

static void
a_second_sigterm_ends_it_within_a_second(void **state)
{
    (void)state;
    second_signal_ends("--mode=slow");
    assert_non_null(strstr(output(), "exit_code=1"));
}

static void
a_second_sigterm_ends_even_a_loop_that_hangs(void **state)
{
    (void)state;
    second_signal_ends("--mode=stuck");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(help_and_version_need_no_valid_options),
        T(check_config_shows_what_is_in_force_and_exits_by_it),
        T(wrong_options_end_with_2_and_say_what_would_be_right),
        T(a_failed_start_ends_with_1),
        T(the_start_line_tells_what_is_not_default_but_no_secret),
        T(the_limit_of_open_files_is_raised_and_told),
        T(an_option_that_wants_more_files_than_there_may_be_is_told),
        T(the_internal_port_answers_health_metrics_and_errors),
        T(readiness_follows_the_service_and_its_reasons),
        T(ready_with_a_reason_is_degraded_not_down),
        T(requests_that_are_not_plain_gets_are_refused),
        T(idle_connections_cannot_lock_a_probe_out),
        T(an_idle_connection_is_closed_after_its_time),
        T(health_and_ready_ask_the_running_process),
        T(a_port_in_use_ends_the_start_with_a_reason),
        T(sigterm_drains_stops_and_exits_0),
        T(while_draining_it_is_healthy_but_not_ready),
        T(a_second_sigterm_ends_it_within_a_second),
        T(a_second_sigterm_ends_even_a_loop_that_hangs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
