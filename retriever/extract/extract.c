/* Extraction: bytes of a document → the text that is stored, chunked and quoted. See extract.h. */
#include "retriever/extract/extract.h"

#include <stdio.h>

#include "common/text/text.h"
#include "text/clean.h"

#define HERE_DECLARE(by) extern const struct extractor extractor_##by;
#define CHILD_DECLARE(by)
#define FORMAT(id, name, type, others, endings, kind, title, magic, member, place, by) place##_DECLARE(by)
#include "proto/format.tbl"
#undef FORMAT

static const struct extractor *const extractors[FORMAT_COUNT] = {
#define HERE_ROW(by) &extractor_##by
#define CHILD_ROW(by) &extractor_child
#define FORMAT(id, name, type, others, endings, kind, title, magic, member, place, by) place##_ROW(by),
#include "proto/format.tbl"
#undef FORMAT
};

static const char *
unknown(struct str mime, struct extracted *x)
{
    struct str shown = utf8_valid(mime) ? utf8_cut(mime, 100) : STR("?");
    struct buf names = BUF_MAX(512);

    format_names(&names);
    (void)snprintf(x->reason, sizeof x->reason, "documents of type \"" STR_FMT "\" are not supported: %s are",
                   STR_ARG(shown), names.p);
    buf_free(&names);
    return x->reason;
}

const char *
extract(struct str mime, struct str body, struct arena *a, size_t max_bytes, struct extracted *out)
{
    enum format f = format_of_type(mime);
    const char *why;

    *out = (struct extracted){ .arena = a, .text = BUF_MAX(max_bytes), .converted = CONVERTED_NOT };
    if (f == FORMAT_NONE)
        return unknown(mime, out);
    out->format = f;
    out->by = extractors[f];
    why = out->by->read(body, out);
    if (!why && out->text.failed)
        why = "the document is too large";
    return why ? why : clean_blank(buf_slice(&out->text)) ? "the document contains no text" : NULL;
}

bool
extract_waits(struct str mime)
{
    enum format f = format_of_type(mime);

    return f != FORMAT_NONE && extractors[f] == &extractor_child;
}

void
extract_fini(struct extracted *x)
{
    buf_free(&x->text);
}
