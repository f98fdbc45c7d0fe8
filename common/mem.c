/* Memory: the only place that calls malloc.
 *
 * Blocks: zeroed; a small allocation that fails ends the process with one log line.
 * Arenas: a list of growing pieces, handed out front to back, freed at once:
 *
 *     arena ─> piece (newest, being filled) ─> piece ─> piece ─> NULL
 *
 * Under AddressSanitizer every allocation gets a piece of its own, so that overruns inside an arena are found.
 * Buffers: doubling; a buffer that meets its maximum keeps what it has, sets failed and takes no more. */
#include "common/mem.h"

#include <assert.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"

#define ALIGN 16u
#define MAX_PIECE 262144u
#define SPARES 3u      /* arenas that a thread keeps */
#define FIRST_CAP 128u /* of a buffer */
#ifdef __SANITIZE_ADDRESS__
#define FIRST_PIECE 0u
#else
#define FIRST_PIECE 1024u
#endif

static _Noreturn void
die(size_t n)
{
    LOG(ERROR, NULL, M("out of memory"), KI("bytes", n));
    abort();
}

/* ---- blocks */

void *
mem_try(size_t n)
{
    return calloc(1, n ? n : 1);
}

void *
mem_new(size_t n)
{
    void *p = mem_try(n);

    if (!p)
        die(n);
    return p;
}

void *
mem_try_resize(void *p, size_t n)
{
    return realloc(p, n ? n : 1);
}

void *
mem_resize(void *p, size_t n)
{
    void *q = mem_try_resize(p, n);

    if (!q)
        die(n);
    return q;
}

char *
mem_dup(const char *z)
{
    return mem_dup_str(str_of(z));
}

char *
mem_dup_str(struct str s)
{
    char *p = mem_new(s.n + 1);

    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}

void
mem_free_at(void **pp)
{
    free(*pp);
    *pp = NULL;
}

void
mem_trim(void)
{
    (void)malloc_trim(0);
}

void
mem_back(void *p, size_t n)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = ((uintptr_t)p + page - 1) / page * page,
              to = ((uintptr_t)p + n) / page * page;

    if (from < to)
        (void)madvise((void *)from, to - from, MADV_DONTNEED);
}

/* ---- arenas */

struct piece {
    struct piece *next; /* older piece */
    size_t used, cap;   /* bytes of at[] handed out, and there */
    _Alignas(16) unsigned char at[];
};

struct arena {
    struct piece *first; /* newest */
    size_t used;         /* bytes handed out, rounded to ALIGN */
    size_t max;          /* bound of used */
    size_t next_cap;     /* size of the next piece */
    struct arena *spare; /* the next in its thread's list of spares */
};

#define BASE_AT \
    ((sizeof(struct arena) + ALIGN - 1) / ALIGN * ALIGN) /* the first piece lies behind its arena */

/* Each thread keeps a few arenas that were freed, zeroed again: a request begins with one, each of its calls has one. */
static _Thread_local struct {
    struct arena *list;
    size_t n;
} spares;
static pthread_key_t spares_key;
static pthread_once_t spares_once = PTHREAD_ONCE_INIT;

void
mem_rest(void)
{
    for (struct arena *a = spares.list, *next; a; a = next) {
        next = a->spare;
        free(a);
    }
    spares.list = NULL;
    spares.n = 0;
}

static void
spares_free(void *arg)
{
    (void)arg;
    mem_rest();
    spares.n = SPARES; /* of a thread that ends */
}

static void
spares_init(void)
{
    (void)pthread_key_create(&spares_key, spares_free);
}

static struct piece *
base_of(struct arena *a)
{
    return (struct piece *)(void *)((unsigned char *)a + BASE_AT);
}

/* Keep it, or give it back. */
static void
spare_keep(struct arena *a)
{
    struct piece *base = base_of(a);

    if (FIRST_PIECE == 0 || spares.n >= SPARES || pthread_once(&spares_once, spares_init) != 0 ||
        pthread_setspecific(spares_key, &spares_key) != 0) { /* not NULL, or spares_free is not called */
        free(a);
        return;
    }
    memset(a, 0, BASE_AT + sizeof *base + base->used);
    a->spare = spares.list;
    spares.list = a;
    spares.n++;
}

struct arena *
arena_new(size_t max_bytes)
{
    struct arena *a = spares.list;

    if (a) {
        spares.list = a->spare;
        spares.n--;
        a->spare = NULL;
    } else {
        a = mem_new(FIRST_PIECE ? BASE_AT + sizeof(struct piece) + FIRST_PIECE : sizeof *a);
    }
    a->max = max_bytes;
    a->next_cap = FIRST_PIECE * 2;
    if (FIRST_PIECE) {
        a->first = base_of(a);
        a->first->cap = FIRST_PIECE;
    }
    return a;
}

