/* footnote-gateway: the only process with a public port.
 *
 * It takes HTTP requests, checks them strictly, knows who asks, limits them, looks into the query cache, and asks the
 * services behind the bus, whose hub it holds. It keeps nothing that a restart would lose; any number may run.
 *
 *   HTTP threads (civetweb) ──locked list──▶ hub thread ──ROUTER──▶ workers
 *   other threads: change feed (100 ms), API keys, the days on which they are used, health (1 s), leases of idempotency
 *   keys (1.5 s), limits that are taken in advance, erasures (100 ms, while there is somebody to tell), signs of life for
 *   resumable streams (500 ms), the console's figures (10 s), connection guard (50 ms), a prober for each Redis, this loop
 *
 * It starts with everything else down. SIGTERM: /readyz says 503, new requests get 503 with Connection: close, what is in
 * flight finishes (DRAIN_TIMEOUT, streams STREAM_DRAIN_TIMEOUT), then the port closes. SIGHUP reads the API keys and the
 * list of the workers' keys again; options are read at start only. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <strings.h>

#include "common/digest.h"
#include "common/text/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text/number.h"
#include "gateway/console/failures.h"
#include "gateway/console/figures.h"
#include "gateway/edge/conn.h"
#include "gateway/hub/zap.h"
#include "gateway/admit/erased.h"
#include "gateway/admit/admit.h"
#include "gateway/admit/advance.h"
#include "gateway/admit/frames.h"
#include "gateway/admit/lease.h"
#include "gateway/admit/limit.h"
#include "gateway/admit/near.h"
#include "gateway/ask/ask.h"
#include "gateway/edge/http.h"
#include "gateway/edge/pool.h"
#include "gateway/gateway.h"
#include "gateway/openai/openai.h"
#include "gateway/serve.h"
#include "gateway/watch/epochs.h"
#include "gateway/watch/health.h"
#include "gateway/watch/keyring.h"
#include "proto/price.h"

static const struct opt_def opts[] = {
#define OPT_STRUCT struct gateway_opt
#define OPT OPT_ROW
#include "gateway/opt.tbl"
#undef OPT
};

static void
check_lists(const struct gateway_opt *o, struct buf *err)
{
    struct origins origins, url;
    struct cidrs proxies;

    if (!origins_parse(&origins, o->allowed_origins))
        buf_z(err, "ALLOWED_ORIGINS: each must be scheme://host or scheme://host:port\n");
    if (!cidrs_parse(&proxies, o->trusted_proxies))
        buf_z(err, "TRUSTED_PROXIES: each must be an address or a block such as 10.0.0.0/8\n");
    if (!origins_parse(&url, o->public_url) || url.n > 1)
        buf_z(err, "PUBLIC_URL: must be scheme://host or scheme://host:port\n");
    origins_free(&origins);
    origins_free(&url);
    cidrs_free(&proxies);
}

/* AUTH=off makes an admin of everybody whom a proxy in front lets in. */
static void
check_strangers(const struct gateway_opt *o, struct buf *err)
{
    struct names hosts, collections, links;

    if (!names_parse(&hosts, o->allowed_hosts, 253))
        buf_z(err, "ALLOWED_HOSTS: each must be a host name without a port, or * for any\n");
    if (!names_parse(&collections, o->anonymous_collections, 64))
        buf_z(err, "ANONYMOUS_COLLECTIONS: each must match [A-Za-z0-9._-]{1,64}, or * for all\n");
    if (!names_parse(&links, o->answer_link_hosts, 253))
        buf_z(
            err,
            "ANSWER_LINK_HOSTS: each must be a host name, with a dot in front for all names below it, or * for all\n");
    names_free(&hosts);
    names_free(&collections);
    names_free(&links);
    if (!model_aliases_fine(o->model_aliases))
        buf_z(
            err,
            "MODEL_ALIASES: each must be name=docs, name=raw or name=rag:<collection>, docs and rag also with +sources\n");
    if (!o->auth && o->trusted_proxies[strspn(o->trusted_proxies, ", \t")] != 0)
        buf_z(err,
              "TRUSTED_PROXIES: behind a proxy AUTH=off would make an admin of everybody: set AUTH=on\n");
    if (!o->auth && (!url_loopback(o->public_url) || strncasecmp(o->public_url, "https:", 6) == 0))
        buf_z(
            err,
            "PUBLIC_URL: with AUTH=off this gateway serves its own machine only: set AUTH=on, or leave PUBLIC_URL empty\n");
}

