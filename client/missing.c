/* Documents of the collection that are not among the files: named, or deleted when --delete-missing asks for it, so that the collection
 * equals the folder. */
#include <stdlib.h>

#include "common/text/text.h"
#include "client/client.h"

#define SHOWN 20

struct gone { char id[37]; char *own; };
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

static bool
delete_all(struct cli *c, const struct missing *m)
{
    size_t done = 0;

    for (size_t i = 0; i < m->n; i++) {
        char path[64];
        struct call k;

        snprintf(path, sizeof path, "/api/v1/documents/%s", m->v[i].id);
        call_init(&k, c, "DELETE", path, STR_NONE, NULL);
        done += call_run(&k, c) || k.status == 404;
        call_fini(&k);
    }
    printf("%zu documents that are no files any more were deleted\n", done);
    return done == m->n;
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

int
missing_handle(struct cli *c, const struct found_list *files)
{
    struct missing m = { .files = files };
    struct buf path = { 0 };
    bool ok;

    if (!c->opt[CLI_COLLECTION])
        c->opt[CLI_COLLECTION] = "docs"; /* where the server puts documents: never those of other collections */
    documents_path(c, &path);
    ok = each_item(c, path.p, NULL, on_document, &m);
    if (ok && m.n > 0 && c->opt[CLI_DELETE_MISSING])
        ok = delete_all(c, &m);
    else if (ok && m.n > 0)
        name_all(c, &m);
    for (size_t i = 0; i < m.n; i++)
        mem_free(&m.v[i].own);
    mem_free(&m.v);
    buf_free(&path);
    return ok ? 0 : 1;
}
