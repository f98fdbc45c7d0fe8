/* Several hosts and their names: the loop never waits for a name server, nor a connection for a host that swallows it. */
#include "poolkit.h"

#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>

#include "store/pool/hosts.h"

/* In this program getaddrinfo knows names of its own; the rest goes to libc's. */
static atomic_int name_server; /* 0: answers, 1: silent, 2: says no */
static atomic_int asked;

int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    const char *address = node;

    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (node && strstr(node, ".test")) {
        if (hints->ai_flags & AI_NUMERICHOST)
            return EAI_NONAME;
        atomic_fetch_add(&asked, 1);
        while (atomic_load(&name_server) == 1)
            nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
        if (atomic_load(&name_server) == 2)
            return EAI_AGAIN;
        address = strcmp(node, "dead.test") == 0 ? "127.0.0.9" : "127.0.0.1";
    }
    return real(address, service, hints, res);
}

static const char *
url_of(const char *hosts)
{
    static char url[256];

    snprintf(url, sizeof url, "postgresql://footnote@%s/postgres", hosts);
    return url;
}

static int ticks;

static void
on_tick(void *arg)
{
    ticks++;
    loop_after(loop, 5, on_tick, arg);
}

static void
lists_for_libpq_have_an_entry_for_every_address_and_begin_with_the_one_in_turn(void **state)
{
    struct hosts *h = hosts_new("/run/pg,pg.test,10.0.0.7", "1,,3");
    struct buf host = { 0 }, addr = { 0 }, port = { 0 };
    unsigned turn;

    (void)state;
    hosts_ask(h);
    while (!hosts_ready(h))
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    assert_true(hosts_write(h, &host, &addr, &port, &turn));
    assert_string_equal(host.p, "/run/pg,pg.test,10.0.0.7");
    assert_string_equal(addr.p, ",127.0.0.1,10.0.0.7");
    assert_string_equal(port.p, "1,,3");
    hosts_next(h, turn);
    hosts_next(h, turn); /* known already */
    buf_reset(&host);
    buf_reset(&addr);
    buf_reset(&port);
    assert_true(hosts_write(h, &host, &addr, &port, &turn));
    assert_string_equal(host.p, "pg.test,10.0.0.7,/run/pg");
    assert_string_equal(port.p, ",3,1");
    buf_free(&host);
    buf_free(&addr);
    buf_free(&port);
    hosts_free(&h);
    h = hosts_new("a,b,c", "5");
    assert_int_equal(hosts_count(h), 3);
    hosts_free(&h);
}

static void
the_loop_turns_while_a_name_server_is_silent(void **state)
{
    char host[64];
    struct pool *p;

    (void)state;
    snprintf(host, sizeof host, "pg.test:%d", pg.port);
    p = pool_of(url_of(host), 2, 0);
    atomic_store(&name_server, 1);
    script(p, "select 7", 1, 5000);
    ticks = 0;
    on_tick(NULL);
    for (int i = 0; i < 80 && ticks <= 50; i++) /* half a second, more on a machine that has no time for us */
        turn_for(50);
    assert_true(ticks > 50);
    assert_int_equal(n_ended, 0);
    atomic_store(&name_server, 0);
    until(1);
    assert_int_equal(ended[0].err, ERR_OK);
    assert_int_equal(ended[0].value, 7);
    pool_free(&p);
}

static void
addresses_of_before_serve_while_the_name_server_is_away(void **state)
{
    char host[64];
    struct pool_config cfg;
    struct pool *p;
    int before;

    (void)state;
    snprintf(host, sizeof host, "pg.test:%d", pg.port);
    cfg = config(url_of(host), 1, 0);
    cfg.recycle_ms = 1;
    p = pool_with(cfg);
    ask(p, "select 1");
    for (int how = 2; how > 0; how--) { /* it says no; it is silent */
        atomic_store(&name_server, how);
        before = atomic_load(&asked);
        turn_for(5);
        ask(p, "select 1"); /* too old: a new connection */
        assert_true(atomic_load(&asked) > before);
    }
    atomic_store(&name_server, 0);
    pool_free(&p);
}

static void
a_name_that_is_unknown_is_an_error_in_time(void **state)
{
    struct pool *p = pool_of(url_of("nowhere.test:1"), 2, 0);
    int64_t begun = clock_ms();

    (void)state;
    atomic_store(&name_server, 2);
    script(p, "select 1", 1, 5000);
    until(1);
    assert_int_equal(ended[0].err, ERR_STORE_DOWN);
    assert_true(clock_ms() - begun < 2100);
    atomic_store(&name_server, 0);
    pool_free(&p);
}

static void
a_host_that_refuses_is_passed_over_at_once(void **state)
{
    char hosts[96];
    struct pool *p;
    int64_t begun = clock_ms();

    (void)state;
    snprintf(hosts, sizeof hosts, "dead.test:%d,pg.test:%d", pg.port, pg.port);
    p = pool_of(url_of(hosts), 2, 0);
    assert_int_equal(ask(p, "select 3"), 3);
    assert_true(clock_ms() - begun < 500);
    pool_free(&p);
}

static void
a_host_that_never_answers_costs_one_second_and_then_it_is_the_next_ones_turn(void **state)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char hosts[96];
    struct pool *p;
    int64_t begun;

    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&a, n) | listen(fd, 16) |
                         getsockname(fd, (struct sockaddr *)&a, &n),
                     0);
    snprintf(hosts, sizeof hosts, "127.0.0.1:%d,127.0.0.1:%d", ntohs(a.sin_port), pg.port);
    p = pool_of(url_of(hosts), 2, 0);
    begun = clock_ms();
    assert_int_equal(ask(p, "select 3"), 3);
    assert_in_range(clock_ms() - begun, 900, 1450);
    for (int i = 0; i < 2; i++) /* a second connection: no more waiting */
        script(p, "select pg_sleep(0.05)", i, 5000);
    begun = clock_ms();
    until(3);
    assert_true(clock_ms() - begun < 500);
    pool_free(&p);
    close(fd);
}

static void
of_several_hosts_the_one_that_takes_writes_is_used(void **state)
{
    struct pgkit other;
    char hosts[96];
    struct pool *p;

    (void)state;
    pgkit_init(&other);
    p = pool_of(other.url, 1, 0);
    ask(p, "alter system set default_transaction_read_only = on");
    ask(p, "select 1 from pg_reload_conf()");
    pool_free(&p);
    snprintf(hosts, sizeof hosts, "127.0.0.1:%d,127.0.0.1:%d", other.port, pg.port);
    p = pool_of(url_of(hosts), 1, 0);
    assert_int_equal(ask(p, "select inet_server_port()"), pg.port);
    pool_free(&p);
    pgkit_fini(&other);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_for_libpq_have_an_entry_for_every_address_and_begin_with_the_one_in_turn),
        cmocka_unit_test(the_loop_turns_while_a_name_server_is_silent),
        cmocka_unit_test(addresses_of_before_serve_while_the_name_server_is_away),
        cmocka_unit_test(a_name_that_is_unknown_is_an_error_in_time),
        cmocka_unit_test(a_host_that_refuses_is_passed_over_at_once),
        cmocka_unit_test(a_host_that_never_answers_costs_one_second_and_then_it_is_the_next_ones_turn),
        cmocka_unit_test(of_several_hosts_the_one_that_takes_writes_is_used),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
