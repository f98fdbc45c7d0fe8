/* From a file's path to the address of its page: site.tbl says how. Sources of the rules: Docusaurus's
 * slug.ts and numberPrefix.ts, MkDocs' use_directory_urls, mdBook's README → index, VitePress' "Routing",
 * Hugo's "URL management". */
#include <strings.h>
#include <utf8proc.h>

#include "common/text/text.h"
#include "common/text/web.h"
#include "client/client.h"
#include "proto/format.h"

enum {                   /* flags of site.tbl */
       NUMBERS = 1 << 0, /* "01-start" is "start" */
       SLUG = 1 << 1, /* "slug:" of the front matter is the last part, or with a slash in front all of it */
       PAGE_ID = 1 << 2,     /* "id:" of the front matter is the last part */
       TWIN = 1 << 3,        /* guide/guide.md is the folder's own page, too */
       NAMED_INDEX = 1 << 4, /* guide/index.html, not guide/ */
       WHOLE_URL = 1 << 5,   /* "url:" of the front matter is all of it */
       SANITIZED = 1 << 6,   /* small letters, a hyphen for blanks, no punctuation */
       BUNDLES = 1 << 7,   /* index.md with a slug: its folder is called so; a section, _index.md, has none */
       PLAIN_TEXT = 1 << 8 /* plain text is a page, too, and no file of the site */
};

static const struct site_rule {
    const char *name, *index, *ending, *anchors;
    unsigned flags;
} rules[] = {
#define SITE(name, index, ending, anchors, flags) { name, index, ending, anchors, flags },
#define ENDING(name, ending)
#include "client/site.tbl"
#undef SITE
#undef ENDING
};
enum { RULES = sizeof rules / sizeof *rules };

static const struct site_ending {
    const char *name, *ending;
} endings[] = {
#define SITE(name, index, ending, anchors, flags)
#define ENDING(name, ending) { name, ending },
#include "client/site.tbl"
#undef SITE
#undef ENDING
};
enum { ENDINGS = sizeof endings / sizeof *endings };

void
site_names(struct buf *out, const char *between, const char *last)
{
    for (size_t i = 0; i < RULES; i++)
        buf_printf(out, "%s%s", i == 0 ? "" : i + 1 < RULES ? between : last, rules[i].name);
}

static void
say_routes(const char *kind)
{
    struct buf names = { 0 }, ends = { 0 };

    site_names(&names, ", ", " or ");
    for (size_t i = 0; i < ENDINGS; i++)
        buf_printf(&ends, "%s,%s", i == 0 ? "" : i + 1 < ENDINGS ? " " : " or ", endings[i].name);
    say("--routes is %s, where addresses end otherwise followed by %s; not \"%s\"", names.p, ends.p, kind);
    buf_free(&names);
    buf_free(&ends);
}

