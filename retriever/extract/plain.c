/* Plain text: paragraphs, which empty lines separate. */
#include "retriever/extract/plain.h"
#include "retriever/extract/markdown.h"
#include "text/clean.h"

const char *
plain_read(struct str body, struct extracted *x)
{
    struct buf clean = BUF_MAX(x->text.max);
    const char *why = clean_text(body, &clean);

    if (!why)
        why = clean_compose(buf_slice(&clean), &x->text);
    buf_free(&clean);
    return why;
}

static bool
plain_next(const struct extracted *x, size_t *at, struct block *out)
{
    return block_next(buf_slice(&x->text), false, at, out);
}

const struct extractor extractor_plain = { .read = plain_read, .next = plain_next };
