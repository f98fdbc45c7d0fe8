/* The float part of a kernel: attention. Included behind kernel_rows.h, whose vectors it uses (no guard, on purpose: each kernel makes it anew).
 *
 *   queries × keys ─▶ scores of a tile of queries ─▶ softmax ─▶ × values */
/* e^x for x ≤ 0: 2^(whole part) by its exponent, 2^(rest) by a polynomial of Taylor's; 3e-7 off at most. Below −87 it is next to 0. */
INLINE void
v_exp(vf *x)
{
    const vf magic = V_ALL(12582912.0f); /* 1.5 × 2^23: its last bits count whole numbers */
    vf y = V_MAX(*x, V_ALL(-87.0f)) * V_ALL(1.44269504f), whole = y + magic, f = y - (whole - magic),
       p = V_ALL(1.3333558e-3f);
    vi bits;

    p = V_MADD(p, f, V_ALL(9.6181291e-3f));
    p = V_MADD(p, f, V_ALL(5.5504109e-2f));
    p = V_MADD(p, f, V_ALL(2.4022651e-1f));
    p = V_MADD(p, f, V_ALL(6.9314718e-1f));
    p = V_MADD(p, f, V_ALL(1.0f));
    bits = (vi)p + (((vi)whole - (vi)magic) << 23);
    *x = (vf)bits;
}

/* n scores → weights that sum to 1; what is behind n, up to a whole vector, becomes 0. */
TARGET static void
softmax(float *s, size_t n, size_t padded)
{
    vf most, sum = { 0 };
    float top, by;

    for (size_t i = n; i < padded; i++)
        s[i] = -1e30f;
    most = V_LOAD(s);
    for (size_t i = V_LANES; i < padded; i += V_LANES)
        most = V_MAX(most, V_LOAD(s + i));
    top = most[0];
    for (size_t i = 1; i < V_LANES; i++)
        top = most[i] > top ? most[i] : top;
    for (size_t i = 0; i < padded; i += V_LANES) {
        vf v = V_LOAD(s + i) - V_ALL(top);

        v_exp(&v);
        V_STORE(s + i, v);
    }
    for (size_t i = n; i < padded; i++)
        s[i] = 0;
    for (size_t i = 0; i < padded; i += V_LANES)
        sum += V_LOAD(s + i);
    by = 1 / V_SUM(sum);
    for (size_t i = 0; i < padded; i += V_LANES)
        V_STORE(s + i, V_LOAD(s + i) * V_ALL(by));
}

/* Scores of BERT_TILE queries (rows, stride apart) against all keys, which stand by columns: kt[d][padded]. */
INLINE void
scores(const float *q, size_t stride, const float *kt, size_t d, size_t padded, float *s, size_t rows)
{
    for (size_t j = 0; j < padded; j += 2 * V_LANES) {
        vf acc[BERT_TILE][2] = { { { 0 } } };

        for (size_t i = 0; i < d; i++) {
            vf k0 = V_LOAD(kt + i * padded + j), k1 = V_LOAD(kt + i * padded + j + V_LANES);

            UNROLL
            for (size_t r = 0; r < rows; r++) {
                vf x = V_ALL(q[r * stride + i]);

                acc[r][0] = V_MADD(x, k0, acc[r][0]);
                acc[r][1] = V_MADD(x, k1, acc[r][1]);
            }
        }
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            V_STORE(s + r * padded + j, acc[r][0]);
            V_STORE(s + r * padded + j + V_LANES, acc[r][1]);
        }
    }
}

/* out = weights × values, for BERT_TILE queries. */
INLINE void
mix(const float *s, size_t padded, const float *v, size_t stride, size_t n, size_t d, float *out,
    size_t out_stride, size_t rows)
{
    for (size_t i = 0; i < d; i += 16) {
        vf acc[BERT_TILE][16 / V_LANES] = { { { 0 } } };

        for (size_t j = 0; j < n; j++)
            UNROLL
        for (size_t r = 0; r < rows; r++)
            UNROLL
        for (size_t c = 0; c < 16 / V_LANES; c++)
            acc[r][c] = V_MADD(V_ALL(s[r * padded + j]), V_LOAD(v + j * stride + i + c * V_LANES), acc[r][c]);
        UNROLL
        for (size_t r = 0; r < rows; r++)
            UNROLL
        for (size_t c = 0; c < 16 / V_LANES; c++)
            V_STORE(out + r * out_stride + i + c * V_LANES, acc[r][c]);
    }
}

INLINE void
attend_rows(const float *q, const float *kt, const float *v, size_t n, size_t padded, size_t d, size_t stride,
            float *out, size_t out_stride, float *s, size_t rows)
{
    scores(q, stride, kt, d, padded, s, rows);
    UNROLL
    for (size_t r = 0; r < rows; r++)
        softmax(s + r * padded, n, padded);
    mix(s, padded, v, stride, n, d, out, out_stride, rows);
}

TARGET static void
attend(const float *q, const float *k, const float *v, size_t n, size_t d, size_t stride, float *out,
       size_t out_stride, float *room)
{
    size_t padded = (n + 2 * V_LANES - 1) / (2 * V_LANES) * (2 * V_LANES), i = 0;
    float *s = room + d * padded;

    for (size_t c = 0; c < d; c++) {
        for (size_t j = 0; j < n; j++)
            room[c * padded + j] = k[j * stride + c];
        for (size_t j = n; j < padded; j++)
            room[c * padded + j] = 0;
    }
    for (; i + BERT_TILE <= n; i += BERT_TILE)
        attend_rows(q + i * stride, room, v, n, padded, d, stride, out + i * out_stride, out_stride, s,
                    BERT_TILE);
    for (; i < n; i++)
        attend_rows(q + i * stride, room, v, n, padded, d, stride, out + i * out_stride, out_stride, s, 1);
}
