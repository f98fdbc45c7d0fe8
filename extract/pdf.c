/* PDF, through pdftotext (poppler-utils), a program beside us: its bugs are not in our memory, and its
 * licence is not ours. It runs confined, with the document as its input, and says words with their places
 * (-bbox-layout), which are read here as XML.
 *
 *   pdftotext: page ─ flow ─ block ─ line ─ word        here: block → paragraph, or heading by the height of its words
 *
 * Lines that stand on top or at the bottom of most pages, and numbers of pages there, are not text. Words
 * that a hyphen breaks at the end of a line are joined. Nothing of the PDF is run or fetched: scripts, forms
 * and attachments are no text. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/hash.h"
#include "common/text/text.h"
#include "extract/confine.h"
#include "extract/out.h"
#include "extract/xml.h"

enum { HEIGHTS = 2000, LEVELS = 4, HEADING_CHARS = 180, HEADING_LINES = 3, NOT_FOUND = 127, DEEP = 256 };
#define LARGER 1.15 /* than most words: a heading's */
#define SAME 1.06   /* heights up to this ratio are of one level */

struct part {
    size_t start, end; /* bytes of text */
    uint32_t page;
    unsigned lines;
    double height; /* of its words, in points */
    uint64_t key;  /* of its words without digits */
};
struct pdf {
    struct out *o;
    struct buf text, word, title;
    struct part *parts;
    size_t n, cap;
    uint32_t page;
    double height, sum; /* of the word at hand; of the block's words */
    size_t words;       /* of the block */
    bool in_word, in_title;
    size_t chars[HEIGHTS]; /* by tenths of a point: how many bytes are so high */
};

static pid_t child;
static int from_child;

