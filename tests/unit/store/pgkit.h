/* A private Postgres for unit tests: started in a folder of its own, stopped by its pid. As root it runs as postgres. */
#ifndef TESTS_UNIT_STORE_PGKIT_H
#define TESTS_UNIT_STORE_PGKIT_H

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/portkit.h"

struct pgkit {
    char root[64];
    char bin[128];
    char url[256];
    int port;
    pid_t pid;
};

/* A child that runs argv as the owner, its output in ROOT/log. */
static pid_t
pgkit_spawn(struct pgkit *k, char *const argv[])
{
    pid_t pid = fork();

    if (pid == 0) {
        struct passwd *who = getuid() == 0 ? getpwnam("postgres") : NULL;
        char log[96];
        int fd;

        if (who && (setgid(who->pw_gid) != 0 || setuid(who->pw_uid) != 0))
            _exit(126);
        prctl(PR_SET_PDEATHSIG, SIGQUIT); /* a test that aborts takes its server with it */
        snprintf(log, sizeof log, "%s/log", k->root);
        fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
        if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || chdir(k->root) != 0)
            _exit(126);
        execv(argv[0], argv);
        _exit(127);
    }
    return pid;
}

static void
pgkit_start(struct pgkit *k)
{
    char exe[160], data[96], port[16];
    char *argv[] = {
        exe, "-D", data, "-p", port, "-k", k->root, "-h", "127.0.0.1", "-c", "shared_buffers=16MB", NULL
    };
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    snprintf(exe, sizeof exe, "%s/postgres", k->bin);
    snprintf(data, sizeof data, "%s/data", k->root);
    snprintf(port, sizeof port, "%d", k->port);
    snprintf(a.sun_path, sizeof a.sun_path, "%s/.s.PGSQL.%d", k->root, k->port);
    k->pid = pgkit_spawn(k, argv);
    for (int i = 0; i < 3000; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0), rc = connect(fd, (struct sockaddr *)&a, sizeof a);

        close(fd);
        if (rc == 0)
            return;
        nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
    }
    abort();
}

static void
pgkit_stop(struct pgkit *k, int sig)
{
    if (k->pid > 0) {
        kill(k->pid, sig);
        waitpid(k->pid, NULL, 0);
    }
    k->pid = 0;
}

static void
pgkit_init(struct pgkit *k)
{
    char exe[160], data[96];
    char *argv[] = {
        exe, "-D", data, "-U", "footnote", "-A", "trust", "-E", "UTF8", "--locale=C", "-N", NULL
    };
    int status = 1;
    glob_t g;

    snprintf(k->root, sizeof k->root, "/tmp/fnpg-XXXXXX");
    if (!mkdtemp(k->root) || chmod(k->root, 0755) != 0 ||
        glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &g) != 0)
        abort();
    snprintf(k->bin, sizeof k->bin, "%.*s", (int)(strlen(g.gl_pathv[g.gl_pathc - 1]) - 7),
             g.gl_pathv[g.gl_pathc - 1]);
    globfree(&g);
    if (getuid() == 0 && getpwnam("postgres") &&
        chown(k->root, getpwnam("postgres")->pw_uid, getpwnam("postgres")->pw_gid) != 0)
        abort();
    snprintf(exe, sizeof exe, "%s/initdb", k->bin);
    snprintf(data, sizeof data, "%s/data", k->root);
    if (waitpid(pgkit_spawn(k, argv), &status, 0) < 0 || status != 0)
        abort();
    k->port = free_port();
    snprintf(k->url, sizeof k->url, "postgresql://footnote@127.0.0.1:%d/postgres", k->port);
    pgkit_start(k);
}

static void
pgkit_fini(struct pgkit *k)
{
    char cmd[96];

    pgkit_stop(k, SIGQUIT);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", k->root);
    if (system(cmd) != 0)
        abort();
}

#endif
