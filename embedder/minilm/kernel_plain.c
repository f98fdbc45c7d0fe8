/* The kernel for any processor: plain C; vectors of 4 floats, which compilers make of whatever there is. */
#include "embedder/minilm/kernel.h"

#define V_LANES 4
#define TARGET
#define V_MADD(a, b, c) ((a) * (b) + (c))
#define V_PICK(mask, a, b) ((vf)(((vi)(a) & (mask)) | ((vi)(b) & ~(mask))))
#define V_MAX(a, b) V_PICK((a) > (b), a, b)
#define V_MIN(a, b) V_PICK((a) < (b), a, b)
#define V_BYTES(p, v) \
    do { \
        for (size_t lane = 0; lane < V_LANES; lane++) \
            (p)[lane] = (uint8_t)(v)[lane]; \
    } while (0)
#include "embedder/minilm/kernel_rows.h"
#include "embedder/minilm/kernel_attend.h"

/* One row of a against one panel. */
static void
multiply_panel(const struct bert_matrix *m, size_t panel, const uint8_t *a, float scale, int32_t zero,
               float *out)
{
    const int8_t *w = m->w + panel * BERT_PANEL * m->cols;
    size_t first = panel * BERT_PANEL;
    int32_t acc[BERT_PANEL] = { 0 };

    for (size_t k = 0; k < m->cols; k += 4, w += 4 * BERT_PANEL)
        for (size_t r = 0; r < BERT_PANEL; r++)
            acc[r] += a[k] * w[4 * r] + a[k + 1] * w[4 * r + 1] + a[k + 2] * w[4 * r + 2] +
                      a[k + 3] * w[4 * r + 3];
    for (size_t r = 0; r < BERT_PANEL; r++)
        out[first + r] = (float)(acc[r] - zero * m->sum[first + r]) * (scale * m->scale[first + r]) +
                         m->bias[first + r];
}

static void
multiply_plain(const struct bert_matrix *m, const struct bert_rows *a, size_t n, float *out, size_t stride)
{
    for (size_t panel = 0; panel < m->rows / BERT_PANEL; panel++)
        for (size_t i = 0; i < n; i++)
            multiply_panel(m, panel, a->q + i * m->cols, a->scale[i], a->zero[i], out + i * stride);
}

const struct bert_kernel bert_plain = { "plain", multiply_plain, quantise, gelu, norm, attend };
