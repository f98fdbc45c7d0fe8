/* JSON of answers, sources, messages, documents (render.h). Pure functions from messages of the bus to text. */
#include "gateway/request/render.h"

#include "common/clock.h"
#include "gateway/request/handler.h"
#include "gateway/safe/link_rule.h"
#include "gateway/request/page_link.h"
#include "proto/selection.h"
#include "gateway/edge/origin.h"

#define EXCERPT_CHARS 300

void
render_list(struct buf *b, const struct list *l)
{
    buf_c(b, '[');
    for (size_t i = 0; i < l->n; i++) {
        if (i > 0)
            buf_c(b, ',');
        l->render(b, (const char *)l->v + i * l->size, l->arg);
    }
    buf_c(b, ']');
}

void
render_key_uuid(struct buf *b, const char *key, const struct uuid *id)
{
    char text[37];

    buf_key_str(b, key, uuid_is_nil(id) ? STR_NONE : str_of(uuid_text(id, text)));
}

void
render_key_time(struct buf *b, const char *key, int64_t wall_ms)
{
    char text[32];

    buf_key_str(b, key, wall_ms <= 0 ? STR_NONE : str_of(clock_rfc3339(wall_ms, text)));
}

static void
key_id(struct buf *b, const char *key, const struct uuid *id)
{
    if (is_selection(id))
        buf_key_str(b, key, STR_NONE);
    else
        render_key_uuid(b, key, id);
}

void
render_place(struct buf *b, const struct uuid *document_id, int64_t start, int64_t end)
{
    if (is_selection(document_id) || end <= start) { /* an imported citation names no bytes of ours */
        buf_key_str(b, "start", STR_NONE);
        buf_key_str(b, "end", STR_NONE);
        return;
    }
    buf_key_int(b, "start", start);
    buf_key_int(b, "end", end);
}

void
render_ids(struct buf *b, const struct uuid *document_id, const struct uuid *chunk_id)
{
    key_id(b, "document_id", document_id);
    key_id(b, "chunk_id", chunk_id);
    buf_key_str(b, "kind", is_selection(document_id) ? STR("selection") : STR("document"));
}

static void
key_link(struct buf *b, const struct citation *c, const struct viewer *viewer)
{
    struct buf link = BUF_MAX(4096);

    if (link_plain(c->url)) {
        page_link(b, c->url, c->section, c->page);
        return;
    }
    if (viewer && !is_selection(&c->document_id))
        viewer_link(&link, viewer, &c->id);
    buf_key_str(b, "link", link.n > 0 && !link.failed ? buf_slice(&link) : STR_NONE);
    buf_free(&link);
}

/* Only of documents that have pages. */
static void
render_page(struct buf *b, int64_t page)
{
    if (page > 0)
        buf_key_int(b, "page", page);
}

void
render_source(struct buf *b, const struct citation *c, const struct viewer *viewer)
{
    buf_c(b, '{');
    render_key_uuid(b, "id", &c->id);
    buf_key_int(b, "n", c->n);
    render_ids(b, &c->document_id, &c->chunk_id);
    buf_key_str(b, "external_id", c->external_id);
    buf_key_str(b, "chapter", c->chapter);
    buf_key_str(b, "section", c->section);
    buf_key_str(b, "title", c->title);
    buf_key_str(b, "content_excerpt", c->excerpt);
    render_place(b, &c->document_id, c->start, c->end);
    key_link(b, c, viewer);
    render_page(b, c->page);
    buf_key_num(b, "confidence_score", c->score);
    buf_c(b, '}');
}

static void
source_item(struct buf *b, const void *item, void *arg)
{
    render_source(b, item, arg);
}

void
render_sources(struct buf *b, const struct citation *c, size_t n, const struct viewer *viewer)
{
    render_list(b, &(struct list){ .v = c,
                                   .n = n,
                                   .size = sizeof *c,
                                   .render = source_item,
                                   .arg = (void *)(uintptr_t)viewer });
}

void
render_candidate(struct buf *b, const struct hit *h, int64_t n, const struct uuid *id)
{
    struct str excerpt = text_chars(h->text, EXCERPT_CHARS);
    struct citation c = {
        .id = *id,
        .n = n,
        .document_id = h->document_id,
        .chunk_id = h->chunk_id,
        .external_id = h->external_id,
        .title = h->title,
        .chapter = h->chapter,
        .section = h->section,
        .url = h->url,
        .excerpt = excerpt,
        .start = h->start,
        .end = h->start + (int64_t)excerpt.n,
        .page = h->page,
        .score = h->score,
    };

    render_source(b, &c, NULL); /* nothing cites it yet */
}

