/* From a file's path to the address of its page, by the rules of the generators that make sites of Markdown:
 *
 *   file                 plain             mkdocs               docusaurus         mdbook
 *   guide/setup.md       guide/setup       guide/setup/         guide/setup        guide/setup.html
 *   guide/index.md       guide/            guide/               guide/             guide/index.html
 *   guide/README.md      guide/README      guide/               guide/             guide/index.html
 *   01-start/02-run.md   01-start/02-run   01-start/02-run/     start/run          01-start/02-run.html
 *
 * MkDocs: use_directory_urls (its default). Docusaurus: number prefixes go, a "slug" in the front matter counts. */
#include <strings.h>

#include "common/text/text.h"
#include "client/client.h"

enum site { SITE_PLAIN, SITE_MKDOCS, SITE_DOCUSAURUS, SITE_MDBOOK, SITES };

static const char *const names[SITES] = { "plain", "mkdocs", "docusaurus", "mdbook" };

static enum site
kind(const struct cli *c)
{
    int k = 0;

    while (k < SITES && strcmp(c->opt[CLI_SITE], names[k]) != 0)
        k++;
    return (enum site)k;
}

bool
site_check(const struct cli *c)
{
    const char *url = c->opt[CLI_BASE_URL];

    if (kind(c) == SITES) {
        say("--site is docusaurus, mkdocs, mdbook or plain, not \"%s\"", c->opt[CLI_SITE]);
        return false;
    }
    if (url && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
        say("--base-url must begin with http:// or https://, not \"%s\"", url);
        return false;
    }
    if (url && strpbrk(url, "?#")) {
        say("--base-url is the address of a folder: without ? and #");
        return false;
    }
    return true;
}

/* "slug: /intro" or "slug: 'intro'" in the front matter. */
static struct str
front_slug(struct str text)
{
    const char *p = text.p, *end = text.p + text.n;

    if (!str_starts(text, "---"))
        return STR_NONE;
    for (int line = 0; p < end && line < 200; line++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *e = nl ? nl : end;
        struct str l = text_trim((struct str){ p, (size_t)(e - p) });

        if (line > 0 && str_is(l, "---"))
            break;
        if (str_starts(l, "slug:")) {
            l = text_trim((struct str){ l.p + 5, l.n - 5 });
            if (l.n >= 2 && (l.p[0] == '"' || l.p[0] == '\'') && l.p[l.n - 1] == l.p[0])
                l = (struct str){ l.p + 1, l.n - 2 };
            return l;
        }
        p = e + 1;
    }
    return STR_NONE;
}

static struct str
without_ending(struct str s)
{
    static const char *const endings[] = { ".markdown", ".mdx", ".md", ".txt" };

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t n = strlen(endings[i]);

        if (s.n > n && strncasecmp(s.p + s.n - n, endings[i], n) == 0)
            return (struct str){ s.p, s.n - n };
    }
    return s;
}

/* "01-start" and "2.start" are "start"; "2024-01-02-news" and "3d" stay, as Docusaurus has it. */
static struct str
without_number(struct str s)
{
    size_t n = 0, sep;

    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    for (sep = n; sep < s.n && strchr(" -_.", s.p[sep]); sep++)
        ;
    if (n == 0 || sep == n || sep == s.n || (s.p[sep] >= '0' && s.p[sep] <= '9'))
        return s;
    return (struct str){ s.p + sep, s.n - sep };
}

static bool
is_index(enum site k, struct str name)
{
    bool index = name.n == 5 && strncasecmp(name.p, "index", 5) == 0;

    return index || (k != SITE_PLAIN && name.n == 6 && strncasecmp(name.p, "readme", 6) == 0);
}

static void
add_part(struct buf *out, enum site k, struct str part)
{
    url_escape(out, k == SITE_DOCUSAURUS ? without_number(part) : part);
}

/* The page's own part of the address, behind its folder. */
static void
add_page(struct buf *out, enum site k, struct str name)
{
    if (is_index(k, name)) {
        if (k == SITE_MDBOOK)
            buf_z(out, "index.html");
        return;
    }
    add_part(out, k, name);
    buf_z(out, k == SITE_MKDOCS ? "/" : k == SITE_MDBOOK ? ".html" : "");
}

static void
add_slug(struct buf *out, struct str slug)
{
    for (size_t i = 0; i < slug.n; i++)
        if (slug.p[i] == '/')
            buf_c(out, '/');
        else {
            size_t from = i;

            while (i + 1 < slug.n && slug.p[i + 1] != '/')
                i++;
            url_escape(out, (struct str){ slug.p + from, i + 1 - from });
        }
}

void
site_url(struct buf *out, const struct cli *c, struct str id, struct str text)
{
    enum site k = kind(c);
    struct str slug = k == SITE_DOCUSAURUS ? front_slug(text) : STR_NONE, path = without_ending(id);
    const char *base = c->opt[CLI_BASE_URL];
    size_t n = strlen(base), from = 0;

    while (n > 0 && base[n - 1] == '/')
        n--;
    buf_add(out, base, n);
    buf_c(out, '/');
    if (slug.n > 0 && slug.p[0] == '/') {
        add_slug(out, (struct str){ slug.p + 1, slug.n - 1 });
    } else {
        for (size_t i = 0; i < path.n; i++)
            if (path.p[i] == '/') {
                add_part(out, k, (struct str){ path.p + from, i - from });
                buf_c(out, '/');
                from = i + 1;
            }
        if (slug.n > 0)
            add_slug(out, slug);
        else
            add_page(out, k, (struct str){ path.p + from, path.n - from });
    }
    buf_z(out, k == SITE_MKDOCS ? "#-" : "#");
}
