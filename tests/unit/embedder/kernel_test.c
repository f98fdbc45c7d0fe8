/* Kernels: each that this processor has, and the one of AVX-512 with its instructions written out in C,
 * against the plain one and against the C library's mathematics. */
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "embedder/minilm/kernel.h"

#if defined(__x86_64__)
#define VNNI_BY_HAND
#define bert_vnni by_hand
#define bert_has_vnni by_hand_is_there
typedef int32_t i16v __attribute__((vector_size(64)));
typedef float f16v __attribute__((vector_size(64)));
#define PICK(m, a, b) ((__m512)(((i16v)(a) & (m)) | ((i16v)(b) & ~(m))))
#define _mm512_fmadd_ps(a, b, c) ((__m512)((f16v)(a) * (f16v)(b) + (f16v)(c)))
#define _mm512_max_ps(a, b) PICK((f16v)(a) > (f16v)(b), a, b)
#define _mm512_min_ps(a, b) PICK((f16v)(a) < (f16v)(b), a, b)
#define _mm512_mul_ps(a, b) ((__m512)((f16v)(a) * (f16v)(b)))
#define _mm512_set1_ps(x) ((__m512)((f16v){ 0 } + (x)))
#define _mm512_set1_epi32(x) ((__m512i)((i16v){ 0 } + (x)))
#define _mm512_setzero_si512() ((__m512i){ 0 })
#define _mm512_sub_epi32(a, b) ((__m512i)((i16v)(a) - (i16v)(b)))
#define _mm512_mullo_epi32(a, b) ((__m512i)((i16v)(a) * (i16v)(b)))
#define _mm512_cvtepi32_ps(a) ((__m512) __builtin_convertvector((i16v)(a), f16v))
#define _mm512_cvttps_epi32(a) ((__m512i) __builtin_convertvector((f16v)(a), i16v))
#define BYTES(type, p) \
    ({ \
        type loaded_; \
        memcpy(&loaded_, (p), sizeof loaded_); \
        loaded_; \
    })
#define _mm512_loadu_ps(p) BYTES(__m512, p)
#define _mm512_loadu_si512(p) BYTES(__m512i, p)
#define _mm512_load_si512(p) BYTES(__m512i, p)
#define _mm512_storeu_ps(p, v) \
    do { \
        __m512 stored_ = (v); \
        memcpy((p), &stored_, sizeof stored_); \
    } while (0)
#define _mm512_dpbusd_epi32(s, a, b) \
    ({ \
        i16v sums_ = (i16v)(s); \
        __m512i a_ = (a), b_ = (b); \
        for (size_t k_ = 0; k_ < 64; k_++) \
            sums_[k_ / 4] += ((const uint8_t *)&a_)[k_] * ((const int8_t *)&b_)[k_]; \
        (__m512i) sums_; \
    })
#define _mm512_cvtusepi32_epi8(v) \
    ({ \
        i16v from_ = (i16v)(v); \
        union { \
            uint8_t bytes[16]; \
            __m128i whole; \
        } to_; \
        for (size_t k_ = 0; k_ < 16; k_++) \
            to_.bytes[k_] = (uint32_t)from_[k_] > 255 ? 255 : (uint8_t)from_[k_]; \
        to_.whole; \
    })
bool by_hand_is_there(void);
#include "embedder/minilm/kernel_vnni.c"
#undef bert_vnni
#undef bert_has_vnni
#endif

enum { N_ROWS = 13, OUT = 48, COLS = 64, MOST = 96 };

static const struct bert_kernel *kernels[4];
static size_t n_kernels;
static uint64_t seed = 1;

static float
chance(void)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (float)(int32_t)(seed >> 32) / 2147483648.0f;
}

static void
fill(float *x, size_t n, float by)
{
    for (size_t i = 0; i < n; i++)
        x[i] = by * chance();
}

static void
near(const float *a, const float *b, size_t n, double most, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= most))
            fail_msg("%s: %zu: %g and %g", name, i, (double)a[i], (double)b[i]);
}

/* A product of rows that are quantised with a matrix, and what it should be in whole numbers. */
static void
a_product_is_exact_in_its_integers(void **state)
{
    static int8_t w[OUT * COLS] __attribute__((aligned(64)));
    static float x[N_ROWS * COLS], out[N_ROWS * OUT], expected[N_ROWS * OUT];
    float scale[OUT], bias[OUT], row_scale[N_ROWS];
    int32_t sum[OUT] = { 0 }, zero[N_ROWS];
    static uint8_t q[N_ROWS * COLS];
    struct bert_rows rows = { q, row_scale, zero };
    struct bert_matrix m = { OUT, COLS, scale, bias, sum, w };

    (void)state;
    fill(scale, OUT, 0.01f);
    fill(bias, OUT, 1);
    for (size_t r = 0; r < OUT; r++)
        for (size_t c = 0; c < COLS; c++) {
            int8_t v = (int8_t)(c % 2 == 0 || r > 2 ? 63.9f * chance()
                                                    : (r == 1 ? -63 : 63)); /* some at their utmost */

            w[r / 16 * 16 * COLS + c / 4 * 64 + r % 16 * 4 + c % 4] = v;
            sum[r] += v;
        }
    for (size_t k = 0; k < n_kernels; k++) {
        fill(x, N_ROWS * COLS, 3);
        kernels[k]->quantise(x, N_ROWS, COLS, &rows);
        for (size_t i = 0; i < COLS; i++)
            q[i] = 255; /* a row at its utmost */
        kernels[k]->multiply(&m, &rows, N_ROWS, out, OUT);
        for (size_t i = 0; i < N_ROWS; i++)
            for (size_t r = 0; r < OUT; r++) {
                int32_t acc = 0;

                for (size_t c = 0; c < COLS; c++)
                    acc += (q[i * COLS + c] - zero[i]) *
                           w[r / 16 * 16 * COLS + c / 4 * 64 + r % 16 * 4 + c % 4];
                expected[i * OUT + r] = (float)acc * (row_scale[i] * scale[r]) + bias[r];
            }
        near(out, expected, N_ROWS * OUT, 1e-4, kernels[k]->name);
    }
}

