/* Excel (ECMA-376 part 1, SpreadsheetML): a sheet is a heading and a table, whose first row that is not empty
 * names the columns. Values are what was calculated last; dates are written as dates. An empty row ends a
 * table and begins the next, also one that the file leaves out: rows and cells say where they stand. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/text/text.h"
#include "extract/ooxml.h"

enum { SHEETS_MAX = 1000, STRINGS_MAX = 5000000, STYLES_MAX = 65536, COLUMNS_MAX = 1000 };

struct sheet_name {
    char *name, *id;
};
struct book {
    struct out *o;
    struct sheet_name *sheets;
    size_t n_sheets, cap_sheets;
    /* shared strings: slices of one buffer */
    struct buf pool;
    size_t *starts, n_strings, cap_strings;
    unsigned text, phonetic;
    /* styles: is it a date? */
    char *formats[STYLES_MAX / 64];
    int format_ids[STYLES_MAX / 64];
    size_t n_formats;
    bool date[STYLES_MAX];
    size_t n_styles;
    bool in_styles, since_1904;
    /* the sheet at hand */
    bool table, in_value;
    char type[16];
    size_t style, column, filled; /* of the cell; cells of the row that were written */
    size_t row, last_row;         /* this one, from 1; the table's last one that said anything */
    bool row_any;
    struct buf value;
};

/* ---- the book: sheets, strings, styles */

static void
book_open(void *arg, const char *name, const char **atts)
{
    struct book *b = arg;

    if (strcmp(name, "workbookPr") == 0) {
        const char *v = xml_att(atts, "date1904");

        b->since_1904 = strcmp(v, "1") == 0 || strcmp(v, "true") == 0;
    }
    if (strcmp(name, "sheet") != 0)
        return;
    if (b->n_sheets >= SHEETS_MAX)
        out_refuse("the file has more than %d sheets", SHEETS_MAX);
    if (b->n_sheets == b->cap_sheets) {
        b->cap_sheets = b->cap_sheets ? 2 * b->cap_sheets : 16;
        b->sheets = room_more(b->sheets, b->cap_sheets * sizeof *b->sheets);
    }
    b->sheets[b->n_sheets++] = (struct sheet_name){ mem_dup(xml_att(atts, "name")),
                                                    mem_dup(xml_att_full(atts, "r:id")) };
}

static void
strings_open(void *arg, const char *name, const char **atts)
{
    struct book *b = arg;

    (void)atts;
    if (strcmp(name, "si") == 0) {
        if (b->n_strings >= STRINGS_MAX)
            out_refuse("the file has too many strings");
        if (b->n_strings + 1 >= b->cap_strings) {
            b->cap_strings = b->cap_strings ? 2 * b->cap_strings : 1024;
            b->starts = room_more(b->starts, b->cap_strings * sizeof *b->starts);
        }
        b->starts[b->n_strings++] = b->pool.n;
    } else if (strcmp(name, "rPh") == 0) {
        b->phonetic++;
    } else if (strcmp(name, "t") == 0) {
        b->text++;
    }
}

static void
strings_close(void *arg, const char *name)
{
    struct book *b = arg;

    if (strcmp(name, "t") == 0)
        b->text -= b->text > 0;
    else if (strcmp(name, "rPh") == 0)
        b->phonetic -= b->phonetic > 0;
    else if (strcmp(name, "si") == 0)
        b->starts[b->n_strings] = b->pool.n;
}

static void
strings_text(void *arg, struct str s)
{
    struct book *b = arg;

    if (b->text > 0 && b->phonetic == 0)
        buf_str(&b->pool, s);
    if (b->pool.failed)
        out_refuse("the file's strings are larger than 64 MB");
}

