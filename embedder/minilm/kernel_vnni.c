/* The kernel for AVX-512 with VNNI (Intel from 2019, AMD from 2022): one instruction multiplies 64 bytes and
 * adds them to 16 sums. Eight rows against one panel. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "embedder/minilm/kernel.h"

#define V_LANES 16
#ifndef VNNI_BY_HAND /* a unit test writes the instructions out in C, for processors that have none of them */
#define TARGET __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni")))
#else
#define TARGET
#endif
#define V_MADD(a, b, c) ((vf)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define V_MAX(a, b) ((vf)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define V_MIN(a, b) ((vf)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define V_BYTES(p, v) \
    _mm_storeu_si128((__m128i *)(void *)(p), _mm512_cvtusepi32_epi8(_mm512_cvttps_epi32((__m512)(v))))
#include "embedder/minilm/kernel_rows.h"
#include "embedder/minilm/kernel_attend.h"

enum { ROWS = 8 };

/* rows: a constant where this is inlined. */
INLINE void
tile_vnni(const struct bert_matrix *m, size_t first, const struct bert_rows *a, size_t at, size_t rows,
          float *out, size_t stride)
{
    const uint8_t *x = a->q + at * m->cols;
    const int8_t *w = m->w + first * m->cols;
    const __m512 by = _mm512_loadu_ps(m->scale + first), bias = _mm512_loadu_ps(m->bias + first);
    const __m512i sum = _mm512_loadu_si512(m->sum + first);
    __m512i acc[ROWS];

    UNROLL
    for (size_t r = 0; r < rows; r++)
        acc[r] = _mm512_setzero_si512();
    for (size_t k = 0; k < m->cols; k += 4, w += 4 * BERT_PANEL) {
        __m512i v = _mm512_load_si512(w);

        UNROLL
        for (size_t r = 0; r < rows; r++) {
            int32_t four;

            memcpy(&four, x + r * m->cols + k, sizeof four);
            acc[r] = _mm512_dpbusd_epi32(acc[r], _mm512_set1_epi32(four), v);
        }
    }
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        __m512i s = _mm512_sub_epi32(acc[r], _mm512_mullo_epi32(sum, _mm512_set1_epi32(a->zero[at + r])));
        __m512 scale = _mm512_mul_ps(by, _mm512_set1_ps(a->scale[at + r]));

        _mm512_storeu_ps(out + (at + r) * stride + first,
                         _mm512_fmadd_ps(_mm512_cvtepi32_ps(s), scale, bias));
    }
}

TARGET static void
multiply_vnni(const struct bert_matrix *m, const struct bert_rows *a, size_t n, float *out, size_t stride)
{
    for (size_t first = 0; first < m->rows; first += BERT_PANEL) {
        size_t i = 0;

        for (; i + ROWS <= n; i += ROWS)
            tile_vnni(m, first, a, i, ROWS, out, stride);
        for (; i < n; i++)
            tile_vnni(m, first, a, i, 1, out, stride);
    }
}

const struct bert_kernel bert_vnni = { "avx512-vnni", multiply_vnni, quantise, gelu, norm, attend };

bool
bert_has_vnni(void)
{
    return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}
#else
typedef int bert_no_vnni; /* an empty file is no C */
#endif
