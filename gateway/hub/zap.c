/* The ZAP handler and its allow-list (zap.h). One thread answers inproc://zeromq.zap.01; the User-Id that it gives
 * an admitted key carries the key's services and the first bytes of the key. */
#include "gateway/hub/zap.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text/text.h"
#include "proto/zsock.h"

#define KEYS_MAX 256
#define FILE_MAX 65536
#define SELF_TEST_MS 3000
#define ZAP_FRAMES 7

struct allowed {
    struct curve_key key; /* public key of a worker */
    unsigned services;    /* bit n: service n */
};

struct zap {
    char *path;
    pthread_mutex_t lock; /* the list */
    struct allowed *list;
    size_t n;
    void *sock;
    pthread_t thread;
    atomic_bool stop;
};

/* ---- the list ---- */

static unsigned
parse_services(const char *p)
{
    unsigned mask = 0;

    while (*p) {
        size_t n = strcspn(p, ", \t\r\n");
        int id = n ? service_find((struct str){ p, n }) : -1;

        if (id < 0)
            return 0;
        mask |= 1u << id;
        p += n;
        p += strspn(p, ", \t\r\n");
    }
    return mask;
}

static bool
parse_line(char *line, struct allowed *out)
{
    char *comment = strchr(line, '#');
    size_t n;

    if (comment)
        *comment = '\0';
    line += strspn(line, " \t");
    n = strcspn(line, " \t\r\n");
    if (n == 0) {
        out->services = 0; /* an empty line */
        return true;
    }
    if (!curve_parse((struct str){ line, n }, &out->key))
        return false;
    line += n;
    line += strspn(line, " \t");
    return (out->services = parse_services(line)) != 0;
}

/* The lines of an open list. 0, or the number of the first that is wrong. */
static int
lines_read(FILE *f, struct allowed *list, size_t *n)
{
    char line[512];
    int number = 0;

    *n = 0;
    while (fgets(line, sizeof line, f)) {
        struct allowed a;

        number++;
        if (!parse_line(line, &a) || *n == KEYS_MAX)
            return number;
        if (a.services)
            list[(*n)++] = a;
    }
    return 0;
}

static bool
list_read(const char *path, struct allowed *list, size_t *n)
{
    FILE *f = fopen(path, "re");
    int wrong;

    *n = 0;
    if (!f) {
        LOG(ERROR, NULL, M("HUB_ALLOW_FILE cannot be read"), KS("path", path), KS("why", strerror(errno)));
        return false;
    }
    wrong = lines_read(f, list, n);
    fclose(f);
    if (wrong)
        LOG(ERROR, NULL, M("HUB_ALLOW_FILE: a line must be 64 hex digits and the services of that key"), KS("path", path), KI("line", wrong));
    return wrong == 0;
}

void
zap_check(const char *path, struct buf *err)
{
    struct allowed *list = mem_new(KEYS_MAX * sizeof *list);
    FILE *f = fopen(path, "re");
    size_t n = 0;
    int wrong = f ? lines_read(f, list, &n) : 0;

    if (wrong)
        buf_printf(err, "HUB_ALLOW_FILE: line %d of %s is wrong; allowed: 64 hex digits and the services of that key\n", wrong, path);
    else if (f && n == 0)
        buf_printf(err, "HUB_ALLOW_FILE: %s names no worker's key; allowed: 64 hex digits and the services of that key on each line\n", path);
    if (f)
        fclose(f);
    mem_free(&list);
}

void
zap_reload(struct zap *z)
{
    struct allowed *list = mem_new(KEYS_MAX * sizeof *list);
    size_t n;

    if (!list_read(z->path, list, &n)) {
        mem_free(&list);
        return;
    }
    pthread_mutex_lock(&z->lock);
    struct allowed *old = z->list;

    z->list = list;
    z->n = n;
    pthread_mutex_unlock(&z->lock);
    mem_free(&old);
    LOG(INFO, NULL, M("worker keys read"), KI("keys", n));
}

static unsigned
services_of(struct zap *z, const void *key)
{
    unsigned services = 0;

    pthread_mutex_lock(&z->lock);
    for (size_t i = 0; i < z->n; i++)
        if (bytes_equal(z->list[i].key.b, key, 32))
            services |= z->list[i].services;
    pthread_mutex_unlock(&z->lock);
    return services;
}

/* ---- the handler ---- */

static void
send_reply(void *sock, struct str request_id, unsigned services, const uint8_t *key)
{
    char user[64] = "", hex[17];
    struct str parts[6] = { STR("1.0"), request_id, STR("400"), STR("unknown key"), STR(""), STR("") };

    if (services) {
        snprintf(user, sizeof user, "%x:%s", services, hex_text(key, 8, hex));
        parts[2] = STR("200");
        parts[3] = STR("OK");
        parts[4] = str_of(user);
    }
    for (size_t i = 0; i < 6; i++)
        zmq_send(sock, parts[i].p, parts[i].n, i < 5 ? ZMQ_SNDMORE : 0);
}

