/* Documents of the collection that are not among the files: named, or deleted when --delete-missing asks for
 * it, so that the collection equals the folder. */
#include <stdlib.h>

#include "client/files/files.h"

#define SHOWN 20

struct gone {
    char id[37];
    char *own;
};
struct missing {
    const struct found_list *files;
    struct gone *v;
    size_t n, cap;
};

static int
by_id(const void *key, const void *row)
{
    const struct found *f = row;

    return strcmp(key, f->id);
}

static bool
on_document(void *arg, const json_t *d)
{
    struct missing *m = arg;
    struct str id = json_str(d, "document_id");
    char *own = mem_dup_str(json_str(d, "external_id"));

    if (id.n != 36 || bsearch(own, m->files->v, m->files->n, sizeof *m->files->v, by_id)) {
        mem_free(&own);
        return true;
    }
    if (m->n == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 64;
        m->v = mem_resize(m->v, m->cap * sizeof *m->v);
    }
    memcpy(m->v[m->n].id, id.p, 36);
    m->v[m->n].id[36] = 0;
    m->v[m->n++].own = own;
    return true;
}

/* How many are gone. */
static size_t
delete_all(const struct cli *c, const struct missing *m)
{
    size_t done = 0;

    for (size_t i = 0; i < m->n; i++) {
        char path[64];
        struct fetch k;

        snprintf(path, sizeof path, "/api/v1/documents/%s", m->v[i].id);
        fetch_init(&k, c, "DELETE", path, STR_NONE, NULL);
        done += fetch_run(&k, c) || k.status == 404;
        fetch_fini(&k);
    }
    if (!c->opt[CLI_JSON])
        printf("%zu documents that are no files any more were deleted\n", done);
    return done;
}

static void
name_all(const struct cli *c, const struct missing *m)
{
    say("%zu documents of collection %s are not among the files; --delete-missing deletes them:", m->n,
        c->opt[CLI_COLLECTION] ? c->opt[CLI_COLLECTION] : "docs");
    for (size_t i = 0; i < m->n && i < SHOWN; i++)
        say("  %s", m->v[i].own);
    if (m->n > SHOWN)
        say("  … and %zu more", m->n - SHOWN);
}

static void
put_all(const struct missing *m, size_t deleted, struct buf *object)
{
    buf_key(object, "missing");
    buf_c(object, '[');
    for (size_t i = 0; i < m->n; i++) {
        buf_z(object, i > 0 ? "," : "");
        buf_json_z(object, m->v[i].own);
    }
    buf_c(object, ']');
    buf_key_int(object, "deleted", (int64_t)deleted);
}

int
missing_handle(struct cli *c, const struct found_list *files, struct buf *object)
{
    struct missing m = { .files = files };
    struct cli quiet = cli_quiet(c);
    struct buf path = { 0 };
    size_t deleted = 0;
    bool ok;

    if (!c->opt[CLI_COLLECTION])
        /* where the server puts documents: never those of other collections */
        c->opt[CLI_COLLECTION] = "docs";
    documents_path(c, &path);
    ok = each_item(&quiet, path.p, NULL, on_document, &m);
    if (ok && m.n > 0 && c->opt[CLI_DELETE_MISSING])
        deleted = delete_all(c, &m);
    else if (ok && m.n > 0)
        name_all(c, &m);
    if (ok && c->opt[CLI_JSON])
        put_all(&m, deleted, object);
    ok = ok && (!c->opt[CLI_DELETE_MISSING] || deleted == m.n);
    for (size_t i = 0; i < m.n; i++)
        mem_free(&m.v[i].own);
    mem_free(&m.v);
    buf_free(&path);
    return ok ? 0 : 1;
}
