/* Files and pages that are left out (exclude.h): by name (exclude.tbl), by what the head of a page says, by the length of lines.
 * Pure but for exclude_file, which reads the beginning of the file. */
#include "client/files/exclude.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <gumbo.h>
#include <strings.h>
#include <unistd.h>

#include "proto/format.h"

#define AGENT "footnote"
#define LINE_BYTES 5000 /* a line of source code that nobody wrote */
#define USUAL_BYTES 500 /* nor would all lines be as long as this */
#define NOINDEX "it asks not to be indexed: robots, noindex"

static const struct {
    const char *name, *what;
} excluded[] = {
#define EXCLUDE(name, what) { name, what },
#include "client/files/exclude.tbl"
#undef EXCLUDE
};

/* ---- what a page says of itself */

/* The next part of a list, without blanks at its ends; absent at the end. */
static struct str
next_part(const char **p)
{
    const char *from = *p + strspn(*p, ", \t");
    size_t n = strcspn(from, ",");

    *p = from + n;
    while (n > 0 && (from[n - 1] == ' ' || from[n - 1] == '\t'))
        n--;
    return n > 0 ? (struct str){ from, n } : STR_NONE;
}

static bool
forbids(struct str part)
{
    return str_is_anycase(part, "noindex") || str_is_anycase(part, "none");
}

bool
exclude_tag(const char *header)
{
    bool ours = true;
    struct str part;

    while ((part = next_part(&header)).p) {
        const char *colon = memchr(part.p, ':', part.n);

        if (colon) { /* what follows is said to one program, up to the next name */
            ours = str_is_anycase((struct str){ part.p, (size_t)(colon - part.p) }, AGENT);
            part.n -= (size_t)(colon + 1 - part.p);
            part.p = colon + 1;
            while (part.n > 0 && *part.p == ' ')
                part.p++, part.n--;
        }
        if (ours && forbids(part))
            return true;
    }
    return false;
}

static const char *
attribute(const GumboElement *e, const char *name)
{
    const GumboAttribute *a = gumbo_get_attribute(&e->attributes, name);

    return a ? a->value : "";
}

static bool
no_index(const char *content)
{
    struct str part;

    while ((part = next_part(&content)).p)
        if (forbids(part))
            return true;
    return false;
}

static const char *
of_meta(const GumboElement *e)
{
    const char *name = attribute(e, "name"), *content = attribute(e, "content");

    if ((strcasecmp(name, "robots") == 0 || strcasecmp(name, AGENT) == 0) && no_index(content))
        return NOINDEX;
    if (strcasecmp(attribute(e, "http-equiv"), "refresh") == 0 && strcasestr(content, "url"))
        return "it only leads to another page";
    return NULL;
}

static const char *
of_children(const GumboNode *n)
{
    const GumboVector *v = &n->v.element.children;
    const char *why = NULL;

    for (unsigned i = 0; !why && i < v->length; i++) {
        const GumboNode *child = v->data[i];

        if (child->type != GUMBO_NODE_ELEMENT)
            continue;
        if (child->v.element.tag == GUMBO_TAG_META)
            why = of_meta(&child->v.element);
        else if (child->v.element.tag == GUMBO_TAG_HEAD)
            why = of_children(child);
    }
    return why;
}

const char *
exclude_page(struct str head)
{
    GumboOutput *page = gumbo_parse_with_options(&kGumboDefaultOptions, head.p, head.n);
    const char *why;

    if (!page)
        return NULL;
    why = of_children(page->root);
    gumbo_destroy_output(&kGumboDefaultOptions, page);
    return why;
}

/* ---- files */

/* The beginning of a file, as much of it as there is. */
static struct str
read_head(const char *path, char *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t got = 1;

    while (fd >= 0 && n < EXCLUDE_HEAD && got > 0)
        if ((got = read(fd, bytes + n, EXCLUDE_HEAD - n)) > 0)
            n += (size_t)got;
    if (fd >= 0)
        close(fd);
    return (struct str){ bytes, n };
}

/* Did a program write it, for programs? */
static bool
compressed(struct str text)
{
    size_t lines = 1, longest = 0, from = 0;

    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == '\n') {
            longest = i - from > longest ? i - from : longest;
            from = i + 1;
            lines++;
        }
    longest = text.n - from > longest ? text.n - from : longest;
    return longest > LINE_BYTES && text.n / lines > USUAL_BYTES;
}

const char *
exclude_file(const char *path, const char *name, bool site)
{
    enum format format = format_of_name(str_of(name));
    const char *why = NULL;
    char *bytes;

    for (size_t i = 0; i < sizeof excluded / sizeof *excluded; i++)
        if (fnmatch(excluded[i].name, name, FNM_CASEFOLD) == 0)
            return excluded[i].what;
    if (site && (fnmatch("*.js", name, FNM_CASEFOLD) == 0 || fnmatch("*.css", name, FNM_CASEFOLD) == 0))
        return "a script or style of the site";
    if (format != FORMAT_HTML && format != FORMAT_CODE)
        return NULL;
    bytes = mem_new(EXCLUDE_HEAD);
    if (format == FORMAT_HTML)
        why = exclude_page(read_head(path, bytes));
    else if (compressed(read_head(path, bytes)))
        why = "its lines are longer than anybody writes them";
    mem_free(&bytes);
    return why;
}
