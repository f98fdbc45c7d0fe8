/* Inner products. See dot.h. Pure functions. */
#include "retriever/index/dot.h"

#include <math.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

int32_t
dot_i8_plain(const int8_t *a, const int8_t *b, size_t n)
{
    int32_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (int32_t)a[i] * b[i];
    return sum;
}

#if defined(__x86_64__)
/* |a| × sign(b, a) keeps the product's sign with an unsigned first operand; 2 × 127² fits 16 bits. */
__attribute__((target("avx2"))) static int32_t
dot_i8_avx2(const int8_t *a, const int8_t *b, size_t n)
{
    __m256i sum = _mm256_setzero_si256();
    const __m256i ones = _mm256_set1_epi16(1);
    size_t i = 0;

    for (; i + 32 <= n; i += 32) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(a + i));
        __m256i y = _mm256_loadu_si256((const __m256i *)(const void *)(b + i));
        __m256i p = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(y, x));

        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(p, ones));
    }
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));

    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    return _mm_cvtsi128_si32(s) + dot_i8_plain(a + i, b + i, n - i);
}
#endif

dot_i8_fn
dot_i8(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        return dot_i8_avx2;
#endif
    return dot_i8_plain;
}

float
dot_f32(const float *a, const float *b, size_t n)
{
    float s[8] = { 0 };
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++)
            s[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        s[0] += a[i] * b[i];
    return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
}

float
dot_quantise(const float *v, size_t n, int8_t *q)
{
    float m[8] = { 0 }, max = 0;
    size_t i = 0;

    for (; i + 8 <= n; i += 8) /* eight at a time, as the compiler makes one comparison of */
        for (size_t k = 0; k < 8; k++)
            m[k] = fabsf(v[i + k]) > m[k] ? fabsf(v[i + k]) : m[k];
    for (; i < n; i++)
        m[0] = fabsf(v[i]) > m[0] ? fabsf(v[i]) : m[0];
    for (size_t k = 0; k < 8; k++)
        max = m[k] > max ? m[k] : max;
    float by = max > 0 ? 127.0f / max : 0;

    for (i = 0; i < n; i++)
        q[i] = (int8_t)(int32_t)lrintf(v[i] * by);
    return max / 127.0f;
}
