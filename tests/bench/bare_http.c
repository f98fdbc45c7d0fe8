/* bare-http: the limit that a cache hit is measured against: civetweb with nothing behind it, or with one pipelined trip to
 * Redis (a rate-limit script and the GET of one value), the least that a limited, cached answer can cost. No checks, no
 * keys, no log. Independent of the suite's code.
 *
 *   bare-http [--port N] [--threads N] [--redis PORT --value-bytes N]
 *   prints its port on one line; runs until SIGTERM. POST or GET anything: 200 with the value ("ok" without --redis). */
#include <civetweb.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX 65536

static struct {
    long port, threads, redis, value_bytes;
} conf = { .threads = 64, .value_bytes = 2048 };

/* The generic cell rate algorithm: KEYS[1] the bucket; ARGV: step and burst in us. */
static const char gcra[] = "local t = redis.call('TIME')\n"
                           "local now = t[1] * 1000000 + t[2]\n"
                           "local tat = tonumber(redis.call('GET', KEYS[1])) or now\n"
                           "if tat < now then tat = now end\n"
                           "local next = tat + tonumber(ARGV[1])\n"
                           "if next - tonumber(ARGV[2]) > now then return 0 end\n"
                           "redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', 60000)\n"
                           "return 1\n";
static char gcra_sha[41];
static _Thread_local redisContext *redis;
static _Thread_local char
    *out; /* on the heap: what is thread-local lies in the small stacks of the library's threads */

static redisContext *
redis_open(void)
{
    const struct timeval limit = { .tv_sec = 1 };
    redisContext *c = redisConnectWithTimeout("127.0.0.1", (int)conf.redis, limit);

    if (!c || c->err) {
        fprintf(stderr, "bare-http: no Redis at port %ld\n", conf.redis);
        exit(2);
    }
    return c;
}

/* The value of the one key; the caller frees the reply. NULL when the limit says no. */
static redisReply *
trip(void)
{
    redisReply *allowed = NULL, *value = NULL;

    if (!redis)
        redis = redis_open();
    redisAppendCommand(redis, "EVALSHA %s 1 bench:limit 1 60000000", gcra_sha);
    redisAppendCommand(redis, "GET bench:value");
    if (redisGetReply(redis, (void **)&allowed) != REDIS_OK ||
        redisGetReply(redis, (void **)&value) != REDIS_OK || allowed->type != REDIS_REPLY_INTEGER ||
        allowed->integer != 1 || value->type != REDIS_REPLY_STRING) {
        freeReplyObject(value);
        value = NULL;
    }
    freeReplyObject(allowed);
    return value;
}

static int
on_request(struct mg_connection *mg)
{
    char body[2048];
    redisReply *value = conf.redis ? trip() : NULL;
    const char *p = value ? value->str : "ok";
    size_t n = value ? value->len : 2;
    int head;

    if (!out)
        out = malloc(VALUE_MAX + 256);
    while (mg_read(mg, body, sizeof body) > 0)
        continue;
    head = snprintf(out, VALUE_MAX + 256,
                    "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                    conf.redis && !value ? "503 No" : "200 OK", n);
    memcpy(out + head, p, n);
    mg_write(mg, out, (size_t)head + n);
    freeReplyObject(value);
    return 1;
}

static void
redis_prepare(void)
{
    redisContext *c = redis_open();
    char *value = malloc((size_t)conf.value_bytes + 1);
    redisReply *r;

    memset(value, 'x', (size_t)conf.value_bytes);
    freeReplyObject(redisCommand(c, "SET bench:value %b", value, (size_t)conf.value_bytes));
    r = redisCommand(c, "SCRIPT LOAD %s", gcra);
    snprintf(gcra_sha, sizeof gcra_sha, "%s", r && r->type == REDIS_REPLY_STRING ? r->str : "");
    freeReplyObject(r);
    free(value);
    redisFree(c);
}

static void
options(int argc, char **argv)
{
    static const struct {
        const char *name;
        long *at;
    } known[] = {
        { "--port", &conf.port },
        { "--threads", &conf.threads },
        { "--redis", &conf.redis },
        { "--value-bytes", &conf.value_bytes },
    };

    for (int i = 1; i + 1 < argc; i += 2)
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            if (strcmp(argv[i], known[k].name) == 0)
                *known[k].at = atol(argv[i + 1]);
    if (conf.value_bytes > VALUE_MAX)
        conf.value_bytes = VALUE_MAX;
}

int
main(int argc, char **argv)
{
    static const struct mg_callbacks callbacks = { .begin_request = on_request };
    char port[32], threads[16];
    const char *opts[] = { "listening_ports",
                           port,
                           "num_threads",
                           threads,
                           "enable_keep_alive",
                           "yes",
                           "keep_alive_timeout_ms",
                           "15000",
                           "tcp_nodelay",
                           "1",
                           "listen_backlog",
                           "1024",
                           NULL };
    struct mg_server_port bound;
    struct mg_context *ctx;
    sigset_t stop;
    int sig;

    options(argc, argv);
    if (conf.redis)
        redis_prepare();
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    snprintf(port, sizeof port, "127.0.0.1:%ld", conf.port);
    snprintf(threads, sizeof threads, "%ld", conf.threads);
    mg_init_library(0);
    ctx = mg_start(&callbacks, NULL, opts);
    if (!ctx || mg_get_server_ports(ctx, 1, &bound) < 1)
        return 2;
    printf("%d\n", bound.port);
    fflush(stdout);
    sigwait(&stop, &sig);
    mg_stop(ctx);
    return 0;
}