static bool
base_ok(const char *url)
{
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

bool
site_of(const struct cli *c, struct site *s)
{
    const char *kind = c->opt[CLI_SITE] ? c->opt[CLI_SITE] : c->opt[CLI_ROUTES];
    size_t n = strcspn(kind, ",");

    *s = (struct site){ .base = c->opt[CLI_BASE_URL] };
    for (size_t i = 0; i < RULES; i++)
        if (strlen(rules[i].name) == n && strncmp(kind, rules[i].name, n) == 0) {
            s->rule = &rules[i];
            s->ending = kind[n] ? NULL : rules[i].ending;
        }
    for (size_t i = 0; i < ENDINGS && kind[n]; i++)
        if (strcmp(kind + n + 1, endings[i].name) == 0)
            s->ending = endings[i].ending;
    if (!s->rule || !s->ending) {
        say_routes(kind);
        return false;
    }
    return base_ok(s->base);
}

/* ---- front matter: a line "key: value" of YAML between "---", or "key = value" of TOML between "+++" */

static struct str
value_of(struct str line, const char *key, char sep)
{
    size_t n = strlen(key);
    struct str v;

    if (!str_starts(line, key))
        return STR_NONE;
    v = text_trim((struct str){ line.p + n, line.n - n });
    if (v.n == 0 || v.p[0] != sep)
        return STR_NONE;
    v = text_trim((struct str){ v.p + 1, v.n - 1 });
    if (v.n >= 2 && (v.p[0] == '"' || v.p[0] == '\'')) {
        const char *end = memchr(v.p + 1, v.p[0], v.n - 1);

        return end ? (struct str){ v.p + 1, (size_t)(end - v.p - 1) } : STR_NONE;
    }
    for (size_t i = 1; i < v.n; i++) /* a comment of YAML */
        if (v.p[i] == '#' && v.p[i - 1] == ' ')
            return text_trim((struct str){ v.p, i });
    return v;
}

static struct str
front(struct str text, const char *key)
{
    const char *fence = str_starts(text, "---") ? "---" : "+++";
    const char *p = text.p, *end = text.p + text.n;
    struct str found = STR_NONE;

    if (!str_starts(text, fence))
        return STR_NONE;
    for (int line = 0; p < end && line < 200; line++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *e = nl ? nl : end;
        struct str l = { p, (size_t)(e - p) };

        if (line > 0 && str_is(text_trim(l), fence))
            return found;
        if (!found.p)
            found = value_of(l, key, fence[0] == '-' ? ':' : '=');
        p = e + 1;
    }
    return STR_NONE; /* it never ended: it is none */
}

/* ---- the parts of a path */

static struct str
ending_of(struct str s)
{
    const char *dot = s.n > 0 ? memrchr(s.p, '.', s.n) : NULL;

    return dot ? (struct str){ dot, s.n - (size_t)(dot - s.p) } : STR_NONE;
}

/* Docusaurus: digits, then "-", "_" or "." with blanks around them; what looks like a date or a version stays. */
static struct str
without_number(struct str s)
{
    size_t digits = 0, sep, end;

    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    for (sep = digits; sep < s.n && s.p[sep] == ' '; sep++)
        ;
    for (end = sep; end < s.n && strchr("-_.", s.p[end]); end++)
        ;
    if (digits == 0 || end == sep)
        return s;
    if (sep == digits && end == sep + 1 && end < s.n && s.p[end] >= '0' && s.p[end] <= '9')
        return s;
    while (end < s.n && s.p[end] == ' ')
        end++;
    return end < s.n && !strchr("-_.", s.p[end]) ? (struct str){ s.p + end, s.n - end } : s;
}

/* Hugo's paths: letters, digits, marks and some signs stay; a run of blanks is a hyphen. */
static void
add_sanitized(struct buf *out, struct str s)
{
    struct buf b = { 0 };
    utf8proc_uint8_t z[4];
    utf8proc_int32_t c;
    bool blank = false;

    for (size_t i = 0; i < s.n;) {
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s.p + i, (utf8proc_ssize_t)(s.n - i),
                                              &c);

        if (n <= 0)
            break;
        i += (size_t)n;
        utf8proc_category_t k = utf8proc_category(c);
        bool kept = (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_ND) ||
                    (c < 0x80 && c > ' ' && strchr("._#+~-@", c));

        if (kept && blank && b.n > 0 && b.p[b.n - 1] != '-' && c != '-')
            buf_c(&b, '-');
        blank = (kept ? false : blank) || c == ' ';
        if (kept)
            buf_add(&b, z, (size_t)utf8proc_encode_char(utf8proc_tolower(c), z));
    }
    url_escape(out, buf_slice(&b));
    buf_free(&b);
}

static void
add_part(struct buf *out, unsigned flags, struct str part)
{
    if (flags & SANITIZED)
        add_sanitized(out, part);
    else
        url_escape(out, part);
}

static void
add_parts(struct buf *out, unsigned flags, struct str path)
{
    for (size_t i = 0, from = 0; i <= path.n; i++)
        if (i == path.n || path.p[i] == '/') {
            add_part(out, flags, (struct str){ path.p + from, i - from });
            if (i < path.n)
                buf_c(out, '/');
            from = i + 1;
        }
}

static bool
is_index(const struct site_rule *r, struct str name, struct str folder)
{
    const char *at = r->index;

    while (*at) {
        size_t n = strcspn(at, " ");

        if (name.n == n && strncasecmp(name.p, at, n) == 0)
            return true;
        at += n + (at[n] == ' ');
    }
    return (r->flags & TWIN) && folder.n > 0 && name.n == folder.n &&
           strncasecmp(name.p, folder.p, name.n) == 0;
}

