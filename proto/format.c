/* Formats of documents by media type and by name (format.h). */
#include "proto/format.h"

#include <stdio.h>
#include <strings.h>

#include "common/text/text.h"

enum { FIRST_BYTES = 512, DIRECTORY_BYTES = 1 << 20 };

const struct format_desc formats[FORMAT_COUNT] = {
#define TEXT false
#define BYTES true
#define NAMED true
#define TITLED false
#define FORMAT(id, name, type, others, endings, kind, title, magic, member, place, by) \
    { name, type, others, endings, magic, member, kind, title },
#include "proto/format.tbl"
#undef FORMAT
#undef TEXT
#undef BYTES
#undef NAMED
#undef TITLED
};

/* Types that programs send when they do not know better. */
static const char vague[] =
    "text/plain application/octet-stream application/zip application/x-zip-compressed";

static bool
same(struct str a, struct str b)
{
    return a.n == b.n && a.n > 0 && strncasecmp(a.p, b.p, a.n) == 0;
}

/* The next word of a list that blanks separate; false: there is none. */
static bool
next_word(const char **list, struct str *word)
{
    while (**list == ' ')
        ++*list;
    *word = (struct str){ *list, strcspn(*list, " ") };
    *list += word->n;
    return word->n > 0;
}

static bool
lists(const char *list, struct str s)
{
    struct str word;

    while (next_word(&list, &word))
        if (same(word, s))
            return true;
    return false;
}

static struct str
without_parameters(struct str type)
{
    size_t n = 0;

    while (n < type.n && type.p[n] != ';' && type.p[n] != ' ')
        n++;
    return (struct str){ type.p, n };
}

enum format
format_of_type(struct str type)
{
    type = without_parameters(type);
    for (int i = 0; i < FORMAT_COUNT; i++)
        if (same(str_of(formats[i].type), type))
            return (enum format)i;
    for (int i = 0; i < FORMAT_COUNT; i++)
        if (lists(formats[i].others, type))
            return (enum format)i;
    return FORMAT_NONE;
}

/* Length of the ending of this format that the name has; 0: it has none. */
static size_t
ending_of(enum format f, struct str name)
{
    const char *list = formats[f].endings;
    struct str word;

    while (next_word(&list, &word))
        if (name.n > word.n && same((struct str){ name.p + name.n - word.n, word.n }, word))
            return word.n;
    return 0;
}

enum format
format_of_name(struct str filename)
{
    for (int i = 0; i < FORMAT_COUNT; i++)
        if (ending_of((enum format)i, filename) > 0)
            return (enum format)i;
    return FORMAT_NONE;
}

size_t
format_ending(struct str filename)
{
    enum format f = format_of_name(filename);

    return f == FORMAT_NONE ? 0 : ending_of(f, filename);
}

enum format
format_of_file(struct str type, struct str filename)
{
    enum format by_name = format_of_name(filename);

    type = without_parameters(type);
    if (by_name != FORMAT_NONE && (type.n == 0 || lists(vague, type) || lists(formats[by_name].others, type)))
        return by_name;
    return format_of_type(type);
}

/* Files that people send by mistake, by their first bytes. */
static const struct foreign {
    const char *name;
    size_t n;
    const char *magic;
} foreigners[] = {
    { "an old Office file, or one with a password: save it as .docx, .xlsx or .pptx without one", 8,
      "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" },
    { "a picture (PNG)", 4, "\x89PNG" },
    { "a picture (JPEG)", 3, "\xff\xd8\xff" },
    { "a picture (GIF)", 4, "GIF8" },
    { "a picture (TIFF)", 4, "II*\0" },
    { "a picture (TIFF)", 4, "MM\0*" },
    { "an archive (gzip)", 2, "\x1f\x8b" },
    { "an archive (7z)", 6, "7z\xbc\xaf\x27\x1c" },
    { "an archive (xz)", 6,
      "\xfd"
      "7zXZ\0" },
    { "an archive (RAR)", 4, "Rar!" },
    { "an archive (ZIP)", 2, "PK" },
    { "a program (ELF)", 4,
      "\x7f"
      "ELF" },
    { "a program (Windows)", 2, "MZ" },
};

/* A name that a ZIP archive has, in its first head or in the directory at its end. */
static bool
has_member(struct str s, const char *member)
{
    size_t n = strlen(member), tail = s.n < DIRECTORY_BYTES ? s.n : DIRECTORY_BYTES;

    return memmem(s.p, s.n < FIRST_BYTES ? s.n : FIRST_BYTES, member, n) ||
           memmem(s.p + s.n - tail, tail, member, n) != NULL;
}

static enum format
by_content(struct str body)
{
    for (int i = 0; i < FORMAT_COUNT; i++)
        if (formats[i].magic[0] && str_starts(body, formats[i].magic) &&
            (!formats[i].member[0] || has_member(body, formats[i].member)))
            return (enum format)i;
    return FORMAT_NONE;
}

/* A text may begin with the letters of something foreign. The only look at the whole body, and a rare one. */
static bool
is_text(struct str body, enum format f)
{
    return f != FORMAT_NONE && !formats[f].magic[0] && !str_has_byte(body, 0) && utf8_valid(body);
}

const char *
format_check(struct str body, enum format *f)
{
    static _Thread_local char why[200];
    enum format found = by_content(body);

    if (found != FORMAT_NONE)
        *f = found;
    if (found != FORMAT_NONE)
        return NULL;
    for (size_t i = 0; i < sizeof foreigners / sizeof *foreigners; i++)
        if (body.n >= foreigners[i].n && memcmp(body.p, foreigners[i].magic, foreigners[i].n) == 0) {
            if (is_text(body, *f))
                return NULL;
            (void)snprintf(why, sizeof why, "is %s", foreigners[i].name);
            return why;
        }
    if (*f == FORMAT_NONE || !formats[*f].magic[0])
        return NULL;
    (void)snprintf(why, sizeof why,
                   "was sent as %s, and its bytes are something else, or its beginning is missing",
                   formats[*f].name);
    return why;
}

void
format_names(struct buf *out)
{
    for (int i = 0; i < FORMAT_COUNT; i++)
        buf_printf(out, "%s%s", i == 0 ? "" : i + 1 < FORMAT_COUNT ? ", " : " and ", formats[i].name);
}