static void
bytes_stand_for_their_floats_within_half_a_step(void **state)
{
    static float x[N_ROWS * COLS], scale[N_ROWS];
    uint8_t q[N_ROWS * COLS];
    int32_t zero[N_ROWS];
    struct bert_rows rows = { q, scale, zero };

    (void)state;
    for (size_t k = 0; k < n_kernels; k++) {
        fill(x, N_ROWS * COLS, 5);
        for (size_t c = 0; c < COLS; c++) {
            x[c] = 0;                                  /* nothing */
            x[COLS + c] = fabsf(x[COLS + c]) + 2;      /* all above 0 */
            x[2 * COLS + c] = -fabsf(x[2 * COLS + c]); /* all below */
        }
        kernels[k]->quantise(x, N_ROWS, COLS, &rows);
        for (size_t i = 0; i < N_ROWS * COLS; i++) {
            float back = (float)(q[i] - zero[i / COLS]) * scale[i / COLS];

            assert_true(fabsf(back - x[i]) <= 1.01f * scale[i / COLS]);
        }
        assert_true(scale[0] == 0 && scale[1] > 0);
    }
}

static void
gelu_and_norm_are_what_they_are_called(void **state)
{
    static float x[N_ROWS * COLS], y[N_ROWS * COLS], add[N_ROWS * COLS], weight[COLS], bias[COLS];
    struct bert_norm w = { weight, bias };

    (void)state;
    fill(weight, COLS, 2);
    fill(bias, COLS, 1);
    for (size_t k = 0; k < n_kernels; k++) {
        for (size_t i = 0; i < N_ROWS * COLS; i++) {
            x[i] = (float)i / (N_ROWS * COLS) * 16 - 8;
            y[i] = (float)(0.5 * (double)x[i] * erfc(-(double)x[i] / sqrt(2)));
        }
        kernels[k]->gelu(x, N_ROWS * COLS);
        near(x, y, N_ROWS * COLS, 3e-5, kernels[k]->name);
        fill(x, N_ROWS * COLS, 4);
        fill(add, N_ROWS * COLS, 4);
        for (size_t r = 0; r < N_ROWS; r++) {
            double mean = 0, square = 0;

            for (size_t c = 0; c < COLS; c++)
                mean += (double)(x[r * COLS + c] + add[r * COLS + c]) / COLS;
            for (size_t c = 0; c < COLS; c++)
                square += pow((double)(x[r * COLS + c] + add[r * COLS + c]) - mean, 2) / COLS;
            for (size_t c = 0; c < COLS; c++)
                y[r * COLS + c] = (float)(((double)(x[r * COLS + c] + add[r * COLS + c]) - mean) /
                                          sqrt(square + 1e-12)) *
                                      weight[c] +
                                  bias[c];
        }
        kernels[k]->norm(x, add, N_ROWS, COLS, &w, 1e-12f);
        near(x, y, N_ROWS * COLS, 1e-4, kernels[k]->name);
    }
}

/* n of 1 to 40: whole vectors and what is left of one. */
static void
attention_is_the_weighted_mean_of_values(void **state)
{
    enum { HEAD = 32, STRIDE = MOST, TOKENS = 40 };
    static float qkv[TOKENS * STRIDE], out[TOKENS * HEAD], expected[HEAD],
        room[(HEAD + BERT_TILE) * (TOKENS + 32)];

    (void)state;
    for (size_t k = 0; k < n_kernels; k++)
        for (size_t n = 1; n <= TOKENS; n++) {
            fill(qkv, n * STRIDE, 3);
            kernels[k]->attend(qkv, qkv + HEAD, qkv + 2 * HEAD, n, HEAD, STRIDE, out, HEAD, room);
            for (size_t i = 0; i < n; i++) {
                double s[TOKENS], sum = 0;

                for (size_t j = 0; j < n; j++) {
                    s[j] = 0;
                    for (size_t c = 0; c < HEAD; c++)
                        s[j] += (double)(qkv[i * STRIDE + c] * qkv[j * STRIDE + HEAD + c]);
                    s[j] = exp(s[j]);
                    sum += s[j];
                }
                for (size_t c = 0; c < HEAD; c++) {
                    double v = 0;

                    for (size_t j = 0; j < n; j++)
                        v += s[j] / sum * (double)qkv[j * STRIDE + 2 * HEAD + c];
                    expected[c] = (float)v;
                }
                near(out + i * HEAD, expected, HEAD, 1e-4, kernels[k]->name);
            }
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_product_is_exact_in_its_integers),
        cmocka_unit_test(bytes_stand_for_their_floats_within_half_a_step),
        cmocka_unit_test(gelu_and_norm_are_what_they_are_called),
        cmocka_unit_test(attention_is_the_weighted_mean_of_values),
    };

    kernels[n_kernels++] = &bert_plain;
#if defined(__x86_64__)
    kernels[n_kernels++] = &by_hand;
    if (bert_has_avx2())
        kernels[n_kernels++] = &bert_avx2;
    if (bert_has_vnni())
        kernels[n_kernels++] = &bert_vnni;
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
