/* The skeleton of every process.
 *
 *   argv ─> a question about the program (--help, --health, …)? answer it and end
 *        └> options ─> log ─> limit of open files ─> statistics ─> signals ─> internal port ─> svc->start ─> loop ─> svc->stop ─> exit code
 *
 * Signals: SIGTERM, SIGINT and SIGHUP are read from a signalfd in the loop. The first SIGTERM or SIGINT drains. From
 * then on those two reach a plain handler, so that a second one ends the process within a second even when the loop no
 * longer turns (exit code 1). SIGPIPE is ignored. All threads inherit the blocked signals.
 * Exit codes: 0 drained or asked, 1 failed (also --check-config, --health, --ready), 2 wrong options. */
#include "common/process/proc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/process/admin.h"
#include "common/process/descriptors.h"
#include "common/process/man.h"
#include "common/process/proc_stat.h"
#include "common/text/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/trace/trace.h"

#define ASK_TIMEOUT_MS 2000
#define READY_POLL_MS 100
#define LAST_MS 800 /* after the second signal */

struct run {
    struct proc p;
    struct admin *admin;
    int sigfd;
    int64_t begun_ms;
    uint64_t ready_timer;
};

/* The questions of a command line about the program itself. */
enum ask { ASK_NOTHING, ASK_HELP, ASK_VERSION, ASK_CHECK, ASK_HEALTH, ASK_READY, ASK_ENV, ASK_MD, ASK_MAN };

static const struct {
    const char *flag;
    enum ask ask;
    const char *help; /* NULL: not listed */
} asks[] = {
    { "--help", ASK_HELP, "This text." },
    { "--version", ASK_VERSION, "Version and build." },
    { "--check-config", ASK_CHECK,
      "Print every option in force and where it came from; exit 1 when one is wrong." },
    { "--health", ASK_HEALTH, "Ask the running process whether its loop turns; exit 0 or 1." },
    { "--ready", ASK_READY, "Ask the running process whether it is ready to work; exit 0 or 1." },
    { "--print-options=env", ASK_ENV, NULL },
    { "--print-options=md", ASK_MD, NULL },
    { "--print-options=man", ASK_MAN, NULL },
};

static struct loop *volatile last_loop; /* for the handler of the second signal */
static volatile sig_atomic_t second_signal;

/* ---- questions about the program */

/* Take the questions out of argv. The last one counts. */
static enum ask
take_asks(int *argc, char **argv)
{
    enum ask ask = ASK_NOTHING;
    int n = 1;

    for (int i = 1; i < *argc; i++) {
        bool taken = false;

        for (size_t k = 0; k < sizeof asks / sizeof asks[0]; k++)
            if (strcmp(argv[i], asks[k].flag) == 0) {
                ask = asks[k].ask;
                taken = true;
            }
        if (!taken)
            argv[n++] = argv[i];
    }
    if (*argc > 0)
        *argc = n;
    return ask;
}

static void
put_help(const struct service *svc, const struct opt_set *rows, struct buf *out)
{
    buf_printf(
        out,
        "usage: footnote-%s [OPTION]...\n%s\n\n%s\n\nOptions (each also as the environment variable in "
        "brackets;\na text also as NAME_FILE, a file whose first line holds it):\n",
        svc->name, svc->summary, svc->manual ? svc->manual : "");
    opt_help(rows, out);
    for (size_t k = 0; k < sizeof asks / sizeof asks[0]; k++)
        if (asks[k].help)
            buf_printf(out, "  %s\n      %s\n", asks[k].flag, asks[k].help);
}

static void
put_man(const struct service *svc, struct buf *out)
{
    const char *flags[2 * sizeof asks / sizeof asks[0] + 1] = { NULL };
    size_t n = 0;

    for (size_t k = 0; k < sizeof asks / sizeof asks[0]; k++)
        if (asks[k].help) {
            flags[n++] = asks[k].flag;
            flags[n++] = asks[k].help;
        }
    man_service(svc, flags, out);
}

/* Exit code of a write that somebody reads. */
static int
print(FILE *f, struct buf *out)
{
    size_t k = out->n ? fwrite(out->p, 1, out->n, f) : 0;
    int rc = k == out->n && fflush(f) == 0 ? 0 : 1;

    buf_free(out);
    return rc;
}

/* The questions that need no values. */
static int
answer_static(const struct service *svc, enum ask ask)
{
    const struct opt_set rows = { .defs = svc->opts, .n = svc->n_opts };
    struct buf out = { 0 };

    if (ask == ASK_HELP)
        put_help(svc, &rows, &out);
    else if (ask == ASK_VERSION)
        buf_printf(&out, "footnote-%s %s (build %s)\n", svc->name, footnote_version, footnote_build);
    else if (ask == ASK_ENV)
        opt_print_env(&rows, svc->name, &out);
    else if (ask == ASK_MAN)
        put_man(svc, &out);
    else
        opt_print_md(&rows, svc->name, &out);
    return print(stdout, &out);
}

