/* Source code and other text whose lines stay lines: what empty lines separate is a block, which is cut at lines only. */
#include "retriever/extract/markdown.h"
#include "retriever/extract/plain.h"

static bool
code_next(const struct extracted *x, size_t *at, struct block *out)
{
    bool more = block_next(buf_slice(&x->text), false, at, out);

    out->kind = BLOCK_FENCE;
    return more;
}

const struct extractor extractor_code = { .read = plain_read, .next = code_next };
