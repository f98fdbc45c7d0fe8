/* The address of a source, for clients of the dialect, which show an address and nothing else: the document's
 * own page, else ours (api/source.c), whose address says by itself who may read it. A program with a key
 * shows it to readers of its own, so that it opens what stands around the citation, and not the document. */
#include "gateway/gateway.h"
#include "gateway/openai/openai.h"
#include "gateway/request/page_link.h"
#include "gateway/request/viewer.h"

struct viewer
source_viewer(const struct question *q)
{
    struct viewer v = viewer_of(q->r, q->session_hash);

    v.base = ((const struct wish *)q->dialect)->base;
    v.kind = q->r->who.anonymous ? 'c' : 'k';
    return v;
}

/* The id that the store has it by: a saved copy of a cached answer has ids of its own, one that nobody saved
 * leaves those of the first answer. */
static struct uuid
stored_id(const struct question *q, const struct citation *c)
{
    return q->from_cache && q->saved != SAVED_NO ? ask_citation_id(&q->message_id, c->n) : c->id;
}

/* The page of the document where readers can open it, else ours. */
void
source_url(const struct question *q, const struct citation *c, struct buf *url)
{
    const char *site = q->r->gw->opt->public_url;
    struct uuid id = stored_id(q, c);
    struct viewer viewer;

    if (page_open(url, site, c->url, c->section, c->page))
        return;
    viewer = source_viewer(q);
    viewer_link(url, &viewer, &id);
}

struct str
source_title(const struct citation *c)
{
    return c->title.n > 0     ? c->title
           : c->section.n > 0 ? c->section
           : c->chapter.n > 0 ? c->chapter
                              : STR("Source");
}
