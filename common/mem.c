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
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"

#define ALIGN 16u
#define MAX_PIECE 262144u
#ifdef __SANITIZE_ADDRESS__
#define FIRST_PIECE 0u
#else
#define FIRST_PIECE 2048u
#endif

static _Noreturn void
die(size_t n)
{
    LOG(ERROR, NULL, M("out of memory"), KI("bytes", n));
    abort();
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

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
mem_resize(void *p, size_t n)
{
    void *q = realloc(p, n ? n : 1);

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

/* ---- arenas ------------------------------------------------------------------------------------------------------ */

struct piece {
    struct piece *next;            /* older piece */
    size_t used, cap;              /* bytes of at[] handed out, and there */
    _Alignas(16) unsigned char at[];
};

struct arena {
    struct piece *first; /* newest */
    size_t used;         /* bytes handed out, rounded to ALIGN */
    size_t max;          /* bound of used */
    size_t next_cap;     /* size of the next piece */
};

struct arena *
arena_new(size_t max_bytes)
{
    struct arena *a = mem_new(sizeof *a);

    a->max = max_bytes;
    a->next_cap = FIRST_PIECE;
    return a;
}

void
arena_free(struct arena **a)
{
    if (!*a)
        return;
    for (struct piece *p = (*a)->first, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    mem_free(a);
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
    va_list ap, again;
    char *p = NULL;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    if (n >= 0)
        p = arena_alloc(a, (size_t)n + 1);
    if (p)
        (void)vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return p;
}

size_t
arena_used(const struct arena *a)
{
    return a->used;
}

/* ---- buffers ----------------------------------------------------------------------------------------------------- */

/* Make room for n more bytes and a NUL; false (and failed) when they do not fit. */
static bool
buf_room(struct buf *b, size_t n)
{
    size_t cap = b->cap ? b->cap : 64;
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
buf_add(struct buf *b, const void *p, size_t n)
{
    if (!buf_room(b, n))
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
    buf_add(b, &c, 1);
}

void
buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    int n;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    if (n < 0)
        b->failed = true;
    else if (buf_room(b, (size_t)n)) {
        (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
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
