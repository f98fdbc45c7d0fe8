/* Character references. See entity.h. */
#include "retriever/extract/entity.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { NAME_MAX_BYTES = 12 };

static const struct entity_row {
    const char *name;
    int32_t c;
} rows[] = {
#define ENTITY(name, c) { #name, c },
#include "retriever/extract/entity.tbl"
#undef ENTITY
};

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct entity_row *)a)->name, ((const struct entity_row *)b)->name);
}

static int32_t
named(struct str name)
{
    char z[NAME_MAX_BYTES + 1] = "";
    struct entity_row key = { z, 0 };
    const struct entity_row *row;

    memcpy(z, name.p, name.n);
    row = bsearch(&key, rows, sizeof rows / sizeof *rows, sizeof *rows, by_name);
    return row ? row->c : 0;
}

static int
digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 99;
}

/* "#8212", "#x2014" */
static int32_t
numbered(struct str s)
{
    bool hex = s.n > 2 && (s.p[1] | 32) == 'x';
    int32_t c = 0;

    for (size_t i = 1 + hex; i < s.n; i++) {
        int d = digit(s.p[i]);

        if (d >= (hex ? 16 : 10) || c > 0x10ffff)
            return 0;
        c = c * (hex ? 16 : 10) + d;
    }
    return utf8proc_codepoint_valid(c) ? c : 0;
}

int32_t
entity_read(struct str s, size_t *used)
{
    size_t n = 1;

    if (s.n < 3 || s.p[0] != '&')
        return 0;
    while (n < s.n && n <= NAME_MAX_BYTES && s.p[n] != ';')
        n++;
    if (n >= s.n || s.p[n] != ';' || n < 2)
        return 0;
    *used = n + 1;
    struct str name = { s.p + 1, n - 1 };

    return name.p[0] == '#' ? numbered(name) : named(name);
}

/* Controls, and what hides or turns text. */
static bool
invisible(int32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x61c || c == 0x180e ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
           c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

bool
entity_text(struct str s, char out[8], size_t *n, size_t *used)
{
    int32_t c = entity_read(s, used);

    if (c == 0)
        return false;
    if (c == '\n' || c == '\t' || c == 0x2028 || c == 0x2029 || utf8proc_category(c) == UTF8PROC_CATEGORY_ZS)
        c = ' ';
    *n = invisible(c) ? 0 : (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)out);
    if (*n > *used)
        *n = 0;
    return true;
}
