/* footnote-embedder: all model calls of the suite.
 *
 * Offers on the bus: EMBED (texts → unit vectors) and CHAT (question and passages → streamed answer), or one of them
 * (EMBEDDER_ROLE). Models: an OpenAI-compatible server, or the built-in ones, which need nothing.
 *
 *   hub ─▶ worker ─▶ embed.c ─▶ embed_cache.c (Redis) ─▶ openai/embed.c ─▶ upstream.c ─▶ model server
 *                 │                                   └▶ builtin/embed.c ─▶ threads
 *                 └▶ chat.c ─▶ prompt.c, openai/chat.c ─▶ upstream.c ─▶ sse.c
 *                            └▶ builtin/chat.c ─▶ threads
 *
 * One thread, one loop; only the built-in models compute on threads. Holds the API key; no state that matters. SIGTERM: no new
 * calls, those in flight finish (answers up to 120 s), exit 0. SIGHUP: PROMPT_FILE is read again. */
#include <stdio.h>
#include <unistd.h>

#include "common/text/check.h"
#include "common/log.h"
#include "common/redis/redis.h"
#include "embedder/chat.h"
#include "embedder/embed.h"
#include "embedder/leak.h"
#include "embedder/openai/upstream.h"
#include "proto/price.h"

#define OPT_STRUCT struct embedder_opt
#define DEFAULT_BASE "https://api.openai.com/v1"
#define PROMPT_MAX 65536
#define CHAT_DRAIN_MS 120000

static const struct opt_def opts[] = {
#define OPT OPT_ROW
#include "embedder/opt.tbl"
#undef OPT
};

static bool
one_of(const char *value, const char *const *names)
{
    for (; *names != NULL; names++)
        if (strcmp(value, *names) == 0)
            return true;
    return false;
}

static void
check_key(const char *key, const char *name, struct buf *err)
{
    for (; *key != 0; key++)
        if (*key <= ' ' || *key > '~') {
            buf_printf(err, "%s: holds characters that no key has\n", name);
            return;
        }
}

static void
check_header(const char *name, struct buf *err)
{
    for (const char *c = name; *c != 0; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '-' || *c == '_')) {
            buf_z(err, "OPENAI_API_KEY_HEADER: the name of a header, such as api-key\n");
            return;
        }
}

/* The text of a PROMPT_FILE; NULL: it is not readable UTF-8 text of 1 byte to 64 KB. */
static char *
read_prompt(const char *path)
{
    struct buf b = BUF_MAX(PROMPT_MAX);
    char block[2048], *text = NULL;
    FILE *f = fopen(path, "re");
    size_t n;

    while (f != NULL && (n = fread(block, 1, sizeof block, f)) > 0)
        buf_add(&b, block, n);
    if (f != NULL && !ferror(f) && !b.failed && b.n > 0 && utf8_valid(buf_slice(&b)))
        text = mem_dup_str(buf_slice(&b));
    if (f != NULL)
        fclose(f);
    buf_free(&b);
    return text;
}

/* PROMPT_FILE's text, or the compiled-in default; NULL after logging why the file is no good. */
static char *
load_prompt(const char *path)
{
    char *text = path[0] == 0 ? mem_dup(prompt_default()) : read_prompt(path);

    if (text == NULL)
        LOG(ERROR, NULL, M("PROMPT_FILE is not readable UTF-8 text of at most 64 KB"), KS("path", path));
    return text;
}

static void
check_prompt(const char *path, struct buf *err)
{
    size_t before = err->n;
    char *text;

    check_file("PROMPT_FILE", path, err);
    if (path[0] == 0 || err->n > before)
        return;
    text = read_prompt(path);
    if (text == NULL)
        buf_printf(err, "PROMPT_FILE: %s is no text; allowed: UTF-8, 1 byte to 64 KB\n", path);
    mem_free(&text);
}

