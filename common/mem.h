/* Memory: the only place that calls malloc. Small allocations die on failure; sizes that a peer chose use mem_try. */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/str.h"

/* Zeroed block of n bytes; logs and aborts when there is none. Release with mem_free(&p). */
void *mem_new(size_t n);
/* The same, but NULL on failure: for sizes that a peer chose. */
void *mem_try(size_t n);
/* Grow or shrink (p may be NULL); dies on failure. New bytes are not zeroed. */
void *mem_resize(void *p, size_t n);
/* The same, but NULL on failure, and p stays. */
void *mem_try_resize(void *p, size_t n);
/* NUL-terminated copies. */
char *mem_dup(const char *z);
char *mem_dup_str(struct str s);
/* mem_free(&ptr): frees *ptr and sets it to NULL; NULL is fine. */
void mem_free_at(void **pp);
#define mem_free(pp) mem_free_at((void **)(void *)(pp))

/* Give back to the kernel what was freed. May take milliseconds. */
void mem_trim(void);
/* The whole pages of these bytes go back to the kernel: they stay allocated and are zero when they are next looked at. */
void mem_back(void *p, size_t n);
/* The blocks that this thread keeps for its next arenas are freed: it waits for long. */
void mem_rest(void);

/* Arena: everything that belongs to one request, freed at once. Not thread-safe. */
struct arena;
struct arena *arena_new(size_t max_bytes);    /* never NULL; max_bytes bounds what it may hold (0: nothing) */
void arena_free(struct arena **a);            /* accepts NULL, nulls it */
void *arena_alloc(struct arena *a, size_t n); /* zeroed, 16-byte aligned; NULL when over max_bytes */
char *arena_dup(struct arena *a, struct str s);      /* NUL-terminated copy, or NULL */
struct str arena_str(struct arena *a, struct str s); /* copied slice; absent when over max_bytes */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t arena_used(const struct arena *a); /* bytes handed out */

/* Growing byte buffer with a maximum. After an append that did not fit, failed stays true and appends do nothing. */
struct buf {
    char *p;     /* bytes; always followed by a NUL once anything was added */
    size_t n;    /* length without the NUL */
    size_t cap;  /* allocated */
    size_t max;  /* 0: unlimited */
    bool failed; /* something did not fit */
};
#define BUF_MAX(m) ((struct buf){ .max = (m) })
void buf_reserve(struct buf *b, size_t n); /* room for n more bytes at once, when so many may be added */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, struct str s);
void buf_z(struct buf *b, const char *z);
void buf_c(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void buf_cut(struct buf *b, size_t n); /* drop the first n bytes */
void buf_reset(struct buf *b);         /* length 0, failed false, memory kept */
void buf_free(struct buf *b);          /* memory released, ready for use again */
static inline struct str
buf_slice(const struct buf *b)
{
    return (struct str){ b->p ? b->p : "", b->n };
}

#endif
