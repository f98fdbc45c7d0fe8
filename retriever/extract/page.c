/* Markdown and MDX pages: their own source, in which what the page does not show is blank (markup.h). */
#include "retriever/extract/extract.h"
#include "retriever/extract/front_matter.h"
#include "retriever/extract/heading.h"
#include "retriever/extract/markdown.h"
#include "retriever/extract/markup.h"
#include "text/clean.h"

static const char *
page_read(struct str body, bool mdx, struct extracted *x)
{
    struct buf clean = BUF_MAX(x->text.max);
    const char *why = clean_text(body, &clean);

    if (!why && clean.n > 0) {
        markup_hide(clean.p, clean.n, front_matter(buf_slice(&clean)), mdx);
        why = clean_compose(buf_slice(&clean), &x->text);
    }
    if (!why)
        x->title = md_title(buf_slice(&x->text), x->arena);
    buf_free(&clean);
    return why;
}

static const char *
markdown_read(struct str body, struct extracted *x)
{
    return page_read(body, false, x);
}

static const char *
mdx_read(struct str body, struct extracted *x)
{
    return page_read(body, true, x);
}

/* Front matter is kept in the text but is no passage. */
static bool
page_next(const struct extracted *x, size_t *at, struct block *out)
{
    struct str text = buf_slice(&x->text);

    if (*at == 0)
        *at = front_matter(text);
    if (!block_next(text, true, at, out))
        return false;
    if (out->kind == BLOCK_HEADING)
        out->id = heading_id(out->heading);
    return true;
}

static struct str
page_table_head(const struct extracted *x, size_t at)
{
    return md_table_head(buf_slice(&x->text), at);
}

const struct extractor extractor_markdown = {
    .read = markdown_read, .next = page_next, .heading = heading_whole, .table_head = page_table_head
};
const struct extractor extractor_mdx = {
    .read = mdx_read, .next = page_next, .heading = heading_whole, .table_head = page_table_head
};