static void
check(const void *opt, struct buf *err)
{
    static const char *const roles[] = { "both", "embed", "chat", NULL };
    static const char *const providers[] = { "auto", "builtin", "openai", NULL };
    static const char *const fallbacks[] = { "off", "builtin", NULL };
    const struct embedder_opt *o = opt;

    if (!one_of(o->role, roles))
        buf_printf(err, "EMBEDDER_ROLE: \"%.100s\" is not known; allowed: both, embed or chat\n", o->role);
    if (!one_of(o->embedding_provider, providers))
        buf_printf(err, "EMBEDDING_PROVIDER: \"%.100s\" is not known; allowed: auto, builtin or openai\n", o->embedding_provider);
    if (!one_of(o->chat_provider, providers))
        buf_printf(err, "CHAT_PROVIDER: \"%.100s\" is not known; allowed: auto, builtin or openai\n", o->chat_provider);
    if (!one_of(o->chat_fallback, fallbacks))
        buf_printf(err, "CHAT_FALLBACK: \"%.100s\" is not known; allowed: off or builtin\n", o->chat_fallback);
    if (((strcmp(o->embedding_provider, "openai") == 0 && o->embedding_base_url[0] == 0) ||
         strcmp(o->chat_provider, "openai") == 0) && o->api_key[0] == 0 && o->base_url[0] == 0)
        buf_z(err, "OPENAI_API_KEY or OPENAI_BASE_URL: one is needed for provider openai\n");
    check_web_url("OPENAI_BASE_URL", o->base_url, err);
    check_web_url("OPENAI_EMBEDDING_BASE_URL", o->embedding_base_url, err);
    check_header(o->key_header, err);
    check_key(o->api_key, "OPENAI_API_KEY", err);
    check_key(o->embedding_api_key, "OPENAI_EMBEDDING_API_KEY", err);
    price_check(o->model_prices, err);
    check_prompt(o->prompt_file, err);
    worker_check(o->hub_endpoints, o->bus_curve, o->bus_secret_key, o->hub_public_key, err);
    redis_check("REDIS_URL", o->redis_url, REDIS_TLS_FILES(o), err);
    if (strchr(o->embedding_model, ' ') != NULL || strchr(o->model, ' ') != NULL)
        buf_z(err, "OPENAI_MODEL, OPENAI_EMBEDDING_MODEL: a name without spaces\n");
}

static bool
chat_upstream(const struct embedder_opt *o)
{
    if (strcmp(o->chat_provider, "auto") == 0)
        return o->api_key[0] != 0 || o->base_url[0] != 0;
    return strcmp(o->chat_provider, "openai") == 0;
}

static bool
embed_upstream(const struct embedder_opt *o)
{
    if (strcmp(o->embedding_provider, "auto") == 0)
        return o->api_key[0] != 0 || o->base_url[0] != 0 || o->embedding_base_url[0] != 0;
    return strcmp(o->embedding_provider, "openai") == 0;
}

/* One server for both, or two that share nothing, keys neither. */
static int
start_upstreams(struct embedder *e, bool embed, bool chat)
{
    const struct embedder_opt *o = e->opt;
    const char *base = o->base_url[0] != 0 ? o->base_url : DEFAULT_BASE;
    bool own = embed && o->embedding_base_url[0] != 0;

    if ((chat || (embed && !own)) && (e->upstream = upstream_new(e->loop, base, o->api_key, o->key_header)) == NULL)
        return -1;
    e->embed_upstream = own ? upstream_new(e->loop, o->embedding_base_url, o->embedding_api_key, "") : e->upstream;
    return own && e->embed_upstream == NULL ? -1 : 0;
}

static int
start_models(struct embedder *e, bool embed, bool chat)
{
    const struct embedder_opt *o = e->opt;
    bool embed_up = embed && embed_upstream(o), chat_up = chat && chat_upstream(o);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    e->n_threads = (unsigned)(o->threads > 0 ? o->threads : cores > 0 ? cores : 1);
    e->threads = threads_new(e->loop, e->n_threads, 4096);
    if (start_upstreams(e, embed_up, chat_up) != 0)
        return -1;
    if (embed && o->redis_url[0] != 0 && o->cache_ttl > 0) {
        struct buf why = BUF_MAX(1024);

        e->redis = redis_new(o->redis_url, REDIS_TLS_FILES(o), &why);
        if (e->redis != NULL)
            redis_patience(e->redis, 1); /* the loop waits for it: a second question would wait behind the first */
        else
            LOG(ERROR, NULL, M("REDIS_URL cannot be used"), KN("why", buf_slice(&why)));
        buf_free(&why);
        if (e->redis == NULL)
            return -1;
    }
    if (embed)
        e->embed = embed_new(e, embed_up);
    if (chat)
        e->chat = chat_new(e, chat_up);
    LOG(INFO, NULL, M("models"), KS("embed", !embed ? "not offered" : embed_up ? o->embedding_model : BUILTIN_EMBED_MODEL),
        KS("chat", !chat ? "not offered" : chat_up ? o->model : BUILTIN_CHAT_MODEL));
    return 0;
}

static long
capacity(long asked, bool upstream, long of_upstream, unsigned threads)
{
    return asked > 0 ? asked : upstream ? of_upstream : 4L * (long)threads;
}

