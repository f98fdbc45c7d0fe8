/* footnote sync DIR: the collection follows a folder: what is new or changed is added, what is no longer
 * there is deleted. Without --dry-run it is `footnote ingest --delete-missing`; with it the files are found
 * and read as that does it (client/files/file.c), and compared with what the collection has. */
#include "client/sync/sync.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "client/files/files.h"
#include "client/tally.h"
#include "common/digest.h"
#include "common/text/text.h"

struct stored {
    char *id, *url;
    char sha256[65];
};
struct comparing {
    struct site site;
    struct stored *v;
    size_t n, cap;
    size_t added, changed, same, gone, failed;
    struct tally tally;
};

static bool
on_document(void *arg, const json_t *d)
{
    struct comparing *k = arg;
    struct str sha = json_str(d, "sha256"), url = json_str(d, "url");

    if (k->n == k->cap) {
        k->cap = k->cap ? 2 * k->cap : 128;
        k->v = mem_resize(k->v, k->cap * sizeof *k->v);
    }
    k->v[k->n] = (struct stored){ .id = mem_dup_str(json_str(d, "external_id")),
                                  .url = mem_dup_str(url.p ? url : STR("")) };
    if (sha.n == 64)
        memcpy(k->v[k->n].sha256, sha.p, 64);
    k->n++;
    return true;
}

static int
by_own_id(const void *a, const void *b)
{
    const struct stored *x = a, *y = b;

    return strcmp(x->id, y->id);
}

/* Has the document other bytes than the file, or another link? */
static bool
differs(const struct comparing *k, const struct stored *is, const struct found *f, struct str bytes)
{
    struct buf url = { 0 };
    uint8_t digest[32];
    char hex[65];
    bool other;

    sha256(&bytes, 1, digest);
    hex_text(digest, sizeof digest, hex);
    file_link(&url, &k->site, f, bytes);
    other = strcmp(is->sha256, hex) != 0 || !str_is(buf_slice(&url), is->url);
    buf_free(&url);
    return other;
}

static void
compare_file(struct comparing *k, const struct found *f)
{
    struct stored want = { .id = f->id };
    const struct stored *is = k->n ? bsearch(&want, k->v, k->n, sizeof want, by_own_id) : NULL;
    struct buf bytes = { 0 };
    const char *why = file_read(f, &bytes);

    if (why) {
        tally_fail(&k->tally, f->path, why);
        k->failed++;
    } else if (is && !differs(k, is, f, buf_slice(&bytes))) {
        k->same++;
    } else {
        tally_item(&k->tally, is ? "changed" : "new", f->id);
        k->added += !is;
        k->changed += is != NULL;
    }
    buf_free(&bytes);
}

static void
compare_gone(struct comparing *k, const struct found_list *l)
{
    for (size_t i = 0, at = 0; i < k->n; i++) {
        while (at < l->n && strcmp(l->v[at].id, k->v[i].id) < 0)
            at++;
        if (at < l->n && strcmp(l->v[at].id, k->v[i].id) == 0)
            continue;
        tally_item(&k->tally, "gone", k->v[i].id);
        k->gone++;
    }
}

static void
tell(const struct comparing *k, const struct found_list *l)
{
    printf("would be: %zu files: %zu new, %zu changed, %zu unchanged, %zu gone", l->n, k->added, k->changed,
           k->same, k->gone);
    if (k->failed > 0)
        printf(", %zu failed", k->failed);
    putchar('\n');
}

static void
tell_json(const struct comparing *k, const struct found_list *l)
{
    struct buf object = { 0 };

    buf_c(&object, '{');
    buf_key_int(&object, "files", (int64_t)l->n);
    buf_key_int(&object, "new", (int64_t)k->added);
    buf_key_int(&object, "changed", (int64_t)k->changed);
    buf_key_int(&object, "unchanged", (int64_t)k->same);
    buf_key_int(&object, "gone", (int64_t)k->gone);
    buf_key_int(&object, "failed", (int64_t)k->failed);
    buf_key_bool(&object, "dry_run", true);
    tally_put(&k->tally, true, &object);
    object_print(&object);
}

/* True: the real run would end well, too. */
static bool
compare(struct comparing *k, const struct found_list *l)
{
    bool ok;

    for (size_t i = 0; i < l->n; i++)
        compare_file(k, &l->v[i]);
    ok = k->failed == 0 && !l->failed;
    if (ok)
        compare_gone(k, l);
    tally_say(&k->tally, "would fail:");
    if (k->tally.json)
        tell_json(k, l);
    else
        tell(k, l);
    if (!ok)
        say("nothing would be deleted, because not every file could be added");
    return ok;
}

static int
dry_run(struct cli *c)
{
    struct found_list l = { 0 };
    struct comparing k = { .tally.json = c->opt[CLI_JSON] != NULL };
    struct cli quiet = cli_quiet(c);
    struct buf path = { 0 };
    bool ok;

    if (!site_of(c, &k.site))
        return 2;
    documents_path(c, &path);
    ok = files_find(c, &l) && each_item(&quiet, path.p, NULL, on_document, &k);
    if (k.n > 1)
        qsort(k.v, k.n, sizeof *k.v, by_own_id);
    ok = ok && compare(&k, &l);
    for (size_t i = 0; i < k.n; i++) {
        mem_free(&k.v[i].id);
        mem_free(&k.v[i].url);
    }
    mem_free(&k.v);
    tally_fini(&k.tally);
    buf_free(&path);
    found_fini(&l);
    return ok ? 0 : 1;
}

int
sync_folder(struct cli *c)
{
    struct stat st;

    if (stat(c->args[0], &st) != 0 || !S_ISDIR(st.st_mode)) {
        say("%s is no folder, and no address of a site", c->args[0]);
        return 2;
    }
    c->opt[CLI_DELETE_MISSING] = "on";
    return c->opt[CLI_DRY_RUN] ? dry_run(c) : cmd_ingest(c);
}