/* "a/./b" and "a/b/../c", as slugs may have them. from: behind the address of the site. */
static void
resolve_dots(struct buf *b, size_t from)
{
    struct buf out = { 0 };

    web_path(&out, (struct str){ b->p + from, b->n - from });
    b->n = from;
    buf_str(b, buf_slice(&out));
    buf_free(&out);
}

/* ---- the whole */

struct page { /* a file's path in parts */
    struct str folders, folder, name;
};

static struct page
page_of(struct str path)
{
    struct page p = { .name = path };
    const char *slash = path.n > 0 ? memrchr(path.p, '/', path.n) : NULL, *before;

    if (!slash)
        return p;
    p.folders = (struct str){ path.p, (size_t)(slash - path.p) };
    p.name = (struct str){ slash + 1, path.n - p.folders.n - 1 };
    before = memrchr(p.folders.p, '/', p.folders.n);
    p.folder = before ? (struct str){ before + 1, (size_t)(slash - before) - 1 } : p.folders;
    return p;
}

static void
add_folders(struct buf *out, unsigned flags, bool numbers, struct str folders)
{
    for (size_t i = 0, from = 0; folders.n > 0 && i <= folders.n; i++)
        if (i == folders.n || folders.p[i] == '/') {
            struct str part = { folders.p + from, i - from };

            add_part(out, flags, numbers ? without_number(part) : part);
            buf_c(out, '/');
            from = i + 1;
        }
}

static void
add_ending(struct buf *out, const char *ending)
{
    if (!(ending[0] == '/' && out->n > 0 && out->p[out->n - 1] == '/'))
        buf_z(out, ending);
}

static void
add_page(struct buf *out, const struct site *s, const struct page *p, struct str text)
{
    const struct site_rule *r = s->rule;
    bool numbers = (r->flags & NUMBERS) && !str_is(front(text, "parse_number_prefixes"), "false");
    bool index = is_index(r, p->name, p->folder);
    struct str slug = r->flags & SLUG ? front(text, "slug") : STR_NONE;
    struct str id = r->flags & PAGE_ID ? front(text, "id") : STR_NONE;

    if ((r->flags & BUNDLES) && index && str_is(p->name, "_index"))
        slug = STR_NONE; /* of a section */
    if (slug.n > 0 && slug.p[0] == '/') {
        add_parts(out, 0, (struct str){ slug.p + 1, slug.n - 1 });
        return;
    }
    add_folders(out, r->flags, numbers,
                (r->flags & BUNDLES) && index && slug.n > 0
                    ? page_of(p->folders).folders /* its bundle's name */
                    : p->folders);
    if (slug.n > 0) {
        add_parts(out, r->flags, slug);
    } else if (index) {
        buf_z(out, r->flags & NAMED_INDEX && str_is(str_of(s->ending), ".html") ? "index.html" : "");
        return;
    } else {
        add_part(out, r->flags, id.n > 0 ? id : numbers ? without_number(p->name) : p->name);
    }
    add_ending(out, s->ending);
}

/* "/a/b" as a page of its own ends in a slash, "/a/b.html" does not. */
static void
add_whole_url(struct buf *out, struct str url)
{
    size_t from = out->n;

    while (url.n > 0 && url.p[0] == '/')
        url = (struct str){ url.p + 1, url.n - 1 };
    add_parts(out, 0, url);
    if (out->n > from && !ending_of(page_of(url).name).p)
        add_ending(out, "/");
}

void
site_url(struct buf *out, const struct site *s, struct str id, struct str text)
{
    enum format format = format_of_name(id);
    bool page = format == FORMAT_MARKDOWN || format == FORMAT_MDX ||
                (format == FORMAT_PLAIN && (s->rule->flags & PLAIN_TEXT));
    struct str url = s->rule->flags & WHOLE_URL ? front(text, "url") : STR_NONE;
    size_t n = strlen(s->base);

    while (n > 0 && s->base[n - 1] == '/')
        n--;
    buf_add(out, s->base, n);
    buf_c(out, '/');
    n = out->n;
    if (!page) { /* the site has the file as it is */
        add_parts(out, 0, id);
        buf_z(out, format == FORMAT_HTML ? "#{ids}" : "");
        return;
    }
    struct page p = page_of((struct str){ id.p, id.n - ending_of(id).n });

    if (url.n > 0)
        add_whole_url(out, url);
    else
        add_page(out, s, &p, text);
    resolve_dots(out, n);
    buf_z(out, s->rule->anchors);
}
