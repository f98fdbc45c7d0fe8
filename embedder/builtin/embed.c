/* The built-in embedding: a deterministic hashed n-gram model, computed on threads. It needs no download, no key and no
 * network, and finds what shares words or parts of words with the question; it knows no synonyms.
 *
 *   text → folded words → stem, weight (1 + ln tf), commonest words × 0.1    ─┐ signed hashing into dims cells
 *                       → character 3-, 4- and 5-grams of _word_, together 0.4 ─┘ → length 1
 *
 * Feature hashing: Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009. Subword n-grams:
 * Bojanowski et al., "Enriching Word Vectors with Subword Information", 2017. */
#include <math.h>

#include "embedder/embed.h"

#define STOP_WEIGHT 0.1f
#define GRAM_WEIGHT 0.4f

static uint64_t
hash_bytes(const char *p, size_t n, uint64_t seed)
{
    uint64_t h = 0xcbf29ce484222325ull ^ (seed * 0x9e3779b97f4a7c15ull);

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 0x100000001b3ull;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ull; /* splitmix64's finaliser */
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebull;
    return h ^ (h >> 31);
}

static void
add_feature(float *out, size_t dims, uint64_t h, float weight)
{
    size_t cell = (size_t)(((h & 0xffffffffu) * (uint64_t)dims) >> 32);

    out[cell] += (h >> 63) != 0 ? -weight : weight;
}

/* A word with its frequency in this text; raw NULL: an empty slot. */
struct slot {
    uint64_t hash;   /* of the stem */
    struct str raw;  /* the first form seen, folded: its n-grams stand for all */
    unsigned tf;     /* how often */
    bool stop;
};

static size_t
next_char(const char *p, size_t n, size_t at)
{
    for (at++; at < n && ((unsigned char)p[at] & 0xc0) == 0x80; at++)
        ;
    return at;
}

/* All 3- to 5-grams (in characters) of _word_; their squared weights sum to weight². */
static void
add_grams(float *out, size_t dims, struct str raw, float weight)
{
    char z[80];
    size_t n = raw.n < sizeof z - 2 ? raw.n : sizeof z - 2, at[sizeof z + 1], chars = 0, grams = 0;

    z[0] = '_';
    memcpy(z + 1, raw.p, n);
    z[n + 1] = '_';
    n += 2;
    for (size_t i = 0; i < n; i = next_char(z, n, i))
        at[chars++] = i;
    at[chars] = n;
    for (size_t k = 3; k <= 5 && k <= chars; k++)
        grams += chars - k + 1;
    if (grams == 0)
        return;
    weight /= sqrtf((float)grams);
    for (size_t k = 3; k <= 5 && k <= chars; k++)
        for (size_t i = 0; i + k <= chars; i++)
            add_feature(out, dims, hash_bytes(z + at[i], at[i + k] - at[i], 2), weight);
}

static void
count_word(struct slot *slots, size_t mask, const struct token *w)
{
    uint64_t h = w->h;
    size_t i = (size_t)h & mask;

    while (slots[i].raw.p != NULL && slots[i].hash != h)
        i = (i + 1) & mask;
    if (slots[i].raw.p == NULL)
        slots[i] = (struct slot){ .hash = h, .raw = w->folded, .stop = w->cls == WORD_STOP };
    slots[i].tf++;
}

bool
vector_unit(float *v, size_t n)
{
    double sum = 0;
    float scale;

    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    if (!isfinite(sum) || sum < 1e-24)
        return false;
    scale = (float)(1.0 / sqrt(sum));
    for (size_t i = 0; i < n; i++)
        v[i] *= scale;
    return true;
}

void
builtin_embed(struct tokens *t, struct str text, float *out, size_t dims)
{
    size_t cap = 64, used = 0;
    struct slot *slots;
    struct token word;

    memset(out, 0, dims * sizeof *out);
    while (cap < text.n && cap < 65536)
        cap *= 2;
    slots = mem_new(cap * sizeof *slots); /* a word and its gap take two bytes: at most half full */
    tokens_set(t, tokens_language(text, LANG_ENGLISH), text);
    while (used < cap * 3 / 4 && tokens_next(t, &word)) {
        count_word(slots, cap - 1, &word);
        used++;
    }
    for (size_t i = 0; i < cap; i++) {
        float weight;

        if (slots[i].raw.p == NULL)
            continue;
        weight = (1.0f + logf((float)slots[i].tf)) * (slots[i].stop ? STOP_WEIGHT : 1.0f);
        add_feature(out, dims, slots[i].hash, weight);
        if (!slots[i].stop)
            add_grams(out, dims, slots[i].raw, weight * GRAM_WEIGHT);
    }
    mem_free(&slots);
    if (!vector_unit(out, dims)) { /* no words, or (never seen) all of them cancelled out: the bytes are the one feature */
        memset(out, 0, dims * sizeof *out);
        add_feature(out, dims, hash_bytes(text.p, text.n, 3), 1.0f);
    }
}

/* On a thread: everything in t is its own until done. */
static void
work(void *arg)
{
    struct embed_task *t = arg;
    struct tokens *w = tokens_new();

    for (size_t i = 0; i < t->n; i++)
        builtin_embed(w, t->texts[i], t->vectors + i * t->out_dims, t->out_dims);
    tokens_free(&w);
}

static void
finished(void *arg)
{
    struct embed_task *t = arg;

    t->done(t);
}

static void
run(struct embed_task *t)
{
    t->out_dims = t->dims > 0 ? (size_t)t->dims : BUILTIN_EMBED_DIMS;
    t->vectors = mem_try(t->n * t->out_dims * sizeof *t->vectors);
    if (t->vectors != NULL && threads_run(t->e->threads, work, finished, t) == 0)
        return;
    t->err = ERR_BUSY;
    t->text = "the built-in model has too much to do";
    t->retry_after_ms = 500;
    loop_after(t->e->loop, 0, finished, t);
}

/* A thread cannot be stopped; it is done within milliseconds. */
static void
cancel(struct embed_task *t)
{
    (void)t;
}

static void
close_builtin(struct embed_provider *p)
{
    mem_free(&p);
}

struct embed_provider *
embed_builtin_new(struct embedder *e)
{
    struct embed_provider *p = mem_new(sizeof *p);

    (void)e;
    *p = (struct embed_provider){ .model = BUILTIN_EMBED_MODEL, .dims = BUILTIN_EMBED_DIMS, .max_texts = 64,
                                  .max_bytes = 262144, .run = run, .cancel = cancel, .close = close_builtin };
    return p;
}