void
render_hit(struct buf *b, const struct hit *h, bool explain)
{
    buf_c(b, '{');
    render_key_uuid(b, "chunk_id", &h->chunk_id);
    render_key_uuid(b, "document_id", &h->document_id);
    buf_key_str(b, "external_id", h->external_id);
    buf_key_str(b, "collection", h->collection);
    buf_key_str(b, "title", h->title);
    buf_key_str(b, "chapter", h->chapter);
    buf_key_str(b, "section", h->section);
    page_link(b, h->url, h->section, h->page);
    render_page(b, h->page);
    buf_key_str(b, "text", h->text);
    buf_key_int(b, "start", h->start);
    buf_key_int(b, "end", h->end);
    buf_key_num(b, "score", h->score);
    if (explain) {
        buf_key_num(b, "vector_score", h->vector);
        buf_key_num(b, "lexical_score", h->lexical);
        if (h->rerank > 0)
            buf_key_num(b, "rerank_score", h->rerank);
    }
    buf_c(b, '}');
}

void
render_message(struct buf *b, const struct message *m, const struct viewer *viewer)
{
    buf_c(b, '{');
    render_key_uuid(b, "id", &m->id);
    render_key_uuid(b, "conversation_id", &m->conversation_id);
    buf_key_str(b, "role", m->role);
    buf_key_str(b, "content", m->content);
    render_key_time(b, "created_at", m->created_ms);
    if (m->selection.n > 0)
        buf_key_str(b, "selected_text", m->selection);
    if (str_is(m->role, "assistant")) {
        buf_key_str(b, "status", m->status);
        if (!str_is(m->status, "incomplete"))
            buf_key_str(b, "finish", m->finish.n > 0 ? m->finish : STR("stop"));
        buf_key_str(b, "model", m->model);
        buf_key_num(b, "confidence", m->confidence);
        buf_key_bool(b, "grounded", m->grounded);
        buf_key_str(b, "cached", m->from_cache ? STR("query") : STR("none"));
        if (m->rating.n > 0) {
            buf_key(b, "feedback");
            buf_c(b, '{');
            buf_key_str(b, "rating", m->rating);
            buf_key_str(b, "comment", m->comment);
            buf_c(b, '}');
        }
    }
    buf_key(b, "sources");
    render_sources(b, m->citations.v, m->citations.n, viewer);
    buf_c(b, '}');
}

void
render_conversation(struct buf *b, const struct conversation *c)
{
    buf_c(b, '{');
    render_key_uuid(b, "id", &c->id);
    buf_key_str(b, "title", c->title);
    buf_key_int(b, "messages", c->messages);
    render_key_time(b, "created_at", c->created_ms);
    render_key_time(b, "updated_at", c->updated_ms);
    render_key_time(b, "expires_at", c->expires_ms);
    buf_c(b, '}');
}

void
render_document(struct buf *b, const struct document *d)
{
    char sha[65];

    buf_c(b, '{');
    render_key_uuid(b, "document_id", &d->id);
    buf_key_str(b, "external_id", d->external_id);
    buf_key_str(b, "collection", d->collection);
    buf_key_str(b, "title", d->title);
    buf_key_str(b, "url", d->url);
    buf_key_str(b, "chapter", d->chapter);
    buf_key_str(b, "section", d->section);
    buf_key(b, "metadata");
    buf_str(b,
            d->metadata.n > 0 ? d->metadata : STR("null")); /* the store keeps jsonb: always a whole value */
    buf_key_str(b, "content_type", d->mime);
    buf_key_str(b, "status", d->status);
    buf_key_str(b, "error", d->error);
    buf_key_int(b, "bytes", d->bytes);
    buf_key_int(b, "chunks", d->chunks);
    buf_key_str(b, "sha256", d->sha256.n == 32 ? str_of(hex_text(d->sha256.p, 32, sha)) : STR_NONE);
    render_key_time(b, "created_at", d->created_ms);
    render_key_time(b, "updated_at", d->updated_ms);
    buf_c(b, '}');
}

/* A number that 0 leaves to the deployment's default. */
static void
key_or_null(struct buf *b, const char *key, double v)
{
    buf_key(b, key);
    if (v > 0)
        buf_json_num(b, v);
    else
        buf_z(b, "null");
}

static void
key_model(struct buf *b, const char *key, struct str model, int64_t dims)
{
    buf_key(b, key);
    if (model.n == 0) {
        buf_z(b, "null");
        return;
    }
    buf_c(b, '{');
    buf_key_str(b, "name", model);
    buf_key_int(b, "dimensions", dims);
    buf_c(b, '}');
}