/* Frames: version, request id, domain, address, identity, mechanism, key. */
static void
on_request(struct zap *z, struct zframes *f)
{
    struct str id = f->n > 1 ? (struct str){ zmq_msg_data(&f->m[1]), zmq_msg_size(&f->m[1]) } : STR("");
    unsigned services = 0;
    const uint8_t *key = NULL;
    struct log_gate *gate = NULL;
    static struct log_gate refused;

    if (f->n == ZAP_FRAMES && zmq_msg_size(&f->m[5]) == 5 && memcmp(zmq_msg_data(&f->m[5]), "CURVE", 5) == 0
        && zmq_msg_size(&f->m[6]) == 32) {
        key = zmq_msg_data(&f->m[6]);
        services = services_of(z, key);
    }
    gate = services ? NULL : &refused;
    if (gate && log_gate(gate))
        LOG(WARN, NULL, M("a key that is not listed was refused on the bus"),
            KN("address", f->n > 3 ? ((struct str){ zmq_msg_data(&f->m[3]), zmq_msg_size(&f->m[3]) }) : STR("")));
    send_reply(z->sock, id, services, key);
}

static void *
zap_thread(void *arg)
{
    struct zap *z = arg;

    while (!atomic_load(&z->stop)) {
        zmq_pollitem_t item = { z->sock, 0, ZMQ_POLLIN, 0 };
        struct zframes f;

        if (zmq_poll(&item, 1, 100) > 0 && zsock_recv(z->sock, &f) > 0) {
            on_request(z, &f);
            zframes_drop(&f);
        }
    }
    return NULL;
}

struct zap *
zap_start(const char *allow_file)
{
    struct zap *z = mem_new(sizeof *z);

    pthread_mutex_init(&z->lock, NULL);
    z->path = mem_dup(allow_file);
    z->list = mem_new(KEYS_MAX * sizeof *z->list);
    z->sock = zmq_socket(zsock_context(), ZMQ_REP);
    if (!list_read(allow_file, z->list, &z->n) || !z->sock || zmq_bind(z->sock, "inproc://zeromq.zap.01") != 0
        || pthread_create(&z->thread, NULL, zap_thread, z) != 0) {
        LOG(ERROR, NULL, M("the bus's key check cannot start"));
        if (z->sock)
            zmq_close(z->sock);
        z->sock = NULL;
        zap_stop(&z);
    }
    return z;
}

void
zap_stop(struct zap **zp)
{
    struct zap *z = *zp;

    if (!z)
        return;
    if (z->sock) {
        atomic_store(&z->stop, true);
        pthread_join(z->thread, NULL);
        zmq_close(z->sock);
    }
    pthread_mutex_destroy(&z->lock);
    mem_free(&z->list);
    mem_free(&z->path);
    mem_free(zp);
}

void
zap_user(const char *user_id, unsigned *services, uint64_t *identity)
{
    char *end;

    *services = 0;
    *identity = 1;
    if (!user_id)
        return;
    *services = (unsigned)strtoul(user_id, &end, 16);
    if (*end == ':')
        *identity = strtoull(end + 1, NULL, 16) | 1;
}

/* ---- self-test ---- */

/* Wait for the handshake's outcome on a socket's monitor: 1 let in, 0 refused, -1 neither in time. */
static int
handshake_outcome(void *monitor)
{
    for (int64_t end = clock_ms() + SELF_TEST_MS; clock_ms() < end;) {
        zmq_pollitem_t item = { monitor, 0, ZMQ_POLLIN, 0 };
        int event = zmq_poll(&item, 1, 50) > 0 ? zsock_event(monitor) : 0;

        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            return 1;
        if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
            return 0;
    }
    return -1;
}

bool
zap_self_test(const char *bind, const struct curve_key *server_public)
{
    const char *colon = strrchr(bind, ':');
    void *sock = zmq_socket(zsock_context(), ZMQ_DEALER);
    void *monitor = zsock_monitor(sock, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH);
    struct curve_key own, secret;
    char address[64];
    int linger = 0, outcome = -1;

    if (strncmp(bind, "tcp://0.0.0.0:", 14) == 0 || strncmp(bind, "tcp://*:", 8) == 0)
        snprintf(address, sizeof address, "tcp://127.0.0.1%s", colon);
    else
        snprintf(address, sizeof address, "%s", bind);
    zmq_setsockopt(sock, ZMQ_LINGER, &linger, sizeof linger);
    if (monitor && curve_pair(&own, &secret) && curve_client(sock, &secret, server_public) && zmq_connect(sock, address) == 0)
        outcome = handshake_outcome(monitor);
    if (monitor)
        zmq_close(monitor);
    zmq_close(sock);
    if (outcome == 0)
        LOG(INFO, NULL, M("bus self-test: a random key is refused"));
    else
        LOG(ERROR, NULL, M(outcome < 0 ? "bus self-test: no answer to a random key" : "bus self-test: a random key was let in"));
    return outcome == 0;
}