static _Noreturn void
run_pdftotext(int out)
{
    static char *const argv[] = { "pdftotext", "-bbox-layout", "-enc", "UTF-8", "-", "-", NULL };
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (dup2(out, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
        _exit(NOT_FOUND);
    confine_calls(true);
    (void)execvp(argv[0], argv);
    _exit(NOT_FOUND);
}

static void
pdf_prepare(struct str body)
{
    struct stat st;
    int fd[2];

    (void)body;
    if (fstat(STDIN_FILENO, &st) != 0 || !S_ISREG(st.st_mode) || lseek(STDIN_FILENO, 0, SEEK_SET) != 0)
        out_refuse("the PDF could not be given to its reader");
    if (pipe2(fd, O_CLOEXEC) != 0 || (child = fork()) < 0)
        _exit(EXTRACTED_LATER);
    if (child == 0)
        run_pdftotext(fd[1]);
    close(fd[1]);
    from_child = fd[0];
}

/* ---- what it says */

static void
part_begin(struct pdf *p)
{
    if (p->n == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 256;
        p->parts = room_more(p->parts, p->cap * sizeof *p->parts);
    }
    p->parts[p->n] = (struct part){ .start = p->text.n, .page = p->page };
    p->sum = 0;
    p->words = 0;
}

static void
part_end(struct pdf *p)
{
    struct part *x = &p->parts[p->n];

    x->end = p->text.n;
    x->height = p->words ? p->sum / (double)p->words : 0;
    x->key = HASH_START;
    for (size_t i = x->start; i < x->end; i++)
        if (p->text.p[i] < '0' || p->text.p[i] > '9')
            x->key = hash_more(x->key, (struct str){ p->text.p + i, 1 });
    if (x->end > x->start)
        p->n++;
}

/* "exam-" and "ple" are one word, "well-" and "Known" and "2-" and "3" are not. */
static void
line_begin(struct pdf *p)
{
    const struct part *x = &p->parts[p->n];
    size_t n = p->text.n;

    if (n < x->start + 3 || p->text.p[n - 1] != '-')
        return;
    if (p->text.p[n - 2] >= 'a' && p->text.p[n - 2] <= 'z')
        p->text.p[n - 1] = 0x1f; /* decided by the next word */
}

static void
word_end(struct pdf *p)
{
    struct str s = text_trim(buf_slice(&p->word));
    size_t n = p->text.n, start = p->parts[p->n].start;
    long tenths = lround(p->height * 10);

    if (s.n == 0)
        return;
    if (n > start && p->text.p[n - 1] == 0x1f) {
        p->text.p[n - 1] = '-';
        if (s.p[0] >= 'a' && s.p[0] <= 'z')
            p->text.n--;
    } else if (n > start) {
        buf_c(&p->text, ' ');
    }
    buf_str(&p->text, s);
    p->sum += p->height;
    p->words++;
    if (tenths > 0 && tenths < HEIGHTS)
        p->chars[tenths] += s.n;
}

static double
number(const char **atts, const char *name)
{
    double v = strtod(xml_att(atts, name), NULL);

    return isfinite(v) ? v : 0;
}

static void
on_open(void *arg, const char *name, const char **atts)
{
    struct pdf *p = arg;

    if (strcmp(name, "word") == 0) {
        p->height = number(atts, "yMax") - number(atts, "yMin");
        p->in_word = true;
        buf_reset(&p->word);
    } else if (strcmp(name, "line") == 0 && p->cap > 0) {
        line_begin(p);
        p->parts[p->n].lines++;
    } else if (strcmp(name, "block") == 0) {
        part_begin(p);
    } else if (strcmp(name, "page") == 0) {
        p->page++;
    } else if (strcmp(name, "title") == 0) {
        p->in_title = true;
    }
}

static void
on_close(void *arg, const char *name)
{
    struct pdf *p = arg;

    if (strcmp(name, "word") == 0 && p->cap > 0) {
        p->in_word = false;
        word_end(p);
    } else if (strcmp(name, "block") == 0 && p->cap > 0) {
        part_end(p);
    } else if (strcmp(name, "title") == 0) {
        p->in_title = false;
    }
}

static void
on_text(void *arg, struct str s)
{
    struct pdf *p = arg;

    if (p->in_word)
        buf_str(&p->word, s);
    else if (p->in_title && p->title.n < 500)
        buf_str(&p->title, s);
}

/* Fonts give words characters that XML cannot have: a blank stands for them. */
static void
make_xml(char *s, size_t n)
{
    unsigned char *b = (unsigned char *)s;
    bool valid = utf8_valid((struct str){ s, n });

    for (size_t i = 0; i < n; i++) {
        if ((b[i] < 0x20 && b[i] != '\n' && b[i] != '\t' && b[i] != '\r') || (b[i] >= 0x80 && !valid))
            b[i] = ' ';
        else if (b[i] == 0xef && i + 2 < n && b[i + 1] == 0xbf && b[i + 2] >= 0xbe)
            b[i] = b[i + 1] = b[i + 2] = ' ';
    }
}

static void
listen_to(struct pdf *p)
{
    static const struct xml_events on = { on_open, on_close, on_text };
    static char block[65536];
    struct xml *x = xml_new(&on, p, "the text of the PDF", true);
    struct buf line = { 0 };
    size_t total = 0;
    ssize_t n;

    while ((n = read(from_child, block, sizeof block)) > 0 || (n < 0 && errno == EINTR)) {
        for (char *at = block, *end = block + (n > 0 ? n : 0), *nl; at < end; at = nl) {
            nl = memchr(at, '\n', (size_t)(end - at));
            nl = nl ? nl + 1 : end;
            buf_add(&line, at, (size_t)(nl - at));
            if (nl[-1] != '\n' && line.n < 65536)
                continue;
            make_xml(line.p, line.n);
            xml_feed(x, buf_slice(&line));
            total += line.n;
            buf_reset(&line);
        }
    }
    if (total > 0)
        xml_end(&x);
    buf_free(&line);
}

/* ---- headings, and what repeats */

static double
usual_height(const struct pdf *p)
{
    size_t best = 0;

    for (size_t i = 1; i < HEIGHTS; i++)
        if (p->chars[i] > p->chars[best])
            best = i;
    return (double)best / 10;
}

static bool
is_heading(const struct pdf *p, const struct part *x, double usual)
{
    struct str s = { p->text.p + x->start, x->end - x->start };
    bool letters = false;

    for (size_t i = 0; i < s.n && !letters; i++)
        letters = (unsigned char)s.p[i] >= 0x80 || (s.p[i] | 32) >= 'a';
    return x->height >= LARGER * usual && x->lines <= HEADING_LINES && s.n <= HEADING_CHARS && letters;
}

/* The heights of headings, from the largest; those that are nearly the same are one level. */
static size_t
find_levels(const struct pdf *p, double usual, double level[LEVELS])
{
    size_t n = 0;
    double below = 1e9;

    while (n < LEVELS) {
        double best = 0;

        for (size_t i = 0; i < p->n; i++)
            if (p->parts[i].height * SAME < below && p->parts[i].height > best &&
                is_heading(p, &p->parts[i], usual))
                best = p->parts[i].height;
        if (best == 0)
            break;
        level[n++] = below = best;
    }
    return n;
}

static int
by_key(const void *a, const void *b)
{
    const struct part *x = *(const struct part *const *)a, *y = *(const struct part *const *)b;

    return x->key < y->key ? -1 : x->key > y->key;
}

/* Take away the first and last parts of pages that are the same, but for digits, on most pages. */
static void
drop_edges(struct pdf *p)
{
    struct part **edge = room_new((p->n + 1) * sizeof *edge);
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++)
        if (i == 0 || i + 1 == p->n || p->parts[i - 1].page != p->parts[i].page ||
            p->parts[i + 1].page != p->parts[i].page)
            edge[n++] = &p->parts[i];
    qsort(edge, n, sizeof *edge, by_key);
    for (size_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && edge[k]->key == edge[i]->key; k++)
            ;
        if (k - i >= 3 && 2 * (k - i) >= p->page)
            for (size_t m = i; m < k; m++)
                edge[m]->end = edge[m]->start;
    }
    mem_free(&edge);
}

