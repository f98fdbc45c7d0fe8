/* The kernel for AVX2 and FMA (Intel from 2013, AMD from 2015). Bytes are multiplied in pairs into 16 bits,
 * which cannot overflow because weights have seven bits: 2 × 255 × 63 < 2^15. Four rows against one panel of
 * 16 columns: 8 sums, 2 weights, 1 row in registers. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "embedder/minilm/kernel.h"

#define V_LANES 8
#define TARGET __attribute__((target("avx2,fma")))
#define V_MADD(a, b, c) ((vf)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define V_MAX(a, b) ((vf)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define V_MIN(a, b) ((vf)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define V_BYTES(p, v) put_bytes(p, (__m256)(v))

__attribute__((always_inline, target("avx2,fma"))) static inline void
put_bytes(uint8_t *p, __m256 v)
{
    __m256i i = _mm256_cvttps_epi32(v);
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));

    _mm_storel_epi64((__m128i *)(void *)p, _mm_packus_epi16(words, words));
}
#include "embedder/minilm/kernel_rows.h"
#include "embedder/minilm/kernel_attend.h"

INLINE void
put_sums(const struct bert_matrix *m, size_t first, __m256i acc, float scale, int32_t zero, float *out)
{
    __m256i sum = _mm256_loadu_si256((const __m256i *)(const void *)(m->sum + first));
    __m256 by = _mm256_mul_ps(_mm256_loadu_ps(m->scale + first), _mm256_set1_ps(scale));

    acc = _mm256_sub_epi32(acc, _mm256_mullo_epi32(sum, _mm256_set1_epi32(zero)));
    _mm256_storeu_ps(out, _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc), by, _mm256_loadu_ps(m->bias + first)));
}

/* rows: a constant where this is inlined. */
INLINE void
tile_avx2(const struct bert_matrix *m, size_t first, const struct bert_rows *a, size_t at, size_t rows,
          float *out, size_t stride)
{
    const uint8_t *x = a->q + at * m->cols;
    const int8_t *w = m->w + first * m->cols;
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i acc[BERT_TILE][2];

    UNROLL
    for (size_t r = 0; r < rows; r++)
        acc[r][0] = acc[r][1] = _mm256_setzero_si256();
    for (size_t k = 0; k < m->cols; k += 4, w += 4 * BERT_PANEL) {
        __m256i w0 = _mm256_load_si256((const __m256i *)(const void *)w);
        __m256i w1 = _mm256_load_si256((const __m256i *)(const void *)(w + 32));

        UNROLL
        for (size_t r = 0; r < rows; r++) {
            int32_t four;

            memcpy(&four, x + r * m->cols + k, sizeof four);
            __m256i v = _mm256_set1_epi32(four);

            acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(_mm256_maddubs_epi16(v, w0), ones));
            acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(_mm256_maddubs_epi16(v, w1), ones));
            /* row by row: gcc would load all rows first and keep a sum in memory */
            __asm__ volatile("" : "+x"(acc[r][0]), "+x"(acc[r][1]));
        }
    }
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        put_sums(m, first, acc[r][0], a->scale[at + r], a->zero[at + r], out + (at + r) * stride + first);
        put_sums(m, first + 8, acc[r][1], a->scale[at + r], a->zero[at + r],
                 out + (at + r) * stride + first + 8);
    }
}

TARGET static void
multiply_avx2(const struct bert_matrix *m, const struct bert_rows *a, size_t n, float *out, size_t stride)
{
    for (size_t first = 0; first < m->rows; first += BERT_PANEL) {
        size_t i = 0;

        for (; i + BERT_TILE <= n; i += BERT_TILE)
            tile_avx2(m, first, a, i, BERT_TILE, out, stride);
        for (; i < n; i++)
            tile_avx2(m, first, a, i, 1, out, stride);
    }
}

const struct bert_kernel bert_avx2 = { "avx2", multiply_avx2, quantise, gelu, norm, attend };

bool
bert_has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#else
typedef int bert_no_avx2; /* an empty file is no C */
#endif
