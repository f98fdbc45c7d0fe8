/* Replies of Redis, in pieces over a socket; what is kept there is read as a packed answer, too.
 * Properties: values that come out are whole, lie in the arena, within its size; a reply that is cut off or
 * wrong fails and gives nothing; a packed answer that is read packs to the same. */
#include <hiredis/hiredis.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/redis/conn.h"
#include "proto/answer.h"
#include "tests/fuzz/fuzz.h"

static size_t
judge(const struct redis_val *v, int depth)
{
    size_t n = 1;

    require(depth <= 8 && v->type <= REDIS_STATUS);
    if (v->type == REDIS_STR || v->type == REDIS_STATUS || v->type == REDIS_ERROR) {
        volatile char last = v->s.n > 0 ? v->s.p[v->s.n - 1] : 0; /* the sanitizer looks */

        (void)last;
        require(v->s.p != NULL);
    }
    for (size_t i = 0; v->type == REDIS_LIST && i < v->n; i++)
        n += judge(&v->v[i], depth + 1);
    return n;
}

static void
exchange(struct str in)
{
    int pair[2];
    struct redis_conn *c = mem_new(sizeof *c);
    const struct str ping = STR("PING");
    const struct redis_cmd cmds[3] = { { &ping, 1 }, { &ping, 1 }, { &ping, 1 } };
    struct redis_val out[3];
    struct arena *a = arena_new(65536);
    uint64_t cut = 0, refused = 0;
    size_t n = 1 + take_byte(&in) % 3;

    require(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    c->ctx = calloc(1, sizeof *c->ctx);
    require(c->ctx != NULL);
    c->ctx->fd = pair[0];
    require(write(pair[1], in.p, in.n) == (ssize_t)in.n);
    require(shutdown(pair[1], SHUT_WR) == 0);
    if (redis_conn_exchange(c, a, cmds, n, clock_ms() + 1000, out, &cut, &refused) == F_NONE) {
        size_t values = 0;

        for (size_t i = 0; i < n; i++)
            values += judge(&out[i], 0);
        require(values * sizeof *out <= 65536 + 3 * sizeof *out && arena_used(a) <= 65536 && cut <= n &&
                refused <= n);
    }
    free(c->ctx);
    c->ctx = NULL;
    redis_conn_free(&c);
    close(pair[0]);
    close(pair[1]);
    arena_free(&a);
}

static void
packed(struct str in)
{
    struct arena *a = arena_new(1u << 22);
    struct turn_finish_req turn;
    uint8_t sha[32];
    int64_t epoch;
    struct str json;

    if (answer_read(in, a, sha, &epoch, &json, &turn) == ERR_OK)
        require(inside(json, in));
    arena_free(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str in = { (const char *)data, n < 60000 ? n : 60000 };

    exchange(in);
    packed(in);
    return 0;
}
