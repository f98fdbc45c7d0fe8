/* Vectors as all providers give them: of length 1. */
#include <math.h>

#include "embedder/embed.h"

bool
vector_unit(float *v, size_t n)
{
    double sum = 0;
    float scale;

    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    if (!isfinite(sum) || sum < 1e-24)
        return false;
    scale = (float)(1.0 / sqrt(sum));
    for (size_t i = 0; i < n; i++)
        v[i] *= scale;
    return true;
}
