/* footnote-extract: a document on standard input → its text, blocks and pages in frames on standard output (proto/extracted.h).
 *
 *   footnote-extract MEDIA-TYPE [--memory BYTES] [--seconds N] < document
 *
 *   limits → read all input → open charsets, or start pdftotext → filter of system calls → read the document → frames, end
 *
 * The retriever starts one for each document whose format names it, waits for so many seconds, and takes what
 * ends otherwise than with whole frames and status 0 for a document that cannot be read. It holds no state,
 * knows no network, and can be run by hand. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/process/proc.h"
#include "common/text/text.h"
#include "extract/charset.h"
#include "extract/confine.h"
#include "extract/out.h"

enum { MEMORY = 256 << 20, SECONDS = 8, INPUT_MAX = 64 << 20 };

#define HERE_DECLARE(by)
#define CHILD_DECLARE(by) extern const struct reader reader_##by;
#define FORMAT(id, name, type, others, endings, kind, title, magic, member, place, by) place##_DECLARE(by)
#include "proto/format.tbl"
#undef FORMAT

static const struct reader *const readers[FORMAT_COUNT] = {
#define HERE_ROW(by) NULL
#define CHILD_ROW(by) &reader_##by
#define FORMAT(id, name, type, others, endings, kind, title, magic, member, place, by) place##_ROW(by),
#include "proto/format.tbl"
#undef FORMAT
};

void *
room_new(size_t n)
{
    return room_more(NULL, n);
}

void *
room_more(void *p, size_t n)
{
    if (n > (size_t)1 << 31 || !(p = mem_try_resize(p, n)))
        out_refuse("reading the document needs more memory than it is given");
    return p;
}

static struct str
read_input(void)
{
    struct stat st;
    struct buf b = BUF_MAX(INPUT_MAX);
    static char block[65536];
    ssize_t n;
    void *p;

    if (fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= INPUT_MAX) {
        p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, STDIN_FILENO, 0);
        if (p != MAP_FAILED)
            return (struct str){ p, (size_t)st.st_size };
    }
    while ((n = read(STDIN_FILENO, block, sizeof block)) > 0)
        buf_add(&b, block, (size_t)n);
    if (n < 0 || b.failed)
        out_refuse("the document is larger than 64 MB");
    return buf_slice(&b);
}

static _Noreturn void
say_usage(int status)
{
    (void)fputs(
        "usage: footnote-extract MEDIA-TYPE [--memory BYTES] [--seconds N] < document > frames\n"
        "Reads one document and says its text, blocks and pages. The retriever runs it; nobody else needs to.\n",
        status ? stderr : stdout);
    exit(status);
}

int
main(int argc, char **argv)
{
    size_t memory = MEMORY;
    unsigned seconds = SECONDS;
    enum format f;
    struct out *o;
    struct str body;

    if (argc < 2 || argc % 2)
        say_usage(2);
    for (int i = 2; i + 1 < argc; i += 2)
        if (strcmp(argv[i], "--memory") == 0)
            memory = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else
            say_usage(2);
    if (strcmp(argv[1], "--help") == 0)
        say_usage(0);
    if (strcmp(argv[1], "--version") == 0)
        return printf("footnote-extract %s (%s)\n", footnote_version, footnote_build) < 0;
    f = format_of_type(str_of(argv[1]));
    if (f == FORMAT_NONE || !readers[f])
        say_usage(2);
    confine_limits(memory, seconds);
    body = read_input();
    o = out_new();
    if (readers[f]->prepare)
        readers[f]->prepare(body);
    if (readers[f]->text)
        charset_prepare(body);
    confine_calls(false);
    if (readers[f]->text)
        body = charset_utf8(body);
    readers[f]->read(body, o);
    out_send(o);
}
