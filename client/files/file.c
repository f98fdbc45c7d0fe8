/* Files of `footnote ingest`: the files that are documents, their bytes, and what keeps one out. Here, so that
 * a dry run (sync/folder.c) says what the real one does. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/utf8.h"
#include "client/files/files.h"
#include "proto/format.h"

#define FILE_MAX ((size_t)32 << 20)
#define SKIPPED_SHOWN 20

static void
say_skipped(const struct found_list *l)
{
    for (size_t i = 0; i < l->n_skipped && i < SKIPPED_SHOWN; i++)
        say("skipped %s (%s)", l->skipped[i].path, l->skipped[i].why);
    if (l->n_skipped > SKIPPED_SHOWN)
        say("… and %zu more files that are no documents", l->n_skipped - SKIPPED_SHOWN);
}

static void
say_nothing(void)
{
    struct buf names = { 0 };

    format_names(&names);
    say("nothing to ingest: there is no file that is not empty and is %s", names.p);
    buf_free(&names);
}

bool
files_find(const struct cli *c, struct found_list *out)
{
    for (size_t i = 0; i < c->n_args; i++)
        walk(c->args[i], out);
    say_skipped(out);
    if (out->n == 0 && !out->failed)
        say_nothing();
    return out->n > 0 && found_sort(out);
}

/* Only files of a known format are walked. */
const struct format_desc *
file_format(const struct found *f)
{
    return &formats[format_of_name(str_of(f->id))];
}

/* The whole file into bytes. NULL, or why not. */
static const char *
read_whole(const char *path, struct buf *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *block;
    ssize_t n = 0;

    if (fd < 0)
        return strerror(errno);
    bytes->max = FILE_MAX;
    block = mem_new(65536);
    while (!bytes->failed && (n = read(fd, block, 65536)) > 0)
        buf_add(bytes, block, (size_t)n);
    mem_free(&block);
    close(fd);
    if (n < 0)
        return strerror(errno);
    return bytes->failed ? "larger than 32 MB: split it" : NULL;
}

static const char *
check_text(struct str text)
{
    if (str_has_byte(text, 0))
        return "it holds NUL bytes: is it text?";
    return utf8_valid(text) ? NULL : "not UTF-8: convert it first, for example with iconv -t utf-8";
}

const char *
file_read(const struct found *f, struct buf *bytes)
{
    const char *why = read_whole(f->path, bytes);

    return why || file_format(f)->bytes ? why : check_text(buf_slice(bytes));
}

void
file_link(struct buf *out, const struct site *site, const struct found *f, struct str bytes)
{
    if (site->base)
        site_url(out, site, str_of(f->id), file_format(f)->bytes ? STR_NONE : bytes);
}