/* Three listeners, three ports. */
static void
check_ports(const struct gateway_opt *o, struct buf *err)
{
    const char *colon = strrchr(o->hub_bind, ':');
    int64_t hub = 0;

    if (colon)
        (void)number_parse(str_of(colon + 1), 1, 65535, &hub);
    if (o->port == o->metrics_port)
        buf_printf(err, "METRICS_PORT: %ld is PORT, too; allowed: another one\n", o->metrics_port);
    if (hub > 0 && (hub == o->port || hub == o->metrics_port))
        buf_printf(err, "HUB_BIND: %d is %s, too; allowed: another port\n", (int)hub,
                   hub == o->port ? "PORT" : "METRICS_PORT");
}

static void
check(const void *opt, struct buf *err)
{
    const struct gateway_opt *o = opt;
    struct in_addr a;

    if (inet_pton(AF_INET, o->host, &a) != 1)
        buf_z(err, "HOST: must be an IPv4 address, such as 127.0.0.1 or 0.0.0.0\n");
    else if (!o->auth && (ntohl(a.s_addr) >> 24) != 127)
        buf_z(err, "AUTH: off is allowed only when HOST is a loopback address (127.0.0.1)\n");
    if (*o->admin_key && strlen(o->admin_key) < 16)
        buf_z(err, "ADMIN_KEY: at least 16 characters (make secrets writes a good one)\n");
    for (const char *k = o->admin_key; *k; k++)
        if (*k <= ' ' || *k > '~') {
            buf_z(err, "ADMIN_KEY: holds characters that no header carries; allowed: visible ASCII\n");
            break;
        }
    if (strcmp(o->query_cache_scope, CACHE_SCOPE_SESSION) != 0 &&
        strcmp(o->query_cache_scope, CACHE_SCOPE_COLLECTION) != 0)
        buf_printf(err,
                   "QUERY_CACHE_SCOPE: \"%.100s\" is not known; allowed: " CACHE_SCOPE_SESSION
                   ", " CACHE_SCOPE_COLLECTION "\n",
                   o->query_cache_scope);
    price_check(o->model_prices, err);
    check_endpoints("HUB_BIND", o->hub_bind, true, err);
    if (o->bus_curve) {
        check_hex_key("HUB_SECRET_KEY", o->hub_secret_key, err);
        if (!*o->hub_allow_file)
            buf_z(
                err,
                "HUB_ALLOW_FILE: is missing; allowed: a readable file (make secrets), needed by BUS_CURVE=on\n");
        check_file("HUB_ALLOW_FILE", o->hub_allow_file, err);
        if (*o->hub_allow_file)
            zap_check(o->hub_allow_file, err);
    }
    check_ports(o, err);
    redis_check("REDIS_URL", o->redis_url, REDIS_TLS_FILES(o), err);
    redis_check("REDIS_STATE_URL", o->redis_state_url, REDIS_TLS_FILES(o), err);
    check_lists(o, err);
    check_strangers(o, err);
}

static int
connect_redis(struct gateway *gw)
{
    const struct gateway_opt *o = gw->opt;
    struct buf why = BUF_MAX(1024);

    if (*o->redis_url)
        gw->cache = redis_new(o->redis_url, REDIS_TLS_FILES(o), &why);
    gw->state = gw->cache;
    if (why.n == 0 && *o->redis_state_url && strcmp(o->redis_state_url, o->redis_url) != 0)
        gw->state = redis_new(o->redis_state_url, REDIS_TLS_FILES(o), &why);
    if (why.n > 0)
        LOG(ERROR, NULL, M("REDIS_URL or REDIS_STATE_URL cannot be used"), KN("why", buf_slice(&why)));
    buf_free(&why);
    return (*o->redis_url && !gw->cache) || (*o->redis_state_url && !gw->state) ? -1 : 0;
}