/* ECMA-376, 18.8.30: built-in formats of dates, and own ones by their letters outside of quotes and brackets. */
static bool
is_date(const struct book *b, int id)
{
    const char *f = NULL;

    if ((id >= 14 && id <= 17) || id == 22 || (id >= 27 && id <= 31) || (id >= 50 && id <= 58))
        return true;
    for (size_t i = 0; i < b->n_formats && !f; i++)
        if (b->format_ids[i] == id)
            f = b->formats[i];
    for (char quote = 0; f && *f; f++) {
        if (quote) {
            quote = *f == quote ? 0 : quote;
        } else if (*f == '"' || *f == '[') {
            quote = *f == '[' ? ']' : '"';
        } else if (*f == '\\' && f[1]) {
            f++;
        } else if (strchr("yYdD", *f)) {
            return true;
        }
    }
    return false;
}

static void
styles_open(void *arg, const char *name, const char **atts)
{
    struct book *b = arg;

    if (strcmp(name, "numFmt") == 0 && b->n_formats < sizeof b->formats / sizeof *b->formats) {
        b->format_ids[b->n_formats] = (int)strtol(xml_att(atts, "numFmtId"), NULL, 10);
        b->formats[b->n_formats++] = mem_dup(xml_att(atts, "formatCode"));
    } else if (strcmp(name, "cellXfs") == 0) {
        b->in_styles = true;
    } else if (strcmp(name, "xf") == 0 && b->in_styles && b->n_styles < STYLES_MAX) {
        b->date[b->n_styles++] = is_date(b, (int)strtol(xml_att(atts, "numFmtId"), NULL, 10));
    }
}

static void
styles_close(void *arg, const char *name)
{
    if (strcmp(name, "cellXfs") == 0)
        ((struct book *)arg)->in_styles = false;
}

/* ---- cells */

/* Days since 1899-12-30 (or 1904-01-01) → 2024-03-01, with a time where it has one. */
static void
add_date(struct book *b, double serial, struct buf *out)
{
    int64_t seconds = llround(serial * 86400), days = seconds / 86400;
    char text[32];

    (void)clock_rfc3339((seconds - (b->since_1904 ? 24107 : 25569) * INT64_C(86400)) * 1000, text);
    if (days > 0)
        buf_add(out, text, 10); /* 2024-03-01T14:30:00.000Z */
    if (seconds % 86400 > 0 || days == 0)
        buf_printf(out, "%s%.5s", days > 0 ? " " : "", text + 11);
}

static void
say_cell(struct book *b)
{
    struct str v = text_trim(buf_slice(&b->value));
    char *end = NULL;
    double number = v.n > 0 && v.n < 40 ? strtod(b->value.p, &end) : NAN;
    struct buf shown = { 0 };

    if (b->table && b->row > b->last_row + 1) {
        out_table_end(b->o);
        b->table = false;
    }
    if (!b->table) {
        out_table(b->o);
        b->table = true;
        b->last_row = b->row;
    }
    while (b->filled < b->column && b->filled < COLUMNS_MAX) {
        out_cell(b->o, STR(""));
        b->filled++;
    }
    if (strcmp(b->type, "s") == 0) {
        unsigned long k = strtoul(v.n > 0 ? b->value.p : "", NULL, 10);

        v = v.n > 0 && k < b->n_strings
                ? (struct str){ b->pool.p + b->starts[k], b->starts[k + 1] - b->starts[k] }
                : STR("");
    } else if (strcmp(b->type, "b") == 0) {
        v = str_is(v, "1") ? STR("TRUE") : STR("FALSE");
    } else if (b->type[0] == 0 && isfinite(number) && number >= 0 && number < 2958466 &&
               b->style < b->n_styles && b->date[b->style]) {
        add_date(b, number, &shown);
        v = buf_slice(&shown);
    } else if (b->type[0] == 0 && isfinite(number) && v.n > 12) { /* 0.1 + 0.2, as a sheet shows it */
        buf_printf(&shown, "%.12g", number);
        v = buf_slice(&shown);
    }
    b->row_any = b->row_any || text_trim(v).n > 0;
    out_cell(b->o, v);
    b->filled++;
    buf_free(&shown);
}