static int
start_worker(struct proc *p, struct embedder *e)
{
    const struct embedder_opt *o = e->opt;
    struct worker_service services[2];
    struct worker_config cfg = { .endpoints = o->hub_endpoints, .opts = &p->opts, .services = services, .ctx = e,
                                 .drain_ms = o->drain_timeout * 1000L };
    bool by_default = true;

    if (e->embed != NULL) {
        long n = capacity(o->embed_capacity, embed_upstream(o), 256, e->n_threads);

        services[cfg.n_services++] = (struct worker_service){ SERVICE_EMBED, n };
        cfg.handlers[KIND_EMBED] = embed_on_call;
    }
    if (e->chat != NULL) {
        long n = capacity(o->chat_capacity, chat_upstream(o), 1024, e->n_threads);

        services[cfg.n_services++] = (struct worker_service){ SERVICE_CHAT, n };
        cfg.handlers[KIND_CHAT] = chat_on_call;
        for (size_t i = 0; i < p->opts.n; i++)
            if (strcmp(p->opts.defs[i].name, "DRAIN_TIMEOUT") == 0)
                by_default = p->opts.from[i] == OPT_FROM_DEFAULT;
        if (by_default) /* a stream cannot move to another worker */
            cfg.drain_ms = CHAT_DRAIN_MS;
    }
    e->worker = worker_new(e->loop, &cfg);
    return e->worker == NULL ? -1 : 0;
}

static int
start(struct proc *p)
{
    struct embedder *e = mem_new(sizeof *e);

    p->ctx = e;
    e->loop = p->loop;
    e->opt = p->opt;
    embedder_stats_init();
    price_init(e->opt->model_prices);
    leak_init();
    e->prompt = load_prompt(e->opt->prompt_file);
    if (e->prompt == NULL)
        return -1;
    if (start_models(e, strcmp(e->opt->role, "chat") != 0, strcmp(e->opt->role, "embed") != 0) != 0)
        return -1;
    return start_worker(p, e);
}

static bool
ready(struct proc *p, struct buf *reasons)
{
    struct embedder *e = p->ctx;

    if (e->worker != NULL && worker_registered(e->worker))
        return true;
    buf_z(reasons, reasons->n > 0 ? ", hub" : "hub");
    return false;
}

static void
drained(void *arg)
{
    proc_exit(arg, 0);
}

static void
drain(struct proc *p)
{
    struct embedder *e = p->ctx;

    worker_drain(e->worker, drained, p);
}

static void
reload(struct proc *p)
{
    struct embedder *e = p->ctx;
    char *text = load_prompt(e->opt->prompt_file);

    if (text == NULL)
        return; /* the old one stays */
    mem_free(&e->prompt);
    e->prompt = text;
    LOG(INFO, NULL, M("prompt read again"));
}

static void
sample(struct proc *p)
{
    struct embedder *e = p->ctx;

    if (e->upstream != NULL)
        upstream_sample(e->upstream, ROUTE_CHAT);
    if (e->embed_upstream != NULL)
        upstream_sample(e->embed_upstream, ROUTE_EMBED);
    if (e->embed != NULL)
        embed_sample(e->embed);
}

static void
stop(struct proc *p)
{
    struct embedder *e = p->ctx;

    if (e == NULL)
        return;
    threads_free(&e->threads); /* first: its work reads what the others own */
    worker_free(&e->worker);
    if (e->embed_upstream != e->upstream)
        upstream_free(&e->embed_upstream);
    upstream_free(&e->upstream);
    embed_free(&e->embed);
    chat_free(&e->chat);
    redis_free(&e->redis);
    mem_free(&e->prompt);
    mem_free(&e);
    price_fini();
    p->ctx = NULL;
}

static const struct service service = {
    .name = "embedder",
    .summary = "embeds texts and writes answers, upstream or built in",
    .manual = "Takes texts and questions from the hub (HUB_ENDPOINTS), and gives back vectors and streamed answers: from an "
              "OpenAI-compatible server when OPENAI_API_KEY or OPENAI_BASE_URL is set, else from the built-in models; embeddings may "
              "have a server of their own (OPENAI_EMBEDDING_BASE_URL). "
              "Vectors are kept in Redis for a day. Needs nothing to start; ready when a hub knows it. SIGTERM: finishes what it "
              "has, then exits; SIGHUP: reads PROMPT_FILE again.",
    .opts = opts,
    .n_opts = sizeof opts / sizeof opts[0],
    .opt_size = sizeof(struct embedder_opt),
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
    return proc_main(argc, argv, &service);
}
