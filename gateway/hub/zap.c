/* The ZAP handler and its allow-list (zap.h). An actor answers inproc://zeromq.zap.01 and owns the list; the User-Id that it
 * gives an admitted key carries the key's services and the first bytes of the key. It says that it is there when the list is read
 * and its port open, reads the list anew when it is sent RELOAD, and ends with its pipe. (czmq's own zauth walks a directory at
 * each handshake, and a reload that fails drops all keys.) */
#include "gateway/hub/zap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/log.h"
#include "common/text/text.h"
#include "gateway/hub/czmq.h"
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
    struct allowed *list; /* the actor's, like all that follows */
    size_t n;
    zsock_t *sock;   /* REP */
    zactor_t *actor; /* the caller's end */
};

/* ---- the list */

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
        LOG(ERROR, NULL, M("HUB_ALLOW_FILE: a line must be 64 hex digits and the services of that key"),
            KS("path", path), KI("line", wrong));
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
        buf_printf(
            err,
            "HUB_ALLOW_FILE: line %d of %s is wrong; allowed: 64 hex digits and the services of that key\n",
            wrong, path);
    else if (f && n == 0)
        buf_printf(
            err,
            "HUB_ALLOW_FILE: %s names no worker's key; allowed: 64 hex digits and the services of that key on each line\n",
            path);
    if (f)
        fclose(f);
    mem_free(&list);
}

static void
list_reload(struct zap *z)
{
    struct allowed *list = mem_new(KEYS_MAX * sizeof *list);
    size_t n;

    if (!list_read(z->path, list, &n)) {
        mem_free(&list);
        return;
    }
    mem_free(&z->list);
    z->list = list;
    z->n = n;
    LOG(INFO, NULL, M("worker keys read"), KI("keys", n));
}

static unsigned
services_of(const struct zap *z, const void *key)
{
    unsigned services = 0;

    for (size_t i = 0; i < z->n; i++)
        if (bytes_equal(z->list[i].key.b, key, 32))
            services |= z->list[i].services;
    return services;
}

/* ---- the handler */

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

    if (f->n == ZAP_FRAMES && zmq_msg_size(&f->m[5]) == 5 &&
        memcmp(zmq_msg_data(&f->m[5]), "CURVE", 5) == 0 && zmq_msg_size(&f->m[6]) == 32) {
        key = zmq_msg_data(&f->m[6]);
        services = services_of(z, key);
    }
    gate = services ? NULL : &refused;
    if (gate && log_gate(gate))
        LOG(WARN, NULL, M("a key that is not listed was refused on the bus"),
            KN("address",
               f->n > 3 ? ((struct str){ zmq_msg_data(&f->m[3]), zmq_msg_size(&f->m[3]) }) : STR("")));
    send_reply(zsock_resolve(z->sock), id, services, key);
}

static void
answer_one(struct zap *z)
{
    struct zframes f;

    if (bus_recv(zsock_resolve(z->sock), &f) > 0) {
        on_request(z, &f);
        zframes_drop(&f);
    }
}

/* false: the end. */
static bool
obey(struct zap *z, zsock_t *pipe)
{
    char *command = zstr_recv(pipe);
    bool on = command && !streq(command, "$TERM");

    if (command && streq(command, "RELOAD"))
        list_reload(z);
    zstr_free(&command);
    return on;
}

static void
zap_actor(zsock_t *pipe, void *arg)
{
    struct zap *z = arg;
    zpoller_t *poller;
    void *which;

    z->list = mem_new(KEYS_MAX * sizeof *z->list);
    z->sock = list_read(z->path, z->list, &z->n) ? zsock_new_rep("@inproc://zeromq.zap.01") : NULL;
    poller = zpoller_new(pipe, z->sock, NULL);
    zsock_signal(pipe, z->sock ? 0 : 1);
    while (((which = zpoller_wait(poller, -1)) == pipe && obey(z, pipe)) || (which && which == z->sock))
        if (which != pipe)
            answer_one(z);
    zpoller_destroy(&poller);
    zsock_destroy(&z->sock);
}

struct zap *
zap_start(const char *allow_file)
{
    struct zap *z = mem_new(sizeof *z);

    z->path = mem_dup(allow_file);
    z->actor = zactor_new(zap_actor, z);
    if (!z->sock) {
        LOG(ERROR, NULL, M("the bus's key check cannot start"));
        zap_stop(&z);
    }
    return z;
}

void
zap_reload(struct zap *z)
{
    zstr_send(z->actor, "RELOAD");
}

void
zap_stop(struct zap **zp)
{
    struct zap *z = *zp;

    if (!z)
        return;
    zactor_destroy(&z->actor);
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

/* ---- self-test */

/* Wait for the handshake's outcome: 1 let in, 0 refused, -1 neither in time. */
static int
handshake_outcome(zactor_t *monitor)
{
    zpoller_t *poller = zpoller_new(monitor, NULL);
    char *event = zpoller_wait(poller, SELF_TEST_MS) ? zstr_recv(monitor)
                                                     : NULL; /* the name; what follows is not needed */
    int outcome = !event ? -1 : streq(event, "HANDSHAKE_SUCCEEDED") ? 1 : 0;

    zstr_free(&event);
    zpoller_destroy(&poller);
    return outcome;
}

bool
zap_self_test(const char *bind, const struct curve_key *server_public)
{
    const char *colon = strrchr(bind, ':');
    void *sock = zmq_socket(bus_context(), ZMQ_DEALER);
    zactor_t *monitor = zactor_new(zmonitor, sock);
    struct curve_key own, secret;
    char address[64];
    int linger = 0, outcome = -1;

    if (strncmp(bind, "tcp://0.0.0.0:", 14) == 0 || strncmp(bind, "tcp://*:", 8) == 0)
        snprintf(address, sizeof address, "tcp://127.0.0.1%s", colon);
    else
        snprintf(address, sizeof address, "%s", bind);
    zmq_setsockopt(sock, ZMQ_LINGER, &linger, sizeof linger);
    zstr_sendx(monitor, "LISTEN", "HANDSHAKE_SUCCEEDED", "HANDSHAKE_FAILED_AUTH", NULL);
    zstr_send(monitor, "START");
    zsock_wait(monitor);
    if (curve_pair(&own, &secret) && curve_client(sock, &secret, server_public) &&
        zmq_connect(sock, address) == 0)
        outcome = handshake_outcome(monitor);
    zactor_destroy(&monitor);
    zmq_close(sock);
    if (outcome == 0)
        LOG(INFO, NULL, M("bus self-test: a random key is refused"));
    else
        LOG(ERROR, NULL,
            M(outcome < 0 ? "bus self-test: no answer to a random key"
                          : "bus self-test: a random key was let in"));
    return outcome == 0;
}
