/* Documents of a batch → lines of _bulk. A document's older version may have had more passages: its head says how many. */
#include <stdio.h>

#include "common/hash.h"
#include "common/log.h"
#include "common/text/json.h"
#include "common/text/text.h"
#include "retriever/opensearch/opensearch.h"

enum { BULK_BYTES = 4 << 20 };

/* ---- lines for one generation, sent when they are many */

enum { BULK_LINES = 8192 };
struct bulk {
    struct cluster_engine *e;
    struct cluster_conn *conn;
    struct generation *g;
    const struct changes *batch;
    struct buf body;
    struct engine_change *owner[BULK_LINES]; /* of each line */
    bool head[BULK_LINES];                   /* is it a head's */
    size_t n;
    bool again; /* something was not taken, for now */
};

/* A line that is there already, or is older than what is there, is as good as taken. */
static void
bulk_item(struct bulk *b, size_t i, const json_t *item)
{
    static struct log_gate gate;
    struct engine_change *c = b->owner[i];
    int64_t status = json_int(item, "status", 0);

    if (b->head[i] && status == 409 && c->doc && c->err == ERR_OK)
        c->err = ERR_CONFLICT;
    else if (status == 429 || status >= 500 || status == 0) {
        b->again = true;
    } else if (status >= 400 && status != 404 && status != 409) {
        c->err = ERR_INTERNAL;
        if (log_gate(&gate))
            LOG(WARN, NULL, M("the search cluster refuses a passage"), KI("status", status),
                KN("reason", json_str(json_object_get(item, "error"), "reason")));
    }
}

static void
bulk_send(struct bulk *b)
{
    char path[192];
    json_t *v = NULL, *items, *one;
    const char *op;
    size_t i;

    if (b->n == 0 || b->again)
        return;
    (void)snprintf(path, sizeof path, "/%s/_bulk?filter_path=errors,items.*.status,items.*.error.reason",
                   b->g->name);
    if (!cluster_post(b->e, b->conn, path, buf_slice(&b->body), &v)) {
        b->again = true;
    } else if (json_flag(v, "errors", true)) {
        items = json_object_get(v, "items");
        b->again = json_array_size(items) != b->n;
        for (i = 0; i < json_array_size(items) && i < b->n; i++)
            json_object_foreach (json_array_get(items, i), op, one)
                bulk_item(b, i, one);
    }
    json_decref(v);
    buf_reset(&b->body);
    b->n = 0;
}

/* The head of a line: "index" or "delete". part: the passage's number; -1: the head of the document. */
static void
bulk_line(struct bulk *b, struct engine_change *c, const char *op, int64_t part, int64_t version)
{
    char id[37];

    if (b->n == BULK_LINES || b->body.n > BULK_BYTES)
        bulk_send(b);
    b->head[b->n] = part < 0;
    b->owner[b->n++] = c;
    buf_printf(&b->body, "{\"%s\":{\"_id\":\"%s:", op, uuid_text(&c->id, id));
    if (part < 0)
        buf_c(&b->body, 'h');
    else
        buf_printf(&b->body, "%lld", (long long)part);
    buf_printf(&b->body, "\",\"version\":%lld,\"version_type\":\"external\"}}\n", (long long)version);
}

static void
bulk_doc(struct bulk *b, struct engine_change *c, const struct cluster_doc *d)
{
    const char *at = d->lines.p, *end = at + d->lines.n;

    for (int64_t part = 0; at < end; part++) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));

        bulk_line(b, c, "index", part, c->version);
        buf_add(&b->body, at, (size_t)(nl - at));
        buf_printf(&b->body, ",\"ver\":%lld}\n", (long long)c->version);
        at = nl + 1;
    }
}

/* Parts of the older version that the new one does not have, and the head last: until it stands, all of it is repeated. */
static void
bulk_change(struct bulk *b, struct engine_change *c, int64_t had)
{
    const struct cluster_doc *d = c->doc;
    int64_t n = d ? (int64_t)d->n : 0;

    if (d && d->n > 0)
        bulk_doc(b, c, d);
    for (int64_t part = n; part < had; part++)
        bulk_line(b, c, "delete", part, c->version);
    bulk_line(b, c, n > 0 ? "index" : "delete", -1, c->version);
    if (n == 0)
        return;
    buf_printf(&b->body, "{\"ver\":%lld,\"h\":%lld", (long long)c->version, (long long)n);
    buf_key(&b->body, "k");
    buf_c(&b->body, '"');
    buf_printf(&b->body, "%016llx", (unsigned long long)hash_pair(c->tenant, c->collection));
    buf_z(&b->body, "\"}\n");
}

