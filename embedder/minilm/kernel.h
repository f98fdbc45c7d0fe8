/* The arithmetic of a pass, in one version for each kind of processor. All have the same integers in the same
 * order; floats differ in their last bits. Lengths are multiples of 16. */
#ifndef EMBEDDER_MINILM_KERNEL_H
#define EMBEDDER_MINILM_KERNEL_H

#include "embedder/minilm/bert.h"

/* Rows of uint8: x = (q − zero) × scale. */
struct bert_rows {
    uint8_t *q; /* n × cols */
    float *scale;
    int32_t *zero;
};
struct bert_kernel {
    const char *name;
    /* out[i] (stride floats apart) = rows i of a × m, for n rows */
    void (*multiply)(const struct bert_matrix *m, const struct bert_rows *a, size_t n, float *out,
                     size_t stride);
    void (*quantise)(const float *x, size_t n, size_t cols, const struct bert_rows *out);
    void (*gelu)(float *x, size_t n);
    /* x += add (may be NULL), then mean 0, deviation 1, weight and bias; of n rows */
    void (*norm)(float *x, const float *add, size_t n, size_t cols, const struct bert_norm *w, float eps);
    /* One head over n tokens: q, k, v: rows, stride floats apart, of d; out likewise, out_stride apart.
     * room: for (d + BERT_TILE) × (n rounded up to 32) floats. */
    void (*attend)(const float *q, const float *k, const float *v, size_t n, size_t d, size_t stride,
                   float *out, size_t out_stride, float *room);
};
/* Before a loop of constant length over registers: without it, arrays of sums would live in memory. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
enum { BERT_TILE = 4 }; /* rows that are computed together */

const struct bert_kernel *bert_kernel(void); /* the best that this processor has */
extern const struct bert_kernel bert_plain;
#if defined(__x86_64__)
extern const struct bert_kernel bert_avx2, bert_vnni;
bool bert_has_avx2(void), bert_has_vnni(void);
#endif

#endif
