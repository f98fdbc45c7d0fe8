/* footnote-embedder: all model calls of the suite.
 *
 * Offers on the bus: EMBED (texts → unit vectors) and CHAT (question and passages → streamed answer), or one
 * of them (EMBEDDER_ROLE); with RERANK_URL also RERANK (question and passages → scores). Models: an
 * OpenAI-compatible server, or those inside of this process: a sentence model in a mapped file, n-grams, quotes.
 *
 *   hub ─▶ worker ─▶ embed.c ─▶ embed_cache.c (Redis) ─▶ embed_provider ─▶ openai/embed.c ─▶ upstream.c ─▶ model server
 *                 │                                                     └▶ minilm/embed.c or builtin/embed.c ─▶ threads
 *                 └▶ chat.c ─▶ chat_provider ─▶ openai/chat.c ─▶ prompt.c, upstream.c ─▶ text/sse.c
 *                                           └▶ builtin/chat.c ─▶ threads
 *
 * A provider is a row of provider.tbl and a folder; provider.c chooses.
 *
 * One thread, one loop; only models inside of the process compute on threads. Holds the API key; no state
 * that matters. SIGTERM: no new calls, those in flight finish (answers up to 120 s), exit 0. SIGHUP:
 * PROMPT_FILE is read again. */
#include <stdio.h>
#include <unistd.h>

#include "common/process/descriptors.h"
#include "common/process/threads.h"
#include "common/text/check.h"
#include "common/log.h"
#include "common/redis/redis.h"
#include "embedder/chat.h"
#include "embedder/frames.h"
#include "embedder/leak.h"
#include "embedder/provider.h"
#include "embedder/openai/rerank.h"
#include "proto/price.h"

#define OPT_STRUCT struct embedder_opt
#define PROMPT_MAX 65536
#define CHAT_DRAIN_MS 120000
#define RERANK_CAPACITY 256 /* calls at once */
#define OWN_DESCRIPTORS 64  /* of the bus, Redis, logs, embeddings: beside those of answers */

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

/* The text of a PROMPT_FILE; NULL: it is not readable UTF-8 text of 1 byte to 64 KB. */
static char *
read_prompt(const char *path)
{
    struct buf b = BUF_MAX(PROMPT_MAX);
    char block[2048], *text = NULL;
    FILE *f = fopen(path, "re");
    size_t n;

    while (f && (n = fread(block, 1, sizeof block, f)) > 0)
        buf_add(&b, block, n);
    if (f && !ferror(f) && !b.failed && b.n > 0 && utf8_valid(buf_slice(&b)))
        text = mem_dup_str(buf_slice(&b));
    if (f)
        fclose(f);
    buf_free(&b);
    return text;
}

/* PROMPT_FILE's text, or the compiled-in default; NULL after logging why the file is no good. */
static char *
load_prompt(const char *path)
{
    char *text = path[0] == 0 ? mem_dup(prompt_default()) : read_prompt(path);

    if (!text)
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
    if (!text)
        buf_printf(err, "PROMPT_FILE: %s is no text; allowed: UTF-8, 1 byte to 64 KB\n", path);
    mem_free(&text);
}

static void
check(const void *opt, struct buf *err)
{
    static const char *const roles[] = { "both", "embed", "chat", NULL };
    const struct embedder_opt *o = opt;

    if (!one_of(o->role, roles))
        buf_printf(err, "EMBEDDER_ROLE: \"%.100s\" is not known; allowed: both, embed or chat\n", o->role);
    provider_check(o, err);
    price_check(o->model_prices, err);
    check_prompt(o->prompt_file, err);
    worker_check(o->hub_endpoints, o->bus_curve, o->bus_secret_key, o->hub_public_key, err);
    redis_check("REDIS_URL", o->redis_url, REDIS_TLS_FILES(o), err);
}

static int
start_redis(struct embedder *e, struct redis **out)
{
    const struct embedder_opt *o = e->opt;
    struct buf why = BUF_MAX(1024);

    *out = redis_new(o->redis_url, REDIS_TLS_FILES(o), &why);
    if (*out)
        redis_patience(*out, 1); /* the loop waits for it: a second question would wait behind the first */
    else
        LOG(ERROR, NULL, M("REDIS_URL cannot be used"), KN("why", buf_slice(&why)));
    buf_free(&why);
    return !*out ? -1 : 0;
}

/* The services on offer, and who gives them. */
struct served {
    const char *model;
    long capacity; /* as the options say, else as the provider does */
};

/* Texts of resumable streams. The same server as the cache's, and its breaker: both wait in the loop. */
static int
start_frames(struct embedder *e)
{
    e->kept = e->redis;
    if (!e->kept && e->opt->redis_url[0] != 0) {
        if (start_redis(e, &e->kept) != 0)
            return -1;
    }
    e->frames = frames_new(e->loop, e->kept, worker_instance(e->worker), chat_unlogged);
    return 0;
}

static int
start_embed(struct embedder *e, struct served *out)
{
    const struct embedder_opt *o = e->opt;
    struct embed_provider *p;

    if (o->redis_url[0] != 0 && o->cache_ttl > 0 && start_redis(e, &e->redis) != 0)
        return -1;
    p = provider_for_embed(o)->embed(e, false);
    if (!p)
        return -1;
    e->embed = embed_new(e, p);
    e->sentences = p; /* before any thread has work; it stays */
    *out = (struct served){ p->model, o->embed_capacity > 0 ? o->embed_capacity : p->capacity };
    return 0;
}