/* ---- heads */

struct head {
    int64_t had, version;
};

static bool
read_heads(const struct bulk *w, struct head *heads)
{
    struct buf b = BUF_MAX(1 << 20);
    char path[160], id[37];
    size_t i = 0;
    json_t *v = NULL, *docs;

    (void)snprintf(path, sizeof path, "/%s/_mget", w->g->name);
    buf_z(&b, "{\"ids\":");
    for (const struct engine_change *c = w->batch->first; c; c = c->next)
        buf_printf(&b, "%c\"%s:h\"", c == w->batch->first ? '[' : ',', uuid_text(&c->id, id));
    buf_z(&b, "]}");
    bool good = cluster_post(w->e, w->conn, path, buf_slice(&b), &v);

    docs = json_object_get(v, "docs");
    good = good && json_array_size(docs) == w->batch->n;
    for (; good && i < w->batch->n; i++) {
        const json_t *one = json_array_get(docs, i), *source = json_object_get(one, "_source");

        heads[i] = (struct head){ json_int(source, "h", 0), json_int(one, "_version", -1) };
        good = !json_object_get(one, "error");
    }
    json_decref(v);
    buf_free(&b);
    return good;
}

/* Of the same document twice in a batch the second one must know of the first one's parts. */
static int64_t
parts_before(const struct bulk *w, const struct engine_change *c, const struct head *h)
{
    int64_t had = h->had;

    for (const struct engine_change *x = w->batch->first; x != c; x = x->next)
        if (x->doc && uuid_eq(&x->id, &c->id) && (int64_t)((const struct cluster_doc *)x->doc)->n > had)
            had = (int64_t)((const struct cluster_doc *)x->doc)->n;
    return had;
}

static bool
spaces_known(const struct bulk *w)
{
    bool good = true;

    for (const struct engine_change *c = w->batch->first; c; c = c->next) {
        const struct cluster_doc *d = c->doc;

        for (size_t i = 0; d && good && i < d->n_spaces; i++)
            good = schema_space(w->e, w->conn, w->g, &d->space[i]);
    }
    return good;
}

/* The head was refused: somebody else wrote a newer one meanwhile, and may not have known of passages that came only now. Those that are
 * ours go; newer ones have a higher version. A head of this very version is our own, of a call that seemed lost. */
static void
take_back(struct bulk *b, struct head *heads)
{
    size_t i = 0, n = 0;

    for (const struct engine_change *c = b->batch->first; c; c = c->next)
        n += c->err == ERR_CONFLICT;
    if (b->again || n == 0)
        return;
    b->again = !read_heads(b, heads);
    for (struct engine_change *c = b->batch->first; c && !b->again; c = c->next, i++) {
        const struct cluster_doc *d = c->doc;

        for (size_t part = 0; c->err == ERR_CONFLICT && heads[i].version != c->version && part < d->n; part++)
            bulk_line(b, c, "delete", (int64_t)part, c->version + 1);
    }
    bulk_send(b);
    for (struct engine_change *c = b->batch->first; c; c = c->next)
        c->err = c->err == ERR_CONFLICT ? ERR_OK : c->err;
}

bool
bulk_put(struct cluster_engine *e, struct cluster_conn *x, struct generation *g, const struct changes *batch)
{
    struct head *heads = mem_new((batch->n + 1) * sizeof *heads);
    struct bulk *b = mem_new(sizeof *b);
    size_t i = 0;

    *b = (struct bulk){ .e = e, .conn = x, .g = g, .batch = batch };
    b->again = !spaces_known(b) || !read_heads(b, heads);
    for (struct engine_change *c = batch->first; c && !b->again; c = c->next, i++)
        if (heads[i].version < c->version)
            bulk_change(b, c, parts_before(b, c, &heads[i]));
    bulk_send(b);
    take_back(b, heads);
    bool good = !b->again;

    buf_free(&b->body);
    mem_free(&b);
    mem_free(&heads);
    return good;
}
