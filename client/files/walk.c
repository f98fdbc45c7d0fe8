/* The files that are documents: those below the folders (or among the files) that were named whose ending
 * proto/format.tbl has, and that exclude.c does not leave out. Hidden files and folders are passed over, symbolic links not
 * followed, everything else is remembered as skipped. */
#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/files/exclude.h"
#include "client/files/files.h"
#include "proto/format.h"

static void
add_found(struct found_list *l, const char *path, const char *id, int64_t bytes)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->v = mem_resize(l->v, l->cap * sizeof *l->v);
    }
    l->v[l->n++] = (struct found){ .path = mem_dup(path), .id = mem_dup(id), .bytes = bytes };
}

static void
add_skipped(struct found_list *l, const char *path, const char *why)
{
    if (l->n_skipped == l->cap_skipped) {
        l->cap_skipped = l->cap_skipped ? l->cap_skipped * 2 : 64;
        l->skipped = mem_resize(l->skipped, l->cap_skipped * sizeof *l->skipped);
    }
    l->skipped[l->n_skipped++] = (struct skipped){ mem_dup(path), why };
}

/* The id of a file below root; of a file that was named itself, its name. */
static const char *
id_of(const FTSENT *e, size_t root_length)
{
    const char *id = e->fts_path + root_length;

    if (e->fts_level == 0)
        return e->fts_name;
    while (*id == '/')
        id++;
    return id;
}

/* A folder is of a built site when it, or one above it, has an index.html: what it has of scripts and styles belongs to the pages. */
static void
note_site(FTSENT *e)
{
    struct buf index = { 0 };

    buf_printf(&index, "%s/index.html", e->fts_path);
    e->fts_number = e->fts_parent->fts_number || access(index.p, F_OK) == 0;
    buf_free(&index);
}

/* A file that is named itself is taken, whatever it is called and says of itself. */
static void
add_file(const FTSENT *e, size_t root_length, struct found_list *l)
{
    const char *why = NULL;

    if (format_of_name(str_of(e->fts_name)) == FORMAT_NONE)
        why = "of no format that is taken";
    else if (e->fts_statp->st_size == 0)
        why = "empty";
    else if (e->fts_level > 0)
        why = exclude_file(e->fts_path, e->fts_name, e->fts_parent->fts_number != 0);
    if (why)
        add_skipped(l, e->fts_path, why);
    else
        add_found(l, e->fts_path, id_of(e, root_length), e->fts_statp->st_size);
}

static void
visit(FTS *fts, FTSENT *e, size_t root_length, struct found_list *l)
{
    if (e->fts_level > 0 && e->fts_name[0] == '.') {
        if (e->fts_info == FTS_D)
            fts_set(fts, e, FTS_SKIP);
        return;
    }
    switch (e->fts_info) {
    case FTS_D: note_site(e); break;
    case FTS_DP: break;
    case FTS_DNR:
    case FTS_NS:
    case FTS_ERR:
        say("cannot read %s: %s", e->fts_path, strerror(e->fts_errno));
        l->failed = true;
        break;
    case FTS_F: add_file(e, root_length, l); break;
    default: add_skipped(l, e->fts_path, "no file");
    }
}

void
walk(const char *path, struct found_list *out)
{
    char *root = mem_dup(path);
    char *roots[] = { root, NULL };
    size_t n = strlen(root);
    FTS *fts;
    FTSENT *e;

    while (n > 1 && root[n - 1] == '/')
        root[--n] = 0;
    fts = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
    if (!fts) {
        say("cannot read %s: %s", path, strerror(errno));
        out->failed = true;
    }
    while (fts && (e = fts_read(fts)) != NULL)
        visit(fts, e, n, out);
    if (fts)
        fts_close(fts);
    mem_free(&root);
}

static int
compare(const void *a, const void *b)
{
    const struct found *x = a, *y = b;

    return strcmp(x->id, y->id);
}

bool
found_sort(struct found_list *l)
{
    if (l->n > 1)
        qsort(l->v, l->n, sizeof *l->v, compare);
    for (size_t i = 1; i < l->n; i++)
        if (strcmp(l->v[i - 1].id, l->v[i].id) == 0) {
            say("%s and %s would both be the document \"%s\": name the folder above them, or use two collections",
                l->v[i - 1].path, l->v[i].path, l->v[i].id);
            return false;
        }
    return true;
}

void
found_fini(struct found_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        mem_free(&l->v[i].path);
        mem_free(&l->v[i].id);
    }
    for (size_t i = 0; i < l->n_skipped; i++)
        mem_free(&l->skipped[i].path);
    mem_free(&l->v);
    mem_free(&l->skipped);
}