void
arena_free(struct arena **a)
{
    struct piece *base;

    if (!*a)
        return;
    base = FIRST_PIECE ? base_of(*a) : NULL;
    for (struct piece *p = (*a)->first, *next; p != base; p = next) {
        next = p->next;
        free(p);
    }
    spare_keep(*a);
    *a = NULL;
}

static struct piece *
piece_add(struct arena *a, size_t n)
{
    size_t cap = n > a->next_cap ? n : a->next_cap;
    struct piece *p = mem_try(sizeof *p + cap);

    if (!p)
        return NULL;
    p->cap = cap;
    p->next = a->first;
    a->first = p;
    if (a->next_cap && a->next_cap < MAX_PIECE)
        a->next_cap *= 2;
    return p;
}

void *
arena_alloc(struct arena *a, size_t n)
{
    size_t need;
    struct piece *p = a->first;

    if (n > a->max || a->max - n < a->used)
        return NULL;
    need = (n + !n + ALIGN - 1) / ALIGN * ALIGN;
    if (!p || p->cap - p->used < need)
        p = piece_add(a, need);
    if (!p)
        return NULL;
    p->used += need;
    a->used += need;
    return p->at + (p->used - need);
}

char *
arena_dup(struct arena *a, struct str s)
{
    char *p = s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : NULL;

    if (p && s.n)
        memcpy(p, s.p, s.n);
    return p;
}

struct str
arena_str(struct arena *a, struct str s)
{
    char *p;

    if (!s.p)
        return STR_NONE;
    p = arena_dup(a, s);
    return p ? (struct str){ p, s.n } : STR_NONE;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
    char few[256], *p = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(few, sizeof few, fmt, ap);
    va_end(ap);
    if (n >= 0)
        p = arena_alloc(a, (size_t)n + 1);
    if (p && (size_t)n < sizeof few) {
        memcpy(p, few, (size_t)n);
    } else if (p) {
        va_start(ap, fmt);
        (void)vsnprintf(p, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    return p;
}

size_t
arena_used(const struct arena *a)
{
    return a->used;
}

/* ---- buffers */

/* Make room for n more bytes and a NUL; false (and failed) when they do not fit. */
static bool
buf_room(struct buf *b, size_t n)
{
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    size_t max = b->max ? b->max : SIZE_MAX / 4;
    char *p;

    if (b->failed || b->n > max || n > max - b->n) {
        b->failed = true;
        return false;
    }
    if (b->n + n < b->cap)
        return true;
    while (cap <= b->n + n)
        cap *= 2;
    if (cap > max + 1)
        cap = max + 1;
    p = realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

void
buf_reserve(struct buf *b, size_t n)
{
    bool failed = b->failed;

    if (!failed && buf_room(b, n))
        b->p[b->n] = '\0';
    b->failed = failed;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
    if ((b->failed || n >= b->cap - b->n) && !buf_room(b, n))
        return;
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = '\0';
}

void
buf_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void
buf_z(struct buf *b, const char *z)
{
    buf_add(b, z, strlen(z));
}

void
buf_c(struct buf *b, char c)
{
    if (b->failed || b->n + 1 >= b->cap) {
        buf_add(b, &c, 1);
        return;
    }
    b->p[b->n++] = c;
    b->p[b->n] = '\0';
}

void
buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    size_t there = b->failed || !b->p ? 0 : b->cap - b->n;
    va_list again;
    int n;

    va_copy(again, ap);
    n = vsnprintf(there ? b->p + b->n : NULL, there, fmt, ap);
    if (n < 0)
        b->failed = true;
    else if (there <= (size_t)n && buf_room(b, (size_t)n)) {
        (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        there = (size_t)n + 1;
    }
    if (n >= 0 && there > (size_t)n)
        b->n += (size_t)n;
    else if (b->p)
        b->p[b->n] = 0; /* a piece that did not fit is cut off again */
    va_end(again);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void
buf_cut(struct buf *b, size_t n)
{
    assert(n <= b->n);
    if (!n)
        return;
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
    b->p[b->n] = '\0';
}

void
buf_reset(struct buf *b)
{
    b->n = 0;
    b->failed = false;
    if (b->p)
        b->p[0] = '\0';
}

void
buf_free(struct buf *b)
{
    mem_free(&b->p);
    b->n = b->cap = 0;
    b->failed = false;
}
