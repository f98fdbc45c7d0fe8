/* A small service of the skeleton as a process of its own, whose behaviour is set by options; its output goes to a private file. After
 * cmocka.h. */
#ifndef TESTS_UNIT_COMMON_PROCKIT_H
#define TESTS_UNIT_COMMON_PROCKIT_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/process/admin.h"
#include "common/process/descriptors.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/process/proc.h"

/* ---- the service */

struct opt {
    const char *log_level, *log_format, *metrics_host, *secret, *mode;
    const char *otel_endpoint, *otel_headers;
    double otel_ratio;
    bool otel_content;
    long metrics_port;
};
#define OPT_STRUCT struct opt
static const struct opt_def rows[] = {
#define OPT OPT_ROW
#include "common/process/opt.tbl"
#undef OPT
    OPT_ROW(int, metrics_port, "METRICS_PORT", "0", 0, 65535, "Internal port.")
        OPT_ROW(secret, secret, "SECRET", "", 0, 0, "A secret.")
            OPT_ROW(str, mode, "MODE", "", 0, 0, "How the service behaves.")
};

static bool ready_now;

static bool
mode_is(const struct proc *p, const char *mode)
{
    return strcmp(((const struct opt *)p->opt)->mode, mode) == 0;
}

static void
check(const void *opt, struct buf *err)
{
    if (strcmp(((const struct opt *)opt)->mode, "wrong") == 0)
        buf_z(err, "MODE: \"wrong\" will not do; allowed: any other");
}

static int
start(struct proc *p)
{
    ready_now = !mode_is(p, "unready");
    if (mode_is(p, "many"))
        (void)(descriptors_enough("FEW", 1, descriptors_limit()) &&
               descriptors_enough("MANY", 9, descriptors_limit() + 1));
    return mode_is(p, "failing") ? -1 : 0;
}

static bool
ready(struct proc *p, struct buf *reasons)
{
    if (!ready_now)
        buf_z(reasons, "bus, post\"gres");
    if (mode_is(p, "degraded"))
        buf_z(reasons, "redis");
    return ready_now;
}

static void
exit_soon(void *arg)
{
    proc_exit(arg, 0);
}

static void
on_drain(struct proc *p)
{
    if (mode_is(p, "stuck"))
        for (;;)
            (void)pause();
    if (!mode_is(p, "slow"))
        loop_after(p->loop, 10, exit_soon, p);
}

static void
stop(struct proc *p)
{
    (void)p;
    LOG(INFO, NULL, M("stop was called"));
}

static void
reload(struct proc *p)
{
    (void)p;
    ready_now = true;
    LOG(INFO, NULL, M("reload was called"));
}

static const struct service svc = {
    .name = "test",
    .summary = "A test.",
    .manual = "It tests.",
    .opts = rows,
    .n_opts = sizeof rows / sizeof rows[0],
    .opt_size = sizeof(struct opt),
    .check = check,
    .start = start,
    .ready = ready,
    .drain = on_drain,
    .stop = stop,
    .reload = reload,
};

/* ---- running it */

static char out_path[64];
static pid_t child;

static int
setup(void **state)
{
    int fd;

    (void)state;
    (void)snprintf(out_path, sizeof out_path, "/tmp/proc_test.XXXXXX");
    fd = mkstemp(out_path);
    return fd < 0 ? -1 : close(fd);
}

static int
teardown(void **state)
{
    (void)state;
    if (child) {
        (void)kill(child, SIGKILL);
        (void)waitpid(child, NULL, 0);
        child = 0;
    }
    return unlink(out_path);
}

#define BEGIN(...) begin((const char *const[]){ __VA_ARGS__, NULL })

static void
begin(const char *const *args)
{
    char *argv[8];
    int argc = 0, fd;

    for (; args[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)args[argc];
    argv[argc] = NULL;
    (void)fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child)
        return;
    fd = open(out_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    (void)dup2(fd, STDOUT_FILENO);
    (void)dup2(fd, STDERR_FILENO);
    fd = proc_main(argc, argv, &svc);
    (void)fflush(NULL);
    exit(fd); /* not _exit: the leak checker has its say */
}

static const char *
output(void)
{
    static char text[65536];
    int fd = open(out_path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* Wait until the output has these words; returns where they end. */
static const char *
await(const char *words)
{
    int64_t until = clock_ms() + 20000;

    while (clock_ms() < until) {
        const char *at = strstr(output(), words);

        if (at)
            return at + strlen(words);
        (void)poll(NULL, 0, 5);
    }
    fail_msg("no \"%s\" in:\n%s", words, output());
    return NULL;
}

static int
end_of_child(void)
{
    int status = 0;

    assert_int_equal(waitpid(child, &status, 0), child);
    child = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static long
port_of_child(void)
{
    return strtol(await("metrics_port="), NULL, 10);
}

static int
ask(long port, const char *path, struct buf *body)
{
    buf_reset(body);
    return admin_ask("127.0.0.1", port, path, 10000, body);
}

#endif
