/* Addresses as operators and clients write them: Redis, model servers, Postgres, origins, address blocks, forwarded addresses.
 * Properties: what is refused says why; what is taken has a host or a path and a port that there is; a base
 * that was taken is taken again and stays itself; nobody trusts an address that is not in the list. */
#include "embedder/openai/upstream.h"
#include "common/redis/url.h"
#include "gateway/edge/origin.h"
#include "store/pool/conn.h"
#include "tests/fuzz/fuzz.h"

static void
judge_redis(const char *z)
{
    struct redis_url u = { .host = NULL };
    const char *why = redis_url_parse(z, &u);

    if (!why)
        require((u.host != NULL) != (u.path != NULL) &&
                (!u.host || (*u.host && u.port >= 1 && u.port <= 65535)) &&
                strspn(u.db, "0123456789") == strlen(u.db) && (!u.user || u.password));
    else
        require(*why);
    redis_url_fini(&u);
}

static void
judge_base(const char *z)
{
    struct base_url b = { .prefix = NULL }, again = { .prefix = NULL };
    const char *why = base_url_read(z, &b);

    if (!why) {
        require(b.prefix && b.query &&
                (strncmp(b.prefix, "http://", 7) == 0 || strncmp(b.prefix, "https://", 8) == 0));
        require(b.prefix[strlen(b.prefix) - 1] != '/');
        require(!base_url_read(b.prefix, &again) && strcmp(again.prefix, b.prefix) == 0);
    } else {
        require(*why);
    }
    base_url_fini(&b);
    base_url_fini(&again);
}

static void
judge_postgres(const char *z)
{
    struct buf out = BUF_MAX(8192), dropped = BUF_MAX(8192), err = BUF_MAX(8192), user = { 0 },
               verifier = { 0 };
    const char *why = NULL;

    if (pg_url_read(z, &out, &dropped, &why)) {
        struct hosts *h = conn_hosts(out.p);

        require(!h || hosts_count(h) > 0);
        hosts_free(&h);
        conn_check("DATABASE_URL", out.p, &err);
        if (strlen(z) % 16 == 3) /* a verifier takes milliseconds: not each time */
            conn_role(out.p, &user, &verifier);
    } else {
        require(why && *why);
    }
    buf_free(&out);
    buf_free(&dropped);
    buf_free(&err);
    buf_free(&user);
    buf_free(&verifier);
}

static void
judge_lists(const char *z)
{
    struct origins o = { NULL, 0 };
    struct cidrs c = { NULL, 0 };
    char addr[64];

    if (origins_parse(&o, z))
        for (size_t i = 0; i < o.n; i++)
            require(origin_valid(str_of(o.v[i])) && origins_have(&o, o.v[i]));
    origins_free(&o);
    if (cidrs_parse(&c, z))
        for (size_t i = 0; i < c.n; i++)
            require(c.v[i].bits <= 128);
    client_addr("192.0.2.1", z, &c, addr);
    require(strlen(addr) < sizeof addr);
    cidrs_free(&c);
    require(cidrs_parse(&c, "127.0.0.0/8"));
    client_addr("192.0.2.1", z, &c, addr);
    require(strcmp(addr, "192.0.2.1") == 0); /* no proxy of ours: what it says counts for nothing */
    client_addr("127.0.0.1", z, &c, addr);
    require(strlen(addr) < sizeof addr);
    cidrs_free(&c);
    (void)host_loopback(z);
    (void)host_of_url(z, "https://docs.example.org");
    (void)origin_same(z, "docs.example.org", "https://docs.example.org");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str in = { (const char *)data, n < 2000 ? n : 2000 };
    uint8_t which = take_byte(&in);
    char *z = mem_new(in.n + 1);

    if (in.n > 0)
        memcpy(z, in.p, in.n);
    switch (which % 4) {
    case 0: judge_redis(z); break;
    case 1: judge_base(z); break;
    case 2: judge_postgres(z); break;
    default: judge_lists(z); break;
    }
    mem_free(&z);
    return 0;
}
