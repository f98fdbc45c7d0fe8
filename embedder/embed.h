/* Embedding: the interface of a model that makes vectors, the cache, and the service that joins them. */
#ifndef EMBEDDER_EMBED_H
#define EMBEDDER_EMBED_H

#include "embedder/embedder.h"

#define EMBED_MAX_DIMS 4096

/* One batch of distinct texts for a provider. The service makes and frees it. */
struct embed_provider;
struct embed_task {
    struct embedder *e;       /* context */
    struct embed_provider *p; /* its provider */
    struct str *texts;        /* owned copies */
    size_t n;                 /* how many */
    char model[129];          /* the one asked for, or the provider's own */
    int64_t dims;             /* asked for; 0: the model's own */
    bool documents;           /* passages rather than a question */
    bool fresh;               /* a probe: what the model gives now is believed */
    int64_t deadline_ms;      /* of the request that leads */
    char trace[129];          /* of the request that leads */
    /* the result */
    enum err err;           /* ERR_OK: vectors stands */
    const char *text;       /* with an error, static */
    int64_t retry_after_ms; /* with an error */
    float *vectors;         /* n × out_dims, unit length; freed by the service */
    size_t out_dims;
    int64_t tokens;      /* paid for */
    int64_t upstream_us; /* time that the model server took */
    void (*done)(struct embed_task
                     *t); /* exactly once, in the loop's thread; may come from inside cancel, not run */
    void *impl;           /* the provider's own */
};

struct embed_near;
struct embed_provider {
    const char *model; /* its default model */
    int64_t dims;      /* of the default model; 0: not known beforehand */
    bool paid;         /* worth caching even for documents */
    bool caches;       /* it puts what it makes into the cache itself */
    bool prefixes;     /* its models may want words before a question or a passage (prefix.c) */
    bool any_model;    /* knows models by other names (an upstream may) */
    long capacity;     /* requests at once, unless EMBED_CAPACITY says */
    size_t max_texts;  /* of one task */
    size_t max_bytes;  /* of one task's texts */
    /* The same model for the built-in answers; NULL: it has none. */
    const struct embed_near *near;
    void (*run)(struct embed_task *t);
    void (*cancel)(struct embed_task *t); /* nobody wants it any more; done still comes, at once or soon */
    size_t (*dims_now)(struct embed_provider *p,
                       const char *model); /* dimensions of a model now, if known; NULL: p->dims */
    void (*check_dims)(struct embed_provider *p,
                       const char *model); /* cached vectors were used; NULL: they cannot grow old */
    bool (*doubts)(struct embed_provider *p,
                   const char *model);        /* would check_dims ask the model, which is paid for? */
    void (*sample)(struct embed_provider *p); /* its gauges; NULL: none */
    void (*stop)(struct embed_provider
                     *p); /* its threads end, before anything that they read is freed; NULL: none */
    void (*close)(struct embed_provider *p);
    void *impl; /* its own state */
};

/* A model of this process that embeds on the caller's thread: the built-in answers compare sentences with the question. */
struct embed_near {
    size_t dims;
    bool fitted; /* what a cosine of it says of an answer was measured: all-MiniLM-L6-v2 */
    void (*embed)(const struct embed_near *m, const struct str *texts, size_t n,
                  float *out); /* n × dims, of length 1 */
    const void *impl;
};

/* ---- prefix.c: what stands before a text of this model. */
const char *embed_prefix(const struct embedder_opt *o, const char *model, bool document);
/* The name under which vectors are stored: the model's, with a digest of its prefixes: other prefixes make other vectors. */
void embed_space_name(const struct embedder_opt *o, const char *model, char out[129]);
/* ---- vector.c: scale to length 1. False when a number is not finite or all are zero. */
bool vector_unit(float *v, size_t n);

/* ---- embed_cache.c. Key fn:e:<model>:<dims>:<md5 of the text>; value: "FE", version, 0, dims (u32), SHA-256 of the
 * text, dims × float32, little-endian. With 1 instead of the 0 the tokens that the text cost follow (u32). */
#define EMBED_VALUE_HEAD 40
enum embed_value { VALUE_OK, VALUE_BAD, VALUE_OTHER_TEXT };
struct embed_found {
    const char *floats; /* packed float32, in the value */
    size_t dims;
    int64_t tokens; /* cost of the text; 0: not known, or nothing */
};
enum embed_value embed_value_decode(struct str v, const uint8_t sha[32], int64_t dims,
                                    struct embed_found *out);
void embed_value_encode(struct buf *out, const uint8_t sha[32], const float *v, size_t dims, int64_t tokens);
struct cache_item {
    struct str text;          /* the embedded text */
    uint8_t sha[32];          /* of it */
    struct embed_found found; /* in the arena; floats NULL: not found */
};
/* Look n texts up in one round trip. dims: what a usable value must have; 0: those of the newest vectors of that model, which
 * fn:d:<model>:<dims> has (a model may begin to give others under its old name); while that is not there, any.
 * again: what is missing is looked up again before it is paid for, and counted then. */
void embed_cache_get(struct embedder *e, struct arena *a, const char *model, int64_t dims,
                     struct cache_item *items, size_t n, bool again);
/* Keep a task's vectors for EMBEDDING_CACHE_TTL, in one round trip, each with its part of the tokens (by bytes). */
void embed_cache_put(const struct embed_task *t);

/* ---- embed.c */
struct embed *embed_new(struct embedder *e, struct embed_provider *p); /* consumes p */
void embed_stop(struct embed *m);                                      /* the provider's threads end */
void embed_free(struct embed **m);
void embed_on_call(struct delivery *c);       /* handler of KIND_EMBED and KIND_EMBED_FREE */
void embed_quote_on_call(struct delivery *c); /* handler of KIND_EMBED_QUOTE (named.c) */
void embed_sample(struct embed *m);
const struct embed_provider *embed_provider_of(const struct embed *m);
/* ---- named.c: who makes the vectors that are stored under this name (none: the deployment's own), and the
 * model's own name. NULL: nobody does. */
const char *embed_fault(const struct embed_req *req); /* what is wrong with a request; NULL: nothing */
struct embed *embed_named(struct embedder *e, struct str asked, char model[129]);

#endif
