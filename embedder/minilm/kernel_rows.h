/* The float part of a kernel, by rows, in vectors of V_LANES floats. Each kernel_*.c includes this once (no guard, on purpose), after
 * it has defined
 *   V_LANES, TARGET (an attribute), V_MADD(a, b, c): a × b + c, V_MAX(a, b), V_MIN(a, b), V_BYTES(p, v): V_LANES whole floats of 0 to 255
 *   become bytes at p. */
#include <math.h>

typedef float vf __attribute__((vector_size(V_LANES * 4)));
typedef int32_t vi __attribute__((vector_size(V_LANES * 4)));

#define V_LOAD(p) (*(const vf_loose *)(const void *)(p))
#define V_STORE(p, v) (*(vf_loose *)(void *)(p) = (v))
typedef float vf_loose __attribute__((vector_size(V_LANES * 4), aligned(4), may_alias));
#define V_ALL(x) ((vf){ 0 } + (x))
#define V_SUM(v) v_sum((const float *)&(v))
#define INLINE static inline __attribute__((always_inline)) TARGET

INLINE float
v_sum(const float *v)
{
    float s = 0;

    for (size_t i = 0; i < V_LANES; i++)
        s += v[i];
    return s;
}

/* q = round(x / scale) + zero, so that 0 … 255 spans the row's smallest and largest, and 0 is exact. */
TARGET static void
quantise_row(const float *x, size_t cols, uint8_t *q, float *scale, int32_t *zero)
{
    vf lo = { 0 }, hi = { 0 };
    float least = 0, most = 0, by, shift;

    for (size_t i = 0; i < cols; i += V_LANES) {
        lo = V_MIN(lo, V_LOAD(x + i));
        hi = V_MAX(hi, V_LOAD(x + i));
    }
    for (size_t i = 0; i < V_LANES; i++) {
        least = lo[i] < least ? lo[i] : least;
        most = hi[i] > most ? hi[i] : most;
    }
    by = most > least ? 255 / (most - least) : 0;
    *scale = by > 0 ? (most - least) / 255 : 0;
    *zero = (int32_t)(-least * by + 0.5f);
    shift = (float)*zero + 0.5f; /* what follows cuts */
    for (size_t i = 0; i < cols; i += V_LANES) {
        vf v = V_MADD(V_LOAD(x + i), V_ALL(by), V_ALL(shift));

        v = V_MIN(V_MAX(v, V_ALL(0.0f)), V_ALL(255.0f));
        V_BYTES(q + i, v);
    }
}

TARGET static void
quantise(const float *x, size_t n, size_t cols, const struct bert_rows *out)
{
    for (size_t i = 0; i < n; i++)
        quantise_row(x + i * cols, cols, out->q + i * cols, &out->scale[i], &out->zero[i]);
}

/* x Φ(x) = max(x, 0) − |x| Φ(−|x|). The second part is a polynomial over [0, 5] (Chebyshev nodes, 2e-5 off at most), 0 beyond. */
TARGET static void
gelu(float *x, size_t n)
{
    static const float p[] = {
#include "embedder/minilm/gelu.tbl"
    };
    const vf zero = { 0 };

    for (size_t i = 0; i < n; i += V_LANES) {
        vf v = V_LOAD(x + i), a = V_MIN(V_MAX(v, -v), V_ALL(5.0f)), t = V_MADD(a, V_ALL(0.4f), V_ALL(-1.0f)),
           y = V_ALL(p[0]);

        UNROLL
        for (size_t k = 1; k < sizeof p / sizeof *p; k++)
            y = V_MADD(y, t, V_ALL(p[k]));
        V_STORE(x + i, V_MAX(v, zero) - y);
    }
}

TARGET static void
norm(float *x, const float *add, size_t n, size_t cols, const struct bert_norm *w, float eps)
{
    for (size_t r = 0; r < n; r++, x += cols) {
        vf sum = { 0 }, squares = { 0 };
        float mean, by;

        for (size_t i = 0; i < cols; i += V_LANES) {
            vf v = V_LOAD(x + i);

            if (add) {
                v += V_LOAD(add + r * cols + i);
                V_STORE(x + i, v);
            }
            sum += v;
        }
        mean = V_SUM(sum) / (float)cols;
        for (size_t i = 0; i < cols; i += V_LANES) {
            vf v = V_LOAD(x + i) - V_ALL(mean);

            squares = V_MADD(v, v, squares);
        }
        by = 1 / sqrtf(V_SUM(squares) / (float)cols + eps);
        for (size_t i = 0; i < cols; i += V_LANES) {
            vf v = (V_LOAD(x + i) - V_ALL(mean)) * V_ALL(by);

            V_STORE(x + i, V_MADD(v, V_LOAD(w->weight + i), V_LOAD(w->bias + i)));
        }
    }
}