static int
start_chat(struct embedder *e, struct served *out)
{
    const struct embedder_opt *o = e->opt;
    const struct provider *mine = provider_for_chat(o), *other = provider_for_fallback(o);
    struct chat_provider *p = mine->chat(e);

    if (!p)
        return -1;
    e->chat = chat_new(e, p);
    *out = (struct served){ p->model, o->chat_capacity > 0 ? o->chat_capacity : p->capacity };
    if (!p->local) /* each has a connection */
        descriptors_enough("CHAT_CAPACITY", out->capacity, out->capacity + OWN_DESCRIPTORS);
    if (!other || other == mine)
        return 0;
    p = other->chat(e);
    if (!p)
        return -1;
    chat_fall_back(e->chat, p);
    return 0;
}

static bool
drain_by_default(const struct proc *p)
{
    for (size_t i = 0; i < p->opts.n; i++)
        if (strcmp(p->opts.defs[i].name, "DRAIN_TIMEOUT") == 0)
            return p->opts.from[i] == OPT_FROM_DEFAULT;
    return true;
}

static int
start_worker(struct proc *p, struct embedder *e, const struct served *embed, const struct served *chat)
{
    const struct embedder_opt *o = e->opt;
    struct worker_service services[3];
    struct worker_config cfg = { .endpoints = o->hub_endpoints,
                                 .opts = &p->opts,
                                 .services = services,
                                 .ctx = e,
                                 .drain_ms = o->drain_timeout * 1000L };

    if (e->embed) {
        services[cfg.n_services++] = (struct worker_service){ SERVICE_EMBED, embed->capacity };
        cfg.handlers[KIND_EMBED] = embed_on_call;
        cfg.handlers[KIND_EMBED_FREE] = embed_on_call;
        cfg.handlers[KIND_EMBED_QUOTE] = embed_quote_on_call;
    }
    if (e->chat) {
        services[cfg.n_services++] = (struct worker_service){ SERVICE_CHAT, chat->capacity };
        cfg.handlers[KIND_CHAT] = chat_on_call;
        cfg.handlers[KIND_CHAT_QUOTE] = chat_quote_on_call;
        if (drain_by_default(p)) /* a stream cannot move to another worker */
            cfg.drain_ms = CHAT_DRAIN_MS;
    }
    if (e->rerank) {
        services[cfg.n_services++] = (struct worker_service){ SERVICE_RERANK, RERANK_CAPACITY };
        cfg.handlers[KIND_RERANK] = rerank_on_call;
        cfg.handlers[KIND_RERANK_QUOTE] = rerank_quote_on_call;
    }
    e->worker = worker_new(e->loop, &cfg);
    if (!e->worker)
        return -1;
    return e->chat ? start_frames(e) : 0;
}

static int
start(struct proc *p)
{
    struct embedder *e = mem_new(sizeof *e);
    struct served embed = { .model = "not offered" }, chat = { .model = "not offered" };
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    p->ctx = e;
    e->loop = p->loop;
    e->opt = p->opt;
    embedder_stats_init();
    price_init(e->opt->model_prices);
    leak_init();
    e->prompt = load_prompt(e->opt->prompt_file);
    if (!e->prompt)
        return -1;
    e->n_threads = (unsigned)(e->opt->threads > 0 ? e->opt->threads : cores > 0 ? cores : 1);
    e->threads = threads_new(e->loop, e->n_threads, 4096);
    if (strcmp(e->opt->role, "chat") != 0 && start_embed(e, &embed) != 0)
        return -1;
    if (strcmp(e->opt->role, "embed") != 0 && start_chat(e, &chat) != 0)
        return -1;
    if (e->embed && e->opt->rerank_url[0] != 0 && !(e->rerank = rerank_new(e)))
        return -1;
    LOG(INFO, NULL, M("models"), KS("embed", embed.model), KS("chat", chat.model));
    return start_worker(p, e, &embed, &chat);
}

static bool
ready(struct proc *p, struct buf *reasons)
{
    struct embedder *e = p->ctx;

    if (e->worker && worker_registered(e->worker))
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

    if (!text)
        return; /* the old one stays */
    mem_free(&e->prompt);
    e->prompt = text;
    LOG(INFO, NULL, M("prompt read again"));
}

static void
sample(struct proc *p)
{
    struct embedder *e = p->ctx;

    if (e->embed)
        embed_sample(e->embed);
    if (e->chat)
        chat_sample(e->chat);
    if (e->rerank)
        rerank_sample(e->rerank);
}

static void
stop(struct proc *p)
{
    struct embedder *e = p->ctx;

    if (!e)
        return;
    threads_free(&e->threads); /* first: its work reads what the others own, then models' own threads */
    embed_stop(e->embed);
    for (size_t i = 0; i < e->n_locals; i++)
        embed_stop(e->local[i]);
    worker_free(&e->worker);
    rerank_free(&e->rerank);
    embed_free(&e->embed);
    for (size_t i = 0; i < e->n_locals; i++)
        embed_free(&e->local[i]);
    chat_free(&e->chat);
    frames_free(&e->frames);
    if (e->kept != e->redis)
        redis_free(&e->kept);
    redis_free(&e->redis);
    mem_free(&e->prompt);
    mem_free(&e);
    price_fini();
    p->ctx = NULL;
}

static const struct service service = {
    .name = "embedder",
    .summary = "embeds texts and writes answers, upstream or built in",
    .manual =
        "Takes texts and questions from the hub (HUB_ENDPOINTS), and gives back vectors and streamed answers: from an "
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
