/* Redis over TLS and with an ACL, against a real server of its own: who is believed, who is not, and what the log says then. */
#include "rediskit.h"

#include <fcntl.h>

#define FILE_OF(name) at_folder(name)

static int tls_port;

/* ---- kit */

/* The path of a file in the folder; of no file "". Kept for the next 64. */
static char *
at_folder(const char *name)
{
    static char paths[64][96];
    static size_t n;
    char *p = paths[n++ % 64];

    snprintf(p, sizeof paths[0], "%s%s%s", *name ? folder : "", *name ? "/" : "", name);
    return p;
}

/* The server again, with that certificate; clients: "yes" when they must have one. */
static void
serve(const char *certificate, const char *clients)
{
    static char number[8], crt[96], key[96], ca[96], acl[96], auth[8];
    char *const options[] = {
        "--tls-port",         number, "--tls-cert-file",    crt,  "--tls-key-file", key,
        "--tls-ca-cert-file", ca,     "--tls-auth-clients", auth, "--aclfile",      acl
    };

    server_kill();
    snprintf(number, sizeof number, "%d", tls_port);
    snprintf(crt, sizeof crt, "%s/%s.crt", folder, certificate);
    snprintf(key, sizeof key, "%s/%s.key", folder, certificate);
    snprintf(ca, sizeof ca, "%s/ca.crt", folder);
    snprintf(acl, sizeof acl, "%s/acl", folder);
    snprintf(auth, sizeof auth, "%s", clients);
    memcpy(server_options, options, sizeof options);
    server_start();
}

/* Log lines from here to log_said go into a file. */
static int real_stderr;