static const char *
metrics_host(const struct proc *p)
{
    const char *host = opt_find_str(&p->opts, "METRICS_HOST");

    return host && *host ? host : "127.0.0.1";
}

static int
answer_probe(const struct proc *p, enum ask ask)
{
    long port = opt_find_int(&p->opts, "METRICS_PORT");
    struct buf body = { 0 };
    int status = -1;

    if (port <= 0)
        buf_z(&body, "METRICS_PORT names no port\n");
    else
        status = admin_ask(metrics_host(p), port, ask == ASK_HEALTH ? "/healthz" : "/readyz", ASK_TIMEOUT_MS,
                           &body);
    if (body.n && body.p[body.n - 1] != '\n')
        buf_c(&body, '\n');
    (void)print(status == 200 ? stdout : stderr, &body);
    return status == 200 ? 0 : 1;
}

/* ---- options */

static void
check_one_of(const struct opt_set *s, const char *name, const char *const *words, struct buf *err)
{
    const char *v = opt_find_str(s, name);

    if (!v)
        return;
    for (size_t i = 0; words[i]; i++)
        if (strcmp(v, words[i]) == 0)
            return;
    buf_printf(err, "%s: \"%.200s\" is not known; allowed:", name, v);
    for (size_t i = 0; words[i]; i++)
        buf_printf(err, "%s %s", i ? "," : "", words[i]);
    buf_c(err, '\n');
}

static int
load_options(struct proc *p, int argc, char **argv, struct buf *err)
{
    static const char *const levels[] = { "debug", "info", "warn", "error", NULL };
    static const char *const formats[] = { "text", "json", NULL };

    p->opt = mem_new(p->svc->opt_size);
    /* a row that could not be read keeps its default: whatever else is wrong is said in the same run */
    (void)opt_load(&p->opts, p->svc->opts, p->svc->n_opts, p->opt, argc, argv, err);
    check_one_of(&p->opts, "LOG_LEVEL", levels, err);
    check_one_of(&p->opts, "LOG_FORMAT", formats, err);
    check_listen_host("METRICS_HOST", metrics_host(p), err);
    trace_check(&p->opts, err);
    if (p->svc->check)
        p->svc->check(p->opt, err);
    if (err->n && err->p[err->n - 1] != '\n')
        buf_c(err, '\n');
    return err->n ? -1 : 0;
}

static void
free_options(struct proc *p)
{
    opt_free(&p->opts);
    mem_free(&p->opt);
}

static int
check_config(struct proc *p, struct buf *err)
{
    struct buf out = { 0 };
    bool bad = err->n > 0;

    opt_print(&p->opts, &out);
    (void)print(stderr, err);
    return print(stdout, &out) || bad;
}

/* ---- signals */

static void
on_last(int sig)
{
    (void)sig;
    _exit(1);
}

/* Async-signal-safe: loop_stop stores a flag and writes to an eventfd. */
static void
on_second(int sig)
{
    static const struct itimerval last = { .it_value = { .tv_usec = LAST_MS * 1000 } };
    int saved = errno;

    (void)sig;
    if (!second_signal) /* a third must not give it more time */
        (void)setitimer(ITIMER_REAL, &last, NULL);
    second_signal = 1;
    if (last_loop)
        loop_stop(last_loop);
    errno = saved;
}

static void
expect_second(struct loop *l)
{
    struct sigaction second = { .sa_handler = on_second }, last = { .sa_handler = on_last };
    sigset_t set;

    last_loop = l;
    (void)sigaction(SIGTERM, &second, NULL);
    (void)sigaction(SIGINT, &second, NULL);
    (void)sigaction(SIGALRM, &last, NULL);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGALRM);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void
drain(struct run *r)
{
    LOG(INFO, NULL, M("draining"));
    r->p.draining = true;
    expect_second(r->p.loop);
    if (r->p.svc->drain)
        r->p.svc->drain(&r->p);
    else
        proc_exit(&r->p, 0);
}

static void
on_signal(void *arg, int fd, uint32_t events)
{
    struct run *r = arg;
    struct signalfd_siginfo si;

    (void)events;
    if (read(fd, &si, sizeof si) != (ssize_t)sizeof si)
        return;
    if (si.ssi_signo != SIGHUP) {
        if (!r->p.draining)
            drain(r);
        return;
    }
    LOG(INFO, NULL, M("reload"), KB("supported", r->p.svc->reload != NULL));
    if (r->p.svc->reload)
        r->p.svc->reload(&r->p);
}

static int
watch_signals(struct run *r)
{
    sigset_t set;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    r->sigfd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (r->sigfd < 0) {
        LOG(ERROR, NULL, M("cannot read signals"), KI("errno", errno));
        return -1;
    }
    loop_fd(r->p.loop, r->sigfd, EPOLLIN, on_signal, r);
    return 0;
}