static void
say_parts(struct pdf *p)
{
    double usual = usual_height(p), level[LEVELS];
    size_t levels = find_levels(p, usual, level);
    uint32_t page = 0;

    for (size_t i = 0; i < p->n; i++) {
        const struct part *x = &p->parts[i];
        struct str s = { p->text.p + x->start, x->end - x->start };

        if (s.n == 0)
            continue;
        if (x->page != page)
            out_page(p->o, page = x->page);
        if (is_heading(p, x, usual)) {
            size_t k = 0;

            while (k + 1 < levels && x->height * SAME < level[k])
                k++;
            out_heading(p->o, (int)k + 1, s);
        } else {
            out_text(p->o, s, false);
        }
    }
}

static void
check_child(struct str body, const struct pdf *p)
{
    int status = 0;

    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
        out_refuse("reading the PDF took too long");
    if (WIFSIGNALED(status))
        out_refuse(
            "the PDF is damaged, or needs more memory than it is given: its reader was stopped (signal %d)",
            WTERMSIG(status));
    if (WEXITSTATUS(status) == NOT_FOUND)
        out_refuse("PDF is read by pdftotext, which is not installed here (package poppler-utils)");
    if (WEXITSTATUS(status) != 0 || p->page == 0)
        out_refuse(str_has(body, "/Encrypt") ? "the PDF is protected by a password"
                                             : "the PDF is damaged: it has no page that can be read");
}

static void
pdf_read(struct str body, struct out *o)
{
    struct pdf *p = mem_new(sizeof *p);

    if (body.n < 5 || !memmem(body.p, body.n < 1024 ? body.n : 1024, "%PDF-", 5))
        out_refuse("the file is no PDF: it does not begin with %%PDF-");
    p->o = o;
    listen_to(p);
    check_child(body, p);
    if (p->n == 0)
        out_refuse(
            "the PDF has no text on its %u pages: they may be scanned, and text in pictures is not read",
            p->page);
    drop_edges(p);
    say_parts(p);
    out_title(o, buf_slice(&p->title));
}

const struct reader reader_pdf = { .read = pdf_read, .prepare = pdf_prepare };
