/* The retriever's end of footnote-convert (convert.h), which is started and waited for as footnote-extract is (beside.h). */
#include "retriever/extract/convert.h"

#include <stdio.h>
#include <sys/wait.h>

#include "common/text/check.h"
#include "common/text/text.h"
#include "proto/converted.h"
#include "retriever/extract/beside.h"

static const char *server; /* the options' string, which stays */
static bool wanted[FORMAT_COUNT];
static long most_seconds;

/* The next ending of the list; absent: there is none. */
static struct str
next_ending(const char **list)
{
    const char *p = *list + strspn(*list, " ,");
    struct str s = { p, strcspn(p, " ,") };

    *list = p + s.n;
    return s.n > 0 ? s : STR_NONE;
}

/* Of an ending; FORMAT_NONE: none, or one whose text is its own source. */
static enum format
format_of_ending(struct str ending)
{
    char name[32];
    enum format f;

    (void)snprintf(name, sizeof name, "x.%.*s", ending.n < 20 ? (int)ending.n : 0, ending.p);
    f = format_of_name(str_of(name));
    return f != FORMAT_NONE && formats[f].bytes ? f : FORMAT_NONE;
}

void
convert_check(const char *url, const char *list, struct buf *err)
{
    check_web_url("EXTRACT_URL", url, err);
    for (struct str s = next_ending(&list); s.n > 0; s = next_ending(&list))
        if (format_of_ending(s) == FORMAT_NONE)
            buf_printf(
                err,
                "EXTRACT_FORMATS: \"%.*s\" is not known; allowed: pdf docx pptx xlsx odt rtf epub html csv json\n",
                s.n < 50 ? (int)s.n : 50, s.p);
}

void
convert_init(const char *url, const char *list, long seconds)
{
    server = url[0] ? url : NULL;
    most_seconds = seconds;
    for (struct str s = next_ending(&list); s.n > 0; s = next_ending(&list)) {
        enum format f = format_of_ending(s);

        if (f != FORMAT_NONE)
            wanted[f] = true;
    }
}

bool
convert_wants(enum format f)
{
    return server && wanted[f];
}

const char *
convert_document(struct str body, struct extracted *x, struct buf *html)
{
    char seconds[32];
    const char *argv[] = { "footnote-convert", server, formats[x->format].type, seconds, NULL };
    const char *why;
    int status = 0;

    beside_seconds(most_seconds, seconds);
    why = beside_run(argv, body, most_seconds, html, &status, &x->later);
    if (x->later)
        return why ? why : beside_could_not;
    x->converted = CONVERTED_FAILED;
    x->passes = PASSES_MAYBE;
    if (why)
        return why;
    if (WIFEXITED(status) && WEXITSTATUS(status) == CONVERT_DONE) {
        x->converted = CONVERTED_OK;
        x->passes = PASSES_NOT;
        return NULL;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == CONVERT_REFUSED) {
        x->converted = CONVERTED_REFUSED;
        x->passes = PASSES_NOT;
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == CONVERT_AWAY) {
        x->converted = CONVERTED_AWAY;
        x->passes = PASSES_SURELY;
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != CONVERT_FAILED || html->n == 0) {
        return "the extraction server could not be asked: footnote-convert was stopped";
    }
    (void)snprintf(x->reason, sizeof x->reason, STR_FMT,
                   STR_ARG(utf8_cut(buf_slice(html), CONVERTED_REASON)));
    return x->reason;
}