static void
log_begin(void)
{
    int fd = open(FILE_OF("log"), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

    real_stderr = dup(2);
    assert_true(fd >= 0 && dup2(fd, 2) == 2);
    close(fd);
    log_init("test", "warn", false); /* it looks at what stderr is */
}

static bool
log_said(const char *words)
{
    static char text[8192];
    FILE *f = fopen(FILE_OF("log"), "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    bool said;

    text[n] = 0;
    said = strstr(text, words) != NULL;
    if (f)
        fclose(f);
    dup2(real_stderr, 2);
    close(real_stderr);
    log_init("test", "error", false);
    if (!said)
        print_error("the log lacks \"%s\":\n%s", words, text);
    return said;
}

static struct redis *
tls_client(const char *host, const char *login, const char *ca, const char *client)
{
    char where[160], crt[96] = "", key[96] = "";
    struct redis_tls_files files = { ca, crt, key };
    struct buf why = { 0 };
    struct redis *r;

    snprintf(where, sizeof where, "rediss://%s%s:%d", login, host, tls_port);
    if (*client) {
        snprintf(crt, sizeof crt, "%s/%s.crt", folder, client);
        snprintf(key, sizeof key, "%s/%s.key", folder, client);
    }
    r = redis_new(where, &files, &why);
    if (!r)
        print_error(STR_FMT "\n", STR_ARG(buf_slice(&why)));
    buf_free(&why);
    assert_non_null(r);
    return r;
}

static int
set_up_tls(void **state)
{
    char command[256];
    FILE *f;

    if (set_up(state) != 0)
        return -1;
    tls_port = free_port();
    snprintf(command, sizeof command, "tests/kit/tls_certs.sh %s", folder);
    f = fopen(FILE_OF("acl"), "w");
    assert_non_null(f);
    fputs("user default on nopass ~* &* +@all\nuser reader on >secret ~fn:* +ping +get +echo +client|id\n",
          f);
    fclose(f);
    return system(command) == 0 ? 0 : -1;
}

static int
tear_down_tls(void **state)
{
    char command[256];

    snprintf(command, sizeof command, "rm -f %s/*.crt %s/*.key %s/acl %s/log", folder, folder, folder,
             folder);
    server_kill();
    return system(command) == 0 ? tear_down(state) : -1;
}

/* ---- tests */

static void
values_of_every_size_pass_in_both_directions_by_name_and_by_address(void **state)
{
    static const char *const hosts[] = { "localhost", "127.0.0.1" };
    static char big[1 << 20];
    struct arena *a = arena_new(16u << 20);
    struct redis_val v[3];

    (void)state;
    serve("server", "no");
    memset(big, 0xE4, sizeof big);
    for (size_t i = 0; i < 2; i++) {
        struct redis *r = tls_client(hosts[i], "", FILE_OF("ca.crt"), "");
        const struct str set[] = { STR("SET"), STR("big"), { big, sizeof big } },
                         get[] = { STR("GET"), STR("big") }, echo[] = { STR("ECHO"), STR("a\0b\r\n") };
        const struct redis_cmd cmds[] = { { set, 3 }, { get, 2 }, { echo, 2 } };

        until_up(r, a);
        for (int64_t until = clock_ms() + 20000; redis_run(r, a, cmds, 3, v) != 0; poll(NULL, 0, 20))
            assert_true(clock_ms() < until); /* a loaded machine may need longer than a call has */
        assert_true(str_eq(v[1].s, (struct str){ big, sizeof big }));
        assert_true(str_eq(v[2].s, STR("a\0b\r\n")));
        redis_free(&r);
    }
    arena_free(&a);
}

static void
an_idle_connection_is_used_again(void **state)
{
    struct redis *r;
    struct arena *a = arena_new(1 << 20);
    struct redis_val one, two;

    (void)state;
    serve("server", "no");
    r = tls_client("localhost", "", FILE_OF("ca.crt"), "");
    until_up(r, a);
    assert_int_equal(CALL(r, a, &one, STR("CLIENT"), STR("ID")), 0);
    poll(NULL, 0, 30); /* so long that it is looked at before it is used */
    assert_int_equal(CALL(r, a, &two, STR("CLIENT"), STR("ID")), 0);
    assert_int_equal(one.i, two.i);
    redis_free(&r);
    arena_free(&a);
}

/* A new client each time: a loaded machine may need longer for a handshake than a call has, and of two failures within a
 * second the second is not logged. says: NULL when it shall work. */
static bool
refused(const char *host, const char *ca, const char *client, const char *says)
{
    double before = metric("redis_failures_total{kind=\"tls\"}");
    struct arena *a = arena_new(1 << 20);
    int64_t until = clock_ms() + 20000;
    bool as_said = false, again = true;

    while (again) {
        struct redis *r = tls_client(host, "", FILE_OF(ca), client);
        struct redis_val v;
        int rc;

        assert_true(clock_ms() < until);
        log_begin();
        rc = CALL(r, a, &v, STR("PING"));
        again = says ? metric("redis_failures_total{kind=\"tls\"}") <= before : rc != 0;
        as_said = log_said(again ? "" : says ? says : "") && (rc == 0) == (!says);
        redis_free(&r);
    }
    arena_free(&a);
    return as_said;
}

static void
who_cannot_prove_itself_is_refused_and_the_log_says_why(void **state)
{
    static const struct {
        const char *certificate, *clients, *host, *ca, *client, *says;
    } cases[] = {
        { "server", "no", "localhost", "other.crt", "", "its certificate: self-signed certificate" },
        { "server", "no", "localhost", "", "",
          "its certificate: self-signed certificate" }, /* the system does not know it */
        { "wrong", "no", "localhost", "ca.crt", "", "hostname mismatch" },
        { "wrong", "no", "127.0.0.1", "ca.crt", "", "IP address mismatch" },
        { "expired", "no", "localhost", "ca.crt", "", "certificate has expired" },
        { "server", "yes", "localhost", "ca.crt", "", "certificate required" },
        { "server", "yes", "localhost", "ca.crt", "stranger", "alert unknown ca" },
        { "server", "yes", "localhost", "ca.crt", "client", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        serve(cases[i].certificate, cases[i].clients);
        assert_true(refused(cases[i].host, cases[i].ca, cases[i].client, cases[i].says));
    }
}

static void
plain_and_tls_do_not_mix(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct redis_val v;
    struct redis *r;
    char where[80];
    int plain = tls_port;

    (void)state;
    serve("server", "no");
    snprintf(where, sizeof where, "redis://127.0.0.1:%d", tls_port);
    r = client_at(where);
    assert_int_equal(CALL(r, a, &v, STR("PING")), -1);
    redis_free(&r);
    tls_port = port;
    r = tls_client("127.0.0.1", "", FILE_OF("ca.crt"), "");
    assert_int_equal(CALL(r, a, &v, STR("PING")), -1);
    redis_free(&r);
    tls_port = plain;
    arena_free(&a);
}

static void
a_server_that_never_shakes_hands_takes_no_longer_than_a_call(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct redis_val v;
    struct redis *r;
    int kept = tls_port;
    pid_t mute = (tls_port = 0, parrot_start("", 1, &tls_port)); /* answers nothing to everything */
    int64_t begun = clock_ms();

    (void)state;
    r = tls_client("127.0.0.1", "", FILE_OF("ca.crt"), "");
    assert_int_equal(CALL(r, a, &v, STR("PING")), -1);
    assert_true(clock_ms() - begun < 5000); /* it would be for ever */
    redis_free(&r);
    kill(mute, SIGKILL);
    waitpid(mute, NULL, 0);
    tls_port = kept;
    arena_free(&a);
}

static void
after_a_restart_of_the_server_it_is_used_again(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct redis_val v;
    struct redis *r;

    (void)state;
    serve("server", "yes");
    r = tls_client("localhost", "", FILE_OF("ca.crt"), "client");
    until_up(r, a);
    server_kill();
    assert_int_equal(CALL(r, a, &v, STR("PING")), -1);
    server_start();
    until_up(r, a);
    redis_free(&r);
    arena_free(&a);
}

static void
a_command_that_the_acl_denies_is_logged_and_counted_and_the_others_work(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct redis_val v[3];
    struct redis *r;
    const struct str get[] = { STR("GET"), STR("fn:x") }, set[] = { STR("SET"), STR("fn:x"), STR("1") },
                     other[] = { STR("GET"), STR("elsewhere") };
    const struct redis_cmd cmds[] = { { get, 2 }, { set, 3 }, { other, 2 } };
    double before;

    (void)state;
    serve("server", "no");
    r = tls_client("localhost", "reader:secret@", FILE_OF("ca.crt"), "");
    until_up(r, a);
    before = metric("redis_failures_total{kind=\"denied\"}");
    log_begin();
    for (int i = 0; i < 8; i++) /* more than would open the breaker */
        assert_int_equal(redis_run(r, a, cmds, 3, v), 0);
    assert_true(log_said("redis denies a command to our user"));
    assert_int_equal(v[0].type, REDIS_NIL);
    assert_true(v[1].type == REDIS_ERROR && str_starts(v[1].s, "NOPERM"));
    assert_true(v[2].type == REDIS_ERROR && str_starts(v[2].s, "NOPERM"));
    assert_true(metric("redis_failures_total{kind=\"denied\"}") - before >= 16);
    assert_true(redis_up(r));
    redis_free(&r);

    r = tls_client("localhost", "reader:wrong@", FILE_OF("ca.crt"), "");
    log_begin();
    assert_int_equal(CALL(r, a, v, STR("PING")), -1);
    assert_true(log_said("WRONGPASS"));
    redis_free(&r);
    arena_free(&a);
}

static void
files_that_are_not_what_they_should_be_are_named(void **state)
{
    static const struct {
        const char *ca, *cert, *key, *says;
    } cases[] = {
        { "nowhere.crt", "", "", "REDIS_CA_FILE: cannot read " },
        { "ca.key", "", "", "REDIS_CA_FILE: " },
        { "ca.crt", "client.crt", "", "REDIS_KEY_FILE: is missing" },
        { "ca.crt", "", "client.key", "REDIS_CERT_FILE: is missing" },
        { "ca.crt", "nowhere.crt", "client.key", "REDIS_CERT_FILE: cannot read " },
        { "ca.crt", "client.key", "client.key", "REDIS_CERT_FILE: " },
        { "ca.crt", "client.crt", "server.key", "REDIS_KEY_FILE: " },
        { "ca.crt", "client.crt", "client.key", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct redis_tls_files files = { FILE_OF(cases[i].ca), FILE_OF(cases[i].cert),
                                         FILE_OF(cases[i].key) };
        struct buf err = { 0 };

        redis_check("REDIS_URL", "rediss://localhost", &files, &err);
        if (!cases[i].says)
            assert_int_equal(err.n, 0);
        else if (!str_starts(buf_slice(&err), cases[i].says))
            fail_msg("case %zu: " STR_FMT, i, STR_ARG(buf_slice(&err)));
        buf_free(&err);
        redis_check("REDIS_URL", "redis://localhost", &files, &err); /* nobody reads them */
        assert_int_equal(err.n, 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_size_pass_in_both_directions_by_name_and_by_address),
        cmocka_unit_test(an_idle_connection_is_used_again),
        cmocka_unit_test(who_cannot_prove_itself_is_refused_and_the_log_says_why),
        cmocka_unit_test(plain_and_tls_do_not_mix),
        cmocka_unit_test(a_server_that_never_shakes_hands_takes_no_longer_than_a_call),
        cmocka_unit_test(after_a_restart_of_the_server_it_is_used_again),
        cmocka_unit_test(a_command_that_the_acl_denies_is_logged_and_counted_and_the_others_work),
        cmocka_unit_test(files_that_are_not_what_they_should_be_are_named),
    };

    return cmocka_run_group_tests(tests, set_up_tls, tear_down_tls);
}
