/* The retriever's end of footnote-extract (child.h), which is run as beside.h says, where EXTRACT_URL reads the format on what
 * footnote-convert gave.
 *
 * The child is not trusted: its frames are parsed with every range checked, and its text must be clean
 * (text/clean.h), or the document is refused and counted.
 *
 * A host that has no descriptor, process or memory to spare says nothing about the document: it is read later (struct extracted). */
#include "retriever/extract/child.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>

#include "common/log.h"
#include "proto/converted.h"
#include "proto/extracted.h"
#include "retriever/extract/beside.h"
#include "retriever/extract/blocks.h"
#include "retriever/extract/convert.h"
#include "text/clean.h"

enum { NO_LOADER = 127 };

static long most_seconds = 10;
static size_t most_memory = (size_t)256 << 20;
static _Atomic uint64_t failures;

void
child_init(long seconds, size_t memory)
{
    most_seconds = seconds;
    most_memory = memory;
}

uint64_t
child_failures(void)
{
    return atomic_load(&failures);
}

/* How it ended; NULL: as it should. */
static const char *
ended(int status, struct extracted *x)
{
    int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    char *reason = x->reason;

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return NULL;
    if (WIFEXITED(status) && (WEXITSTATUS(status) == EXTRACTED_LATER || WEXITSTATUS(status) == NO_LOADER)) {
        x->later = true;
        return beside_could_not;
    }
    if (sig == SIGXCPU || sig == SIGKILL)
        return "reading the document took too long";
    if (sig == SIGABRT || sig == SIGSEGV || sig == SIGBUS)
        (void)snprintf(
            reason, sizeof x->reason,
            "the document is damaged, or reading it needs more than %zu MB: its reader was stopped (signal %d)",
            most_memory >> 20, sig);
    else
        (void)snprintf(reason, sizeof x->reason,
                       "the document could not be read: its reader was stopped (%s %d)",
                       sig ? "signal" : "status", sig ? sig : WEXITSTATUS(status));
    return reason;
}

/* ---- what it said */

/* Clean text is what cleaning does not change. */
static bool
is_clean(struct str s)
{
    struct buf clean = BUF_MAX(s.n + 1), composed = BUF_MAX(s.n + 1);
    bool same = !clean_text(s, &clean) && clean.n == s.n && !clean_compose(buf_slice(&clean), &composed) &&
                str_eq(buf_slice(&composed), s);

    buf_free(&clean);
    buf_free(&composed);
    return same;
}

static const char *
take(struct str stream, struct extracted *x)
{
    struct extraction e;
    const char *fault;

    if (!extracted_decode(stream, x->arena, &e, &fault) || !is_clean(e.text) || !is_clean(e.title)) {
        static struct log_gate gate;

        atomic_fetch_add(&failures, 1);
        if (log_gate(&gate))
            LOG(WARN, NULL, M("footnote-extract said what it must not"),
                KS("fault", fault ? fault : "text that is not clean"));
        return "the document could not be read: its reader said what it must not";
    }
    if (e.reason.p) {
        (void)snprintf(x->reason, sizeof x->reason, STR_FMT, STR_ARG(e.reason));
        return x->reason;
    }
    buf_str(&x->text, e.text);
    x->title = e.title.n ? arena_str(x->arena, e.title) : STR_NONE;
    x->blocks = e.blocks;
    x->n_blocks = e.n_blocks;
    x->pages = e.pages;
    x->n_pages = e.n_pages;
    return NULL;
}

static const char *
extract_child(const char *type, struct str body, struct buf *out, struct extracted *x)
{
    char memory[32], seconds[32];
    const char *argv[] = { "footnote-extract", type, "--memory", memory, "--seconds", seconds, NULL };
    const char *why, *how;
    int status = 0;
    bool later;

    (void)snprintf(memory, sizeof memory, "%zu", most_memory);
    beside_seconds(most_seconds, seconds);
    why = beside_run(argv, body, most_seconds, out, &status, &later);
    how = ended(status, x);
    x->later = x->later || later;
    return why ? why : how;
}

static const char *
child_read(struct str body, struct extracted *x)
{
    struct buf stream = BUF_MAX(EXTRACTED_BYTES), html = BUF_MAX(CONVERTED_BYTES);
    bool converts = convert_wants(x->format);
    const char *why = converts ? convert_document(body, x, &html) : NULL;

    if (!why) {
        why = extract_child(formats[converts ? FORMAT_HTML : x->format].type,
                            converts ? buf_slice(&html) : body, &stream, x);
        if (why && !x->later)
            atomic_fetch_add(&failures, 1);
        if (!why)
            why = take(buf_slice(&stream), x);
    }
    buf_free(&html);
    buf_free(&stream);
    return why;
}

const struct extractor extractor_child = { .read = child_read,
                                           .next = blocks_next,
                                           .table_head = blocks_table_head };
