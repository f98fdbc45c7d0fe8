/* A program that stands beside us, run for one document (beside.h). Called on a thread of readers, which waits for it; the loop never does.
 *
 *   memfd with the document ─ stdin ─▶ the program ─ stdout ─▶ pipe, read until its end, a deadline or too many bytes
 *
 * It gets an empty environment, no descriptor but its three, and a process group of its own, which is killed as one. Its end is
 * waited for as long as its words are, since it may close its output and stay. */
#include "retriever/extract/beside.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/process/proc.h"
#include "common/write.h"

enum { READ_BYTES = 65536, LOOK_MS = 200, NAP_FIRST_US = 100, NAP_MAX_US = 20000 };

const char beside_could_not[] = "the reader of documents (footnote-extract) could not be started";
static _Atomic bool stopping;

void
beside_stop(void)
{
    atomic_store(&stopping, true);
}

void
beside_seconds(long seconds, char out[32])
{
    (void)snprintf(out, 32, "%ld", seconds > 2 ? seconds - 1 : 1);
}

/* The document as a file without a name, which the child can map and seek in; -1: there is no memory for it. */
static int
as_file(struct str body)
{
    int fd = memfd_create("document", MFD_CLOEXEC);

    if (fd >= 0 && (!write_all(fd, body) || lseek(fd, 0, SEEK_SET) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

static pid_t
spawn(const char *const argv[], int in, int out)
{
    char program[2048];
    char *env[] = { (char *)(uintptr_t)"PATH=/usr/local/bin:/usr/bin:/bin",
                    (char *)(uintptr_t)"LC_ALL=C.UTF-8", NULL };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    pid_t pid;

    if (!proc_beside(argv[0], program, sizeof program))
        return -1;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    posix_spawnattr_init(&how);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &all);
    posix_spawnattr_setpgroup(&how, 0);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    if (posix_spawn(&pid, program, &files, &how, (char *const *)(uintptr_t)argv, env) != 0)
        pid = -1;
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return pid;
}

/* NULL, or why it is not waited for any longer. */
static const char *
over(int64_t deadline_ms)
{
    if (atomic_load(&stopping))
        return "the retriever is stopping";
    return clock_ms() >= deadline_ms ? "reading the document took too long" : NULL;
}

/* All that it says. NULL, or why it is not waited for any longer. */
static const char *
listen_until(int fd, int64_t deadline_ms, struct buf *out)
{
    char *block = mem_new(READ_BYTES);
    const char *why = NULL;

    for (ssize_t n = 1; !why && n != 0;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int64_t left = deadline_ms - clock_ms();

        why = over(deadline_ms);
        if (!why && poll(&p, 1, left < LOOK_MS ? (int)left : LOOK_MS) > 0 &&
            (n = read(fd, block, READ_BYTES)) > 0)
            buf_add(out, block, (size_t)n);
        else if (n < 0 && errno != EINTR)
            n = 0;
        if (out->failed)
            why = "the document's text is larger than 64 MB";
    }
    mem_free(&block);
    return why;
}

/* It has said everything, and ends at once, as a rule. NULL, or why it is not waited for any longer. It stays as a zombie, so
 * that its number is nobody else's while its group is killed. */
static const char *
wait_until(pid_t pid, int64_t deadline_ms)
{
    const char *why = NULL;

    for (long us = NAP_FIRST_US; !why; us = 2 * us < NAP_MAX_US ? 2 * us : NAP_MAX_US) {
        siginfo_t how = { .si_pid = 0 };

        if (waitid(P_PID, (id_t)pid, &how, WEXITED | WNOHANG | WNOWAIT) != 0 || how.si_pid != 0)
            return NULL;
        (void)nanosleep(&(struct timespec){ .tv_nsec = 1000 * us }, NULL);
        why = over(deadline_ms);
    }
    return why;
}

const char *
beside_run(const char *const argv[], struct str body, long seconds, struct buf *out, int *status, bool *later)
{
    int in = as_file(body), fd[2] = { -1, -1 };
    int64_t deadline = clock_ms() + 1000 * seconds;
    pid_t pid = in >= 0 && pipe2(fd, O_CLOEXEC) == 0 ? spawn(argv, in, fd[1]) : -1;
    const char *why = beside_could_not;

    *later = pid <= 0;
    if (in >= 0)
        close(in);
    if (fd[1] >= 0)
        close(fd[1]);
    if (pid > 0) {
        why = listen_until(fd[0], deadline, out);
        why = why ? why : wait_until(pid, deadline);
        (void)kill(-pid, SIGKILL); /* it, or whatever it left behind */
        while (waitpid(pid, status, 0) < 0 && errno == EINTR)
            ;
        *later = atomic_load(&stopping);
    }
    if (fd[0] >= 0)
        close(fd[0]);
    return why;
}
