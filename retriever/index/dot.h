/* Inner products: int8 for the scan, float32 for the re-rank. AVX2 when the processor has it, else plain C. */
#ifndef RETRIEVER_INDEX_DOT_H
#define RETRIEVER_INDEX_DOT_H

#include <stddef.h>
#include <stdint.h>

typedef int32_t (*dot_i8_fn)(const int8_t *a, const int8_t *b, size_t n);

dot_i8_fn dot_i8(void); /* the fastest this processor runs; values are −127 … 127 */
int32_t dot_i8_plain(const int8_t *a, const int8_t *b, size_t n); /* the same sums, in plain C */
float dot_f32(const float *a, const float *b, size_t n);
/* v → q = round(v × 127 / max|v|); returns max|v| / 127, so that v ≈ q × scale. 0 for a zero vector. */
float dot_quantise(const float *v, size_t n, int8_t *q);

#endif