static void
secrets(struct gateway *gw)
{
    struct str key = str_of(gw->opt->admin_key);

    gw->has_admin = key.n > 0;
    if (gw->has_admin)
        sha256(&key, 1, gw->admin_hash);
    origins_parse(&gw->allowed, gw->opt->allowed_origins);
    cidrs_parse(&gw->proxies, gw->opt->trusted_proxies);
    names_parse(&gw->strangers.hosts, gw->opt->allowed_hosts, 253);
    names_parse(&gw->strangers.collections, gw->opt->anonymous_collections, 64);
    names_parse(&gw->strangers.answer_hosts, gw->opt->answer_link_hosts, 253);
}

static bool
listen_at(struct gateway *gw)
{
    const struct gateway_opt *o = gw->opt;
    struct guard_config guard = { .port = o->port,
                                  .threads = o->http_threads,
                                  .header_timeout = o->header_timeout,
                                  .write_timeout = o->write_timeout,
                                  .min_client_rate = o->min_client_rate,
                                  .max_per_address = o->max_conn_per_addr,
                                  .proxies = &gw->proxies };
    struct http_config http = { o->host, o->port, o->http_threads, { serve, serve_refused, gw } };

    if (!conn_guard_start(&guard) || !(gw->http = http_start(&http)))
        return false;
    conn_guard_listens();
    return true;
}

static bool
ready(struct proc *p, struct buf *reasons)
{
    return health_ready(p->ctx, reasons);
}

/* Every 20 ms of a drain: is it over? Refused requests are waited for, too, but not for ever. */
static void
drain_look(void *arg)
{
    struct gateway *gw = arg;
    int64_t passed = clock_ms() - gw->drain_ms;
    long streams = atomic_load(&gw->streams), working = atomic_load(&gw->working);
    int64_t longest = (streams > 0 ? gw->opt->stream_drain_timeout : gw->opt->drain_timeout) * 1000;

    if (passed >= longest && !atomic_load(&gw->cut)) {
        LOG(WARN, NULL, M("the drain's time is over"), KI("in_flight", working), KI("streams", streams));
        atomic_store(&gw->cut, true);
    }
    if ((working == 0 && atomic_load(&gw->in_flight) == 0) || passed >= longest + 1000)
        proc_exit(gw->proc, 0);
    else
        loop_after(gw->proc->loop, 20, drain_look, gw);
}

static void
drain(struct proc *p)
{
    struct gateway *gw = p->ctx;

    gw->drain_ms = clock_ms();
    atomic_store(&gw->draining, true);
    LOG(INFO, NULL, M("draining"), KI("in_flight", atomic_load(&gw->working)),
        KI("streams", atomic_load(&gw->streams)));
    drain_look(gw);
}

static void
stop(struct proc *p)
{
    struct gateway *gw = p->ctx;

    if (!gw)
        return;
    hub_close(gw->hub); /* first: a thread that waits for a service would hold up its own end */
    conn_guard_leave();
    http_stop(&gw->http);
    conn_guard_stop();
    figures_stop(&gw->figures); /* it looks at the health */
    health_stop(&gw->health);
    epochs_stop(&gw->epochs);
    keeper_stop(&gw->keeper);
    advance_stop(&gw->advance);
    pulse_stop(&gw->pulse);
    erasures_stop(&gw->erasures);
    keyring_stop(&gw->keys);
    hub_free(&gw->hub);
    if (gw->state != gw->cache)
        redis_free(&gw->state);
    redis_free(&gw->cache);
    near_free(&gw->near);
    limiter_free(&gw->limiter);
    origins_free(&gw->allowed);
    cidrs_free(&gw->proxies);
    names_free(&gw->strangers.hosts);
    names_free(&gw->strangers.collections);
    names_free(&gw->strangers.answer_hosts);
    failures_free(&gw->failures);
    price_fini();
    mem_free(&p->ctx);
}