/* ---- running */

/* "NAME=value …" of what is not a default; secrets as ***. */
static void
put_changed(const struct opt_set *s, struct buf *out)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct opt_def *d = &s->defs[i];

        if (s->from[i] == OPT_FROM_DEFAULT)
            continue;
        buf_printf(out, "%s%.*s=%s", out->n ? " " : "", (int)strcspn(d->name, "|"), d->name,
                   d->type == OPT_secret ? "***" : s->text[i]);
    }
}

static void
log_start(const struct run *r)
{
    struct buf changed = { 0 };

    put_changed(&r->p.opts, &changed);
    LOG(INFO, NULL, M("started"), KS("version", footnote_version), KS("build", footnote_build),
        KI("pid", getpid()), KI("metrics_port", r->admin ? admin_port(r->admin) : 0),
        KI("descriptors", descriptors_limit()), KN("options", buf_slice(&changed)));
    buf_free(&changed);
}

/* Say once, when it is so. */
static void
on_ready_poll(void *arg)
{
    struct run *r = arg;
    struct buf reasons = BUF_MAX(1024);

    r->ready_timer = 0;
    if (r->p.draining)
        return;
    if (!r->p.svc->ready || r->p.svc->ready(&r->p, &reasons))
        LOG(INFO, NULL, M("ready to work"), KI("after_ms", clock_ms() - r->begun_ms));
    else
        r->ready_timer = loop_after(r->p.loop, READY_POLL_MS, on_ready_poll, r);
    buf_free(&reasons);
}

static void
run_loop(struct run *r)
{
    struct proc *p = &r->p;
    long port = opt_find_int(&p->opts, "METRICS_PORT");

    p->exit_code = 1;
    if (watch_signals(r) != 0)
        return;
    if (port >= 0) {
        r->admin = admin_new(p, metrics_host(p), port);
        if (!r->admin)
            return;
    }
    log_start(r);
    trace_start(p->svc->name, &p->opts);
    if (p->svc->start && p->svc->start(p) != 0) {
        LOG(ERROR, NULL, M("cannot start"));
        return;
    }
    p->exit_code = 0;
    r->ready_timer = loop_after(p->loop, 0, on_ready_poll, r);
    loop_run(p->loop);
    if (second_signal)
        p->exit_code = 1;
    if (p->svc->stop)
        p->svc->stop(p);
    LOG(INFO, NULL, M("stopped"), KI("exit_code", p->exit_code));
}

static int
run(struct run *r)
{
    struct proc *p = &r->p;
    const char *format = opt_find_str(&p->opts, "LOG_FORMAT");
    int code;

    log_init(p->svc->name, opt_find_str(&p->opts, "LOG_LEVEL"), format && strcmp(format, "json") == 0);
    descriptors_raise(); /* before anything is as large as the limit */
    proc_stats_init();
    r->begun_ms = clock_ms();
    r->sigfd = -1;
    p->loop = loop_new();
    run_loop(r);
    trace_stop();
    code = p->exit_code;
    admin_free(&r->admin);
    if (r->sigfd >= 0)
        (void)close(r->sigfd);
    last_loop = NULL;
    loop_free(&p->loop);
    stat_fini();
    return code;
}

void
proc_exit(struct proc *p, int code)
{
    p->exit_code = code;
    loop_stop(p->loop);
}

int
proc_main(int argc, char **argv, const struct service *svc)
{
    struct run r = { .p = { .svc = svc } };
    enum ask ask = take_asks(&argc, argv);
    struct buf err = { 0 };
    int code;

    if (ask == ASK_HELP || ask == ASK_VERSION || ask == ASK_ENV || ask == ASK_MD || ask == ASK_MAN)
        return answer_static(svc, ask);
    /* A question to the running process needs its port only; that one's options were judged when it started. */
    if (load_options(&r.p, argc, argv, &err) != 0 && ask != ASK_CHECK && ask != ASK_HEALTH &&
        ask != ASK_READY) {
        fprintf(stderr, "footnote-%s: wrong options (--help lists them)\n", svc->name);
        (void)print(stderr, &err);
        code = 2;
    } else if (ask == ASK_CHECK)
        code = check_config(&r.p, &err);
    else
        code = ask == ASK_NOTHING ? run(&r) : answer_probe(&r.p, ask);
    free_options(&r.p);
    return code;
}

bool
proc_beside(const char *name, char *out, size_t cap)
{
    ssize_t n = readlink("/proc/self/exe", out, cap);
    size_t bytes = strlen(name) + 1;

    while (n > 0 && out[n - 1] != '/')
        n--;
    if (n <= 0 || (size_t)n + bytes > cap)
        return false;
    memcpy(out + n, name, bytes);
    return true;
}
