/* ZIP (zip.h), by libarchive, which is the only unpacker here, and knows one way through an archive: forward.
 *
 * The first walk notes which member has which name. Later ones go on from where the last ones stopped: an
 * archive is open at a few places, since programs write slides, their relations and their notes one kind after
 * the other and a reader wants them in turn. Only what lies before all places is a walk from the beginning. */
#include "extract/zip.h"

#include <archive.h>
#include <archive_entry.h>

#include "extract/extract.h"
#include "extract/names.h"

enum { MEMBERS_MAX = 10000, MEMBER_MAX = 64 << 20, PLACES = 4 };
#define UNPACKED_MAX ((int64_t)256 << 20) /* of all that is read */

struct place {
    struct archive *a; /* NULL: not open */
    size_t next;       /* the member that comes next here */
    uint64_t used;     /* the walk that ended here; later ones are larger */
};
struct zip {
    struct str body;
    struct names names; /* of members → their numbers, in the archive's order */
    size_t n;
    struct place places[PLACES];
    uint64_t walks;
    int64_t unpacked;
};

static _Noreturn void
damaged(struct archive *a)
{
    const char *why = archive_error_string(a);

    out_refuse("the archive that the file is is damaged: %.120s", why ? why : "it cannot be read");
}

static struct archive *
begin(const struct zip *z)
{
    struct archive *a = archive_read_new();

    if (!a || archive_read_support_format_zip_seekable(a) != ARCHIVE_OK)
        out_refuse("reading the document needs more memory than it is given");
    if (archive_read_open_memory(a, z->body.p, z->body.n) != ARCHIVE_OK)
        damaged(a);
    return a;
}

static const char *
next_name(struct archive *a, struct archive_entry **e)
{
    int rc = archive_read_next_header(a, e);
    const char *name;

    if (rc == ARCHIVE_EOF)
        return NULL;
    if (rc < ARCHIVE_WARN)
        damaged(a);
    name = archive_entry_pathname_utf8(*e);
    return name ? name : archive_entry_pathname(*e) ? archive_entry_pathname(*e) : "";
}

struct zip *
zip_open(struct str body)
{
    struct zip *z = mem_new(sizeof *z);
    struct archive *a;
    struct archive_entry *e;
    const char *name;

    z->body = body;
    a = begin(z);
    while ((name = next_name(a, &e)) != NULL) {
        if (z->n >= MEMBERS_MAX)
            out_refuse("the archive that the file is has more than %d members", MEMBERS_MAX);
        if (archive_entry_is_encrypted(e))
            out_refuse("the file is protected by a password");
        names_put(&z->names, name, z->n++);
    }
    archive_read_free(a);
    if (z->n == 0)
        out_refuse("the archive that the file is is damaged: it is empty, or its end is missing");
    return z;
}

bool
zip_has(const struct zip *z, const char *name)
{
    size_t unused;

    return names_get(&z->names, name, &unused);
}

/* An archive whose data is member k's now: of the places before it the nearest. */
static struct archive *
walk_to(struct zip *z, size_t k)
{
    struct place *best = NULL, *oldest = &z->places[0];
    struct archive_entry *e;

    for (size_t i = 0; i < PLACES; i++) {
        struct place *p = &z->places[i];

        if (p->a && p->next <= k && (!best || p->next > best->next))
            best = p;
        if (p->used < oldest->used)
            oldest = p;
    }
    if (!best) {
        best = oldest;
        if (best->a)
            archive_read_free(best->a);
        *best = (struct place){ .a = begin(z) };
    }
    best->used = ++z->walks;
    for (; best->next <= k; best->next++)
        if (!next_name(best->a, &e))
            damaged(best->a);
    return best->a;
}

bool
zip_stream(struct zip *z, const char *name, void (*fn)(void *arg, struct str piece), void *arg)
{
    static char block[65536];
    struct archive *a;
    la_ssize_t n;
    size_t k;

    if (!names_get(&z->names, name, &k))
        return false;
    a = walk_to(z, k);
    while ((n = archive_read_data(a, block, sizeof block)) > 0) {
        z->unpacked += n;
        if (z->unpacked > UNPACKED_MAX)
            out_refuse("the archive that the file is unpacks to more than 256 MB");
        fn(arg, (struct str){ block, (size_t)n });
    }
    if (n < 0)
        damaged(a);
    return true;
}

static void
gather(void *arg, struct str piece)
{
    struct buf *b = arg;

    buf_str(b, piece);
    if (b->failed)
        out_refuse("a part of the document unpacks to more than 64 MB");
}

struct str
zip_read(struct zip *z, const char *name)
{
    struct buf b = BUF_MAX(MEMBER_MAX);

    return zip_stream(z, name, gather, &b) ? buf_slice(&b) : STR_NONE;
}

char *
zip_path(const char *base, const char *target)
{
    const char *slash = strrchr(base, '/');
    struct buf b = { 0 };

    if (target[0] != '/' && slash)
        buf_add(&b, base, (size_t)(slash - base) + 1);
    for (const char *p = target[0] == '/' ? target + 1 : target; *p;) {
        size_t n = strcspn(p, "/");

        if (n == 2 && p[0] == '.' && p[1] == '.') {
            if (b.n > 0)
                b.n--;
            while (b.n > 0 && b.p[b.n - 1] != '/')
                b.n--;
        } else if (n > 0 && !(n == 1 && p[0] == '.')) {
            buf_add(&b, p, n);
            if (p[n])
                buf_c(&b, '/');
        }
        p += n + (p[n] == '/');
    }
    return mem_dup_str(buf_slice(&b));
}