/* "AB12" → 27, and *row 12 */
static size_t
column_of(const char *ref, size_t *row)
{
    size_t n = 0;

    while (*ref >= 'A' && *ref <= 'Z' && n < 100000)
        n = 26 * n + (size_t)(*ref++ - 'A' + 1);
    if (*ref >= '1' && *ref <= '9')
        *row = strtoul(ref, NULL, 10);
    return n > 0 ? n - 1 : 0;
}

static void
sheet_open(void *arg, const char *name, const char **atts)
{
    struct book *b = arg;

    if (strcmp(name, "row") == 0) {
        size_t row = strtoul(xml_att(atts, "r"), NULL, 10);

        b->row = row > 0 ? row : b->row + 1;
        b->filled = 0;
        b->row_any = false;
    } else if (strcmp(name, "c") == 0) {
        const char *ref = xml_att(atts, "r");

        (void)snprintf(b->type, sizeof b->type, "%s", xml_att(atts, "t"));
        if (strcmp(b->type, "n") == 0) /* what it is without saying so */
            b->type[0] = 0;
        b->style = strtoul(xml_att(atts, "s"), NULL, 10);
        b->column = *ref ? column_of(ref, &b->row) : b->filled;
        buf_reset(&b->value);
    } else if (strcmp(name, "v") == 0 || (strcmp(name, "t") == 0 && strcmp(b->type, "inlineStr") == 0)) {
        b->in_value = true;
    }
}

static void
sheet_close(void *arg, const char *name)
{
    struct book *b = arg;

    if (strcmp(name, "v") == 0 || strcmp(name, "t") == 0) {
        b->in_value = false;
    } else if (strcmp(name, "c") == 0 && b->value.n > 0 && b->column < COLUMNS_MAX) {
        say_cell(b);
    } else if (strcmp(name, "row") == 0) {
        if (b->row_any) {
            out_row_end(b->o);
            b->last_row = b->row;
        } else if (b->table) {
            out_table_end(b->o);
            b->table = false;
        }
    }
}

static void
sheet_text(void *arg, struct str s)
{
    struct book *b = arg;

    if (b->in_value)
        buf_str(&b->value, s);
}

static void
read_sheets(struct zip *z, struct book *b, const struct relations *top)
{
    static const struct xml_events on_sheet = { sheet_open, sheet_close, sheet_text };

    for (size_t i = 0; i < b->n_sheets; i++) {
        const struct relation *r = relation_of(top, b->sheets[i].id);

        if (!r || r->outside || strcmp(r->type, "worksheet") != 0)
            continue;
        out_heading(b->o, 2, str_of(b->sheets[i].name));
        b->table = false;
        b->row = b->last_row = 0;
        (void)zip_xml(z, r->target, &on_sheet, b, "a sheet");
        if (b->table)
            out_table_end(b->o);
    }
}

static void
xlsx_read(struct str body, struct out *o)
{
    static const struct xml_events on_book = { .open = book_open };
    static const struct xml_events on_strings = { strings_open, strings_close, strings_text };
    static const struct xml_events on_styles = { .open = styles_open, .close = styles_close };
    struct zip *z = zip_open(body);
    char *main_part = ooxml_main(z, "xl/workbook.xml");
    struct relations top = ooxml_relations(z, main_part);
    const struct relation *strings = relation_like(&top, "sharedStrings"),
                          *styles = relation_like(&top, "styles");
    struct book *b = mem_new(sizeof *b);

    b->o = o;
    b->pool.max = EXTRACTED_TEXT;
    (void)zip_xml(z, main_part, &on_book, b, "the workbook");
    if (strings && !strings->outside)
        (void)zip_xml(z, strings->target, &on_strings, b, "the file's list of strings");
    if (styles && !styles->outside)
        (void)zip_xml(z, styles->target, &on_styles, b, "the file's list of styles");
    ooxml_title(z, o);
    read_sheets(z, b, &top);
}

const struct reader reader_xlsx = { .read = xlsx_read };