/* The models of its vectors: the one in use, the other one, and how far that is. null: it has no vectors yet. */
static void
key_embedding(struct buf *b, const struct collection *c)
{
    buf_key(b, "embedding");
    if (c->space.n == 0) {
        buf_z(b, "null");
        return;
    }
    buf_c(b, '{');
    key_model(b, "model", c->space, c->space_dims);
    buf_key_str(b, "state", c->space_state);
    render_key_time(b, "since", c->space_since_ms);
    key_model(b, "other", c->other, c->other_dims);
    buf_key(b, "chunks_done");
    if (str_is(c->space_state, "building"))
        buf_printf(b, "%lld", (long long)c->other_chunks);
    else
        buf_z(b, "null");
    buf_key(b, "overlap_at_10");
    if (c->compared > 0)
        buf_json_num(b, c->overlap);
    else
        buf_z(b, "null");
    buf_key_int(b, "compared", c->compared);
    buf_key_str(b, "error", c->space_error);
    buf_key_bool(b, "held", c->space_held);
    buf_c(b, '}');
}

void
render_collection(struct buf *b, const struct collection *c)
{
    buf_c(b, '{');
    buf_key_str(b, "name", c->name);
    buf_key_str(b, "prompt", c->prompt);
    buf_key_str(b, "refusal", c->refusal);
    buf_key_str(b, "model", c->model);
    key_or_null(b, "top_k", (double)c->top_k);
    key_or_null(b, "threshold", c->threshold);
    key_or_null(b, "retention_days", (double)c->retention_days);
    buf_key_str(b, "language", c->language);
    buf_key_str(b, "cache_scope", c->cache_scope);
    buf_key_int(b, "documents", c->documents);
    buf_key_int(b, "chunks", c->chunks);
    buf_key_int(b, "epoch", c->epoch);
    render_key_time(b, "created_at", c->created_ms);
    key_embedding(b, c);
    buf_c(b, '}');
}

void
render_job(struct buf *b, const struct job_rep *j)
{
    buf_c(b, '{');
    render_key_uuid(b, "job_id", &j->job_id);
    buf_key_str(b, "status", j->status);
    buf_key_str(b, "collection", j->collection);
    buf_key_int(b, "files", j->files);
    buf_key_int(b, "files_done", j->files_done);
    buf_key_int(b, "files_failed", j->files_failed);
    buf_key_int(b, "chunks", j->chunks);
    buf_key_int(b, "embedded", j->embedded);
    buf_key_str(b, "error", j->error);
    render_key_time(b, "created_at", j->created_ms);
    buf_c(b, '}');
}

static void
str_item(struct buf *b, const void *item, void *arg)
{
    (void)arg;
    buf_json(b, *(const struct str *)item);
}

void
render_key_strs(struct buf *b, const char *key, const struct str *v, size_t n)
{
    buf_key(b, key);
    render_list(b, &(struct list){ .v = v, .n = n, .size = sizeof *v, .render = str_item });
}

static void
key_hash(struct buf *b, const char *key, struct str hash)
{
    char text[65];

    buf_key_str(b, key, hash.n == 32 ? str_of(hex_text(hash.p, 32, text)) : STR_NONE);
}

void
render_api_key_members(struct buf *b, const struct api_key *k)
{
    char day[32];

    buf_key_str(b, "label", k->label);
    buf_key_str(b, "tenant", k->tenant);
    render_key_strs(b, "scopes", k->scopes.v, k->scopes.n);
    render_key_strs(b, "collections", k->collections.v, k->collections.n);
    render_key_strs(b, "origins", k->origins.v, k->origins.n);
    key_or_null(b, "per_minute", (double)k->per_minute);
    key_or_null(b, "per_hour", (double)k->per_hour);
    key_or_null(b, "per_day", (double)k->per_day);
    key_or_null(b, "tokens_per_day", (double)k->tokens_per_day);
    key_or_null(b, "dollars_per_day", (double)k->nanos_per_day / 1e9);
    key_hash(b, "limits_id", k->limits.n == 32 ? k->limits : k->hash);
    render_key_time(b, "created_at", k->created_ms);
    render_key_time(b, "expires_at", k->expires_ms);
    key_hash(b, "replaced_by", k->replaced_by);
    buf_key_str(b, "last_used_on",
                k->used_ms > 0 ? (struct str){ clock_rfc3339(k->used_ms, day), 10 } : STR_NONE);
}

void
render_listed_key(struct buf *b, const struct api_key *k)
{
    buf_c(b, '{');
    key_hash(b, "id", k->hash);
    render_api_key_members(b, k);
    buf_key_int(b, "tokens_today", k->tokens_today);
    buf_key_num(b, "dollars_today", (double)k->nanos_today / 1e9);
    buf_c(b, '}');
}

void
render_api_key(struct buf *b, const struct api_key *k)
{
    buf_c(b, '{');
    key_hash(b, "id", k->hash);
    render_api_key_members(b, k);
    buf_c(b, '}');
}