static int
start(struct proc *p)
{
    struct gateway *gw = mem_new(sizeof *gw);
    const struct gateway_opt *o = p->opt;
    struct hub_config hub = { o->hub_bind, o->bus_curve, o->hub_secret_key, o->hub_allow_file };

    p->ctx = gw;
    gw->proc = p;
    gw->opt = p->opt;
    signal(SIGPIPE, SIG_IGN);
    gateway_stats_register();
    ask_stats_register();
    price_init(o->model_prices);
    secrets(gw);
    admit_init();
    memory_init(&gw->memory, o->memory_limit);
    gw->failures = failures_new();
    gw->near = *o->redis_url ? near_new((size_t)o->near_cache_bytes) : NULL;
    gw->limiter = limiter_new((size_t)gw->opt->http_threads);
    if (connect_redis(gw) != 0 || !(gw->hub = hub_new(&hub)) || !(gw->keys = keyring_start(gw)) ||
        !(gw->epochs = epochs_start(gw)) || !(gw->keeper = keeper_start(gw)) ||
        (gw->near && !(gw->advance = advance_start(gw))) || !(gw->pulse = pulse_start(gw)) ||
        !(gw->erasures = erasures_start(gw)) || !(gw->health = health_start(gw)) ||
        !(gw->figures = figures_start(gw)) || !listen_at(gw)) {
        stop(p); /* its threads must not outlive the bus, which ends with the process */
        return -1;
    }
    LOG(INFO, NULL, M("listening"), KS("host", gw->opt->host), KI("port", gw->opt->port),
        KB("auth", gw->opt->auth));
    return 0;
}

static void
reload(struct proc *p)
{
    struct gateway *gw = p->ctx;

    keyring_refresh(gw->keys);
    hub_reload(gw->hub);
}

static void
sample(struct proc *p)
{
    struct gateway *gw = p->ctx;

    stat_set(&gateway_stats, GW_IN_FLIGHT, (double)atomic_load(&gw->in_flight));
    stat_set(&gateway_stats, GW_STREAMS, (double)atomic_load(&gw->streams));
    stat_set(&gateway_stats, GW_CONNECTIONS, (double)conn_count());
    stat_set(&gateway_stats, GW_THREADS, (double)pool_made());
    stat_set(&gateway_stats, GW_CLOSING, (double)conn_closing());
    stat_set(&gateway_stats, GW_BUSY, (double)atomic_load(&gw->busy));
    stat_set(&gateway_stats, GW_KEYS, (double)keyring_count(gw->keys));
    stat_set(&gateway_stats, GW_KEYS_AGE, keyring_age_s(gw->keys));
    stat_set(&gateway_stats, GW_FEED_AGE, epochs_age_s(gw->epochs));
    stat_set(&gateway_stats, GW_FEED_SEQ, (double)epochs_seq(gw->epochs));
    stat_set(&gateway_stats, GW_NEAR_BYTES, (double)near_bytes(gw->near));
    stat_set(&gateway_stats, GW_NEAR_ANSWERS, (double)near_count(gw->near));
    stat_set(&gateway_stats, GW_REDIS_UP, gw->cache && redis_up(gw->cache) && redis_up(gw->state) ? 1 : 0);
}

static const struct service service = {
    .name = "gateway",
    .summary = "HTTP in front, the hub of the bus behind",
    .manual =
        "The only process with a public port. Checks, authenticates and limits requests, answers from the query "
        "cache, and asks the services that connect to its hub. Needs nothing to start; is ready when embedder, "
        "retriever, store and Postgres are there. SIGTERM drains: what is in flight finishes, then it exits.",
    .opts = opts,
    .n_opts = sizeof opts / sizeof opts[0],
    .opt_size = sizeof(struct gateway_opt),
    .check = check,
    .start = start,
    .ready = ready,
    .drain = drain,
    .stop = stop,
    .reload = reload,
    .sample = sample,
};

int
main(int argc, char **argv)
{
    memory_tune(argv);
    return proc_main(argc, argv, &service);
}
