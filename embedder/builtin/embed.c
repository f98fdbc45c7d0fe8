/* The built-in embedding: a deterministic hashed n-gram model, computed on threads. It needs no download, no key and no
 * network, and finds what shares words or parts of words with the question; it knows no synonyms.
 *
 *   text → folded words → stem, weight (1 + ln tf), commonest words × 0.1    ─┐ signed hashing into dims cells
 *                       → character 3-, 4- and 5-grams of _word_, together 0.4 ─┘ → length 1
 *
 * Feature hashing: Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009. Subword n-grams:
 * Bojanowski et al., "Enriching Word Vectors with Subword Information", 2017. */
#include <math.h>

#include "common/hash.h"
#include "common/process/threads.h"
#include "embedder/builtin/builtin.h"

#define STOP_WEIGHT 0.1f
#define GRAM_WEIGHT 0.4f

/* Hashes of another kind of feature for each seed: FNV-1a, and splitmix64's finaliser over it. */
static uint64_t
hash_begin(uint64_t seed)
{
    return HASH_START ^ (seed * 0x9e3779b97f4a7c15ull);
}

static uint64_t
hash_end(uint64_t h)
{
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ull;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebull;
    return h ^ (h >> 31);
}

static void
add_feature(float *out, size_t dims, uint64_t h, float weight)
{
    size_t cell = (size_t)(((h & 0xffffffffu) * (uint64_t)dims) >> 32);

    out[cell] += (h >> 63) != 0 ? -weight : weight;
}

/* A word with its frequency in this text. */
struct counted {
    uint64_t hash;  /* of the stem */
    struct str raw; /* the first form seen, folded: its n-grams stand for all */
    unsigned tf;    /* how often */
    bool stop;
};

/* The words of a text: word[at[i] - 1] in the order of their hashes' places. */
struct counts {
    struct counted *word;
    uint16_t *at; /* 0: free */
    size_t n, mask;
};

static size_t
next_char(const char *p, size_t n, size_t at)
{
    for (at++; at < n && ((unsigned char)p[at] & 0xc0) == 0x80; at++)
        ;
    return at;
}

enum { GRAM_BYTES = 80, GRAM_LEAST = 3, GRAM_MOST = 5 };

/* All 3- to 5-grams (in characters) of _word_; their squared weights sum to weight². A longer one goes on where a
 * shorter one with the same beginning ended; the short ones are added first. */
static void
add_grams(float *out, size_t dims, struct str raw, float weight)
{
    char z[GRAM_BYTES];
    size_t n = raw.n < sizeof z - 2 ? raw.n : sizeof z - 2, at[GRAM_BYTES + 1], chars = 0, grams = 0;
    uint64_t h[GRAM_BYTES];

    z[0] = '_';
    memcpy(z + 1, raw.p, n);
    z[n + 1] = '_';
    n += 2;
    for (size_t i = 0; i < n; i = next_char(z, n, i))
        at[chars++] = i;
    at[chars] = n;
    for (size_t k = GRAM_LEAST; k <= GRAM_MOST && k <= chars; k++)
        grams += chars - k + 1;
    if (grams == 0)
        return;
    weight /= sqrtf((float)grams);
    for (size_t i = 0; i + GRAM_LEAST <= chars; i++)
        h[i] = hash_more(hash_begin(2), (struct str){ z + at[i], at[i + GRAM_LEAST - 1] - at[i] });
    for (size_t k = GRAM_LEAST; k <= GRAM_MOST && k <= chars; k++)
        for (size_t i = 0; i + k <= chars; i++) {
            h[i] = hash_more(h[i], (struct str){ z + at[i + k - 1], at[i + k] - at[i + k - 1] });
            add_feature(out, dims, hash_end(h[i]), weight);
        }
}

static void
count_word(struct counts *c, const struct token *w)
{
    size_t i = (size_t)w->h & c->mask;

    while (c->at[i] && c->word[c->at[i] - 1].hash != w->h)
        i = (i + 1) & c->mask;
    if (!c->at[i]) {
        c->word[c->n] = (struct counted){ .hash = w->h, .raw = w->folded, .stop = w->cls == WORD_STOP };
        c->at[i] = (uint16_t)++c->n;
    }
    c->word[c->at[i] - 1].tf++;
}

static void
add_word(float *out, size_t dims, const struct counted *w)
{
    float weight = (1.0f + logf((float)w->tf)) * (w->stop ? STOP_WEIGHT : 1.0f);

    add_feature(out, dims, w->hash, weight);
    if (!w->stop)
        add_grams(out, dims, w->raw, weight * GRAM_WEIGHT);
}

void
builtin_embed(struct tokens *t, struct str text, float *out, size_t dims)
{
    size_t cap = 64, used = 0;
    struct counts c = { .n = 0 };
    struct token word;

    memset(out, 0, dims * sizeof *out);
    while (cap < text.n && cap < 65536)
        cap *= 2;
    c.mask = cap - 1;
    c.at = mem_new(cap * sizeof *c.at); /* a word and its gap take two bytes: at most half full */
    tokens_set(t, tokens_language(text, LANG_ENGLISH), text);
    c.word = mem_new(tokens_count(t) * sizeof *c.word);
    while (used < cap * 3 / 4 && tokens_next(t, &word)) {
        count_word(&c, &word);
        used++;
    }
    for (size_t i = 0; i < cap; i++)
        if (c.at[i])
            add_word(out, dims, &c.word[c.at[i] - 1]);
    mem_free(&c.at);
    mem_free(&c.word);
    if (!vector_unit(
            out,
            dims)) { /* no words, or (never seen) all of them cancelled out: the bytes are the one feature */
        memset(out, 0, dims * sizeof *out);
        add_feature(out, dims, hash_end(hash_more(hash_begin(3), text)), 1.0f);
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
    if (t->vectors && threads_run(t->e->threads, work, finished, t) == 0)
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
embed_builtin_new(struct embedder *e, bool besides)
{
    struct embed_provider *p = mem_new(sizeof *p);

    (void)besides;

    *p = (struct embed_provider){ .model = BUILTIN_EMBED_MODEL,
                                  .dims = BUILTIN_EMBED_DIMS,
                                  .capacity = 4L * (long)e->n_threads,
                                  .max_texts = 64,
                                  .max_bytes = 262144,
                                  .run = run,
                                  .cancel = cancel,
                                  .close = close_builtin };
    return p;
}
