/* Documents that were just stored. See fresh.h. A document is one block: its chunks, their texts and names, their vectors. */
#include "retriever/fresh.h"

#include "common/mem.h"
#include "common/utf8.h"

enum { FRESH_BUCKETS = 1024, TEXT_MAX = 65536 };

struct fresh {
    struct fresh_doc *buckets[FRESH_BUCKETS];
    size_t n, bytes, max_bytes;
    int64_t reached; /* by whoever reads the feed */
};

struct fresh *
fresh_new(size_t max_bytes)
{
    struct fresh *f = mem_new(sizeof *f);

    f->max_bytes = max_bytes;
    return f;
}

static struct fresh_doc **
bucket_of(struct fresh *f, const struct uuid *id)
{
    return &f->buckets[(id->b[15] | (unsigned)id->b[14] << 8) % FRESH_BUCKETS];
}

void
fresh_doc_free(struct fresh_doc **d)
{
    if (!*d)
        return;
    (*d)->keeper->bytes -= (*d)->bytes;
    mem_free(d);
}

static void
drop_chain(struct fresh *f, struct fresh_doc **at, int64_t seq)
{
    while (*at) {
        struct fresh_doc *d = *at;

        if (d->seq > seq) {
            at = &d->chain;
            continue;
        }
        *at = d->chain;
        f->n--;
        fresh_doc_free(&d);
    }
}

static void
drop(struct fresh *f, int64_t seq)
{
    for (size_t i = 0; i < FRESH_BUCKETS && f->n > 0; i++)
        drop_chain(f, &f->buckets[i], seq);
}

void
fresh_reached(struct fresh *f, int64_t seq)
{
    f->reached = seq;
    drop(f, seq);
}

void
fresh_clear(struct fresh *f)
{
    f->reached = 0;
    drop(f, INT64_MAX);
}

void
fresh_free(struct fresh **f)
{
    if (!*f)
        return;
    fresh_clear(*f);
    mem_free(f);
}

/* As the store gives it (store/calls/feed.c): a chunk whose offsets cut a character has no text. */
static struct str
text_of(const struct chunk *c, struct str text)
{
    struct str s;

    if (c->start < 0 || c->end < c->start || (size_t)c->end > text.n)
        return STR_NONE;
    s = utf8_cut((struct str){ text.p + c->start, (size_t)(c->end - c->start) }, TEXT_MAX);
    return utf8_valid(s) ? s : STR_NONE;
}

static size_t
bytes_of(const struct chunk *v, size_t n, struct str text)
{
    size_t bytes = sizeof(struct fresh_doc) + n * sizeof *v;

    for (size_t i = 0; i < n; i++)
        bytes += v[i].vector.n + text_of(&v[i], text).n + v[i].chapter.n + v[i].section.n + v[i].anchor.n +
                 v[i].lead.n + v[i].hash.n;
    return bytes;
}

void
fresh_put(struct fresh *f, const struct uuid *id, int64_t seq, const struct chunk *v, size_t n,
          struct str text)
{
    size_t bytes = bytes_of(v, n, text);
    struct fresh_doc *d = seq > f->reached && bytes <= f->max_bytes - f->bytes ? mem_try(bytes) : NULL;
    char *at;

    if (!d)
        return;
    *d = (struct fresh_doc){
        .keeper = f, .id = *id, .seq = seq, .v = (struct chunk *)(void *)(d + 1), .n = n, .bytes = bytes
    };
    at = (char *)(d->v + n);
    for (size_t i = 0; i < n; i++) {
        struct chunk *c = &d->v[i];

        *c = v[i];
        c->text = str_put(&at, text_of(&v[i], text));
        c->vector = str_put(&at, v[i].vector);
        c->chapter = str_put(&at, v[i].chapter);
        c->section = str_put(&at, v[i].section);
        c->anchor = str_put(&at, v[i].anchor);
        c->lead = str_put(&at, v[i].lead);
        c->hash = str_put(&at, v[i].hash);
    }
    f->bytes += bytes;
    f->n++;
    d->chain = *bucket_of(f, id);
    *bucket_of(f, id) = d;
}

struct fresh_doc *
fresh_take(struct fresh *f, const struct uuid *id, int64_t seq)
{
    for (struct fresh_doc **at = bucket_of(f, id); *at; at = &(*at)->chain) {
        struct fresh_doc *d = *at;

        if (d->seq != seq || !uuid_eq(&d->id, id))
            continue;
        *at = d->chain;
        d->chain = NULL;
        f->n--;
        return d;
    }
    return NULL;
}

size_t
fresh_bytes(const struct fresh *f)
{
    return f->bytes;
}
