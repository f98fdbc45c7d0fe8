/* HTML (html.h), parsed by gumbo as browsers do it (WHATWG HTML). The tree is walked without recursion: it may be a million deep.
 *
 * Main text is what stands in <main> (or role=main), else in the only <article>, else in <body>; in none of
 * them navigation, footers, asides and what is hidden. Navigation is also what is called so ("menu", "breadcrumb") and has more
 * links than other words, and a list of links into its own page. A table with one column, or around other tables, is layout: its
 * cells are paragraphs. */
#include "extract/html.h"

#include <gumbo.h>
#include <stdlib.h>
#include <strings.h>

#include "common/text/text.h"

enum role {
    ROLE_INLINE,
    ROLE_SKIP,
    ROLE_HEADING,
    ROLE_BLOCK,
    ROLE_ITEM,
    ROLE_PRE,
    ROLE_BREAK,
    ROLE_LINK,
    ROLE_TABLE,
    ROLE_ROW,
    ROLE_CELL
};
static const unsigned char roles[GUMBO_TAG_LAST + 1] = {
#define TAG(name, role) [GUMBO_TAG_##name] = ROLE_##role,
#include "extract/html_tag.tbl"
#undef TAG
};
enum {
    SCAN_MAX = 20000,
    SCANS_MAX = 4000000, /* nodes that are looked at for frames in one page */
    CONTENTS_LEAST = 3,  /* links of a list that are a table of contents */
    LINE_OF_LINKS = 300  /* bytes of what has few other words than "Prev", "Up", "Next" */
};
/* Words of a class or an id by which sites call what stands around their text. */
static const char *const frames[] = {
    "nav",     "navbar",  "navigation", "navheader", "navfooter",  "menu",        "mainmenu",
    "topmenu", "submenu", "sidemenu",   "sidebar",   "breadcrumb", "breadcrumbs", "pagination",
    "pager",   "footer",  "toolbar",    "skip",      "skiplink",   "toc",
};

struct page {
    struct out *o;
    struct buf run;   /* words of the block at hand */
    size_t link;      /* where in run the link at hand began, plus one; 0: no link */
    unsigned tables;  /* that we are in and that are tables */
    unsigned pre;     /* elements of preformatted text that we are in */
    unsigned bold;    /* elements of bold text that we are in; the term of a definition counts */
    bool said, plain; /* run has bold words that are no link; it has others that are not bold */
    bool linked;      /* we are in a link that leads somewhere */
    bool item, tight; /* the next block is an item; it follows its neighbour */
    bool whole;
    bool index;     /* it is mostly links: its table of contents is its text */
    size_t scanned; /* nodes, for frames */
};

static const GumboVector *
children(const GumboNode *n)
{
    return n->type == GUMBO_NODE_ELEMENT || n->type == GUMBO_NODE_TEMPLATE ? &n->v.element.children
           : n->type == GUMBO_NODE_DOCUMENT                                ? &n->v.document.children
                                                                           : NULL;
}

static const char *
att(const GumboNode *n, const char *name)
{
    const GumboAttribute *a = n->type == GUMBO_NODE_ELEMENT
                                  ? gumbo_get_attribute(&n->v.element.attributes, name)
                                  : NULL;

    return a ? a->value : NULL;
}

static bool
att_is(const GumboNode *n, const char *name, const char *value)
{
    const char *v = att(n, name);

    return v && strcasecmp(v, value) == 0;
}

static bool
is_tag(const GumboNode *n, GumboTag tag)
{
    return n->type == GUMBO_NODE_ELEMENT && n->v.element.tag == tag;
}

/* The node behind n in the order of the text, below top; NULL: there is none. into: n's own children count. */
static const GumboNode *
after(const GumboNode *n, const GumboNode *top, bool into)
{
    const GumboVector *c = children(n);

    if (into && c && c->length > 0)
        return c->data[0];
    while (n != top) {
        c = children(n->parent);
        if (n->index_within_parent + 1 < c->length)
            return c->data[n->index_within_parent + 1];
        n = n->parent;
    }
    return NULL;
}

static bool
hidden(const GumboNode *n)
{
    const char *style = att(n, "style");

    return att(n, "hidden") || att_is(n, "aria-hidden", "true") ||
           (style && (strcasestr(style, "display:none") || strcasestr(style, "display: none") ||
                      strcasestr(style, "visibility:hidden")));
}

/* ---- frames: what sites put around their text */
/* The words of a text below a node. */
struct measure {
    size_t bytes, linked; /* letters and signs; those of links */
    size_t links;
    bool local;    /* every link leads into this page */
    bool headings; /* it has some */
    bool title;    /* … of level 1 */
};

static size_t
count_bytes(const char *z)
{
    size_t n = 0;

    for (; *z; z++)
        n += (unsigned char)*z > ' ';
    return n;
}

static bool
within_link(const GumboNode *n, const GumboNode *top)
{
    for (int up = 0; n != top && up < 8; up++, n = n->parent)
        if (is_tag(n, GUMBO_TAG_A))
            return true;
    return false;
}

/* False: it is too long to be a frame, or the page has had its share of looks. */
static bool
measure(struct page *p, const GumboNode *top, struct measure *m)
{
    size_t seen = 0;

    *m = (struct measure){ .local = true };
    for (const GumboNode *n = after(top, top, true); n; n = after(n, top, true)) {
        const char *href = is_tag(n, GUMBO_TAG_A) ? att(n, "href") : NULL;

        if (++p->scanned > SCANS_MAX || ++seen > SCAN_MAX)
            return false;
        if (n->type == GUMBO_NODE_TEXT) {
            size_t bytes = count_bytes(n->v.text.text);

            m->bytes += bytes;
            m->linked += within_link(n, top) ? bytes : 0;
        }
        m->headings = m->headings ||
                      (n->type == GUMBO_NODE_ELEMENT && roles[n->v.element.tag] == ROLE_HEADING);
        m->title = m->title || is_tag(n, GUMBO_TAG_H1);
        m->links += href != NULL;
        m->local = m->local && (!href || href[0] == '#');
    }
    return true;
}

/* One of the words of the attribute is one that frames have. */
static bool
calls_frame(const struct page *p, const char *value)
{
    size_t known = sizeof frames / sizeof frames[0] - p->index; /* "toc" stands last */

    for (const char *w = value; w && *w;) {
        size_t n = strcspn(w, " \t\n-_");

        for (size_t i = 0; i < known; i++)
            if (strlen(frames[i]) == n && strncasecmp(w, frames[i], n) == 0)
                return true;
        w += n;
        w += strspn(w, " \t\n-_");
    }
    return false;
}

static bool
is_index(struct page *p, const GumboNode *text)
{
    struct measure m;

    return measure(p, text, &m) && m.linked * 2 >= m.bytes;
}

static bool
may_be_frame(const GumboNode *n)
{
    unsigned char role = roles[n->v.element.tag];

    return (role == ROLE_BLOCK || role == ROLE_ITEM || role == ROLE_TABLE) && !is_tag(n, GUMBO_TAG_BODY) &&
           !is_tag(n, GUMBO_TAG_MAIN) && !is_tag(n, GUMBO_TAG_ARTICLE);
}

static bool
is_frame(struct page *p, const GumboNode *n)
{
    bool called = calls_frame(p, att(n, "class")) || calls_frame(p, att(n, "id"));
    bool list = is_tag(n, GUMBO_TAG_UL) || is_tag(n, GUMBO_TAG_OL);
    struct measure m;

    if (!may_be_frame(n) || (!called && !list) || !measure(p, n, &m) || m.links == 0 || m.title)
        return false;
    return (called && (m.linked * 2 >= m.bytes || (m.bytes < LINE_OF_LINKS && !m.headings))) ||
           (m.local && m.links >= CONTENTS_LEAST && m.linked * 4 >= m.bytes * 3);
}

static bool
skipped(struct page *p, const GumboNode *n)
{
    GumboTag tag = n->v.element.tag;
    bool frame = tag == GUMBO_TAG_NAV || tag == GUMBO_TAG_FOOTER || tag == GUMBO_TAG_ASIDE;

    if (roles[tag] == ROLE_SKIP && !(frame && p->whole))
        return true;
    return hidden(n) || (!p->whole && (att_is(n, "role", "navigation") || att_is(n, "role", "contentinfo") ||
                                       att_is(n, "role", "search") || att_is(n, "role", "complementary") ||
                                       is_frame(p, n)));
}

/* ---- what is text here */

static const GumboNode *
main_part(const GumboNode *root)
{
    const GumboNode *article = NULL, *body = NULL;
    size_t articles = 0;

    for (const GumboNode *n = root; n; n = after(n, root, true)) {
        if (is_tag(n, GUMBO_TAG_MAIN) || att_is(n, "role", "main"))
            return n;
        if (is_tag(n, GUMBO_TAG_ARTICLE) && articles++ == 0)
            article = n;
        if (is_tag(n, GUMBO_TAG_BODY))
            body = n;
    }
    return articles == 1 ? article : body ? body : root;
}

/* Rows of several cells, and no table within. One without heads that has a single row ("Note"), or whose first cells say nothing, such
 * as pictures of numbers, only places its text. */
static bool
is_table(const GumboNode *table)
{
    size_t cells = 0, most = 0, heads = 0, names = 0, rows = 0, seen = 0;

    if (att_is(table, "role", "presentation") || att_is(table, "role", "none"))
        return false;
    for (const GumboNode *n = after(table, table, true); n && seen < SCAN_MAX;
         n = after(n, table, true), seen++) {
        if (is_tag(n, GUMBO_TAG_TABLE))
            return false;
        if (is_tag(n, GUMBO_TAG_TR)) {
            cells = 0;
            rows++;
        }
        if (is_tag(n, GUMBO_TAG_TH))
            heads++;
        if (is_tag(n, GUMBO_TAG_TD) || is_tag(n, GUMBO_TAG_TH))
            most = ++cells > most ? cells : most;
        names += cells == 1 && n->type == GUMBO_NODE_TEXT && count_bytes(n->v.text.text) > 0;
    }
    return most > 1 ? heads > 0 || (names > 0 && rows > 1) : heads > 1;
}

/* ---- the walk */

static void
flush(struct page *p)
{
    struct str s;

    if (p->tables == 0 && p->pre == 0 && p->said && !p->plain)
        out_question(&p->run);
    s = buf_slice(&p->run);
    p->said = p->plain = false;
    p->link = 0;
    if (p->tables > 0) {
        buf_c(&p->run, ' ');
        return;
    }
    if (p->pre > 0) {
        out_lines(p->o, s, false);
    } else if (text_trim(s).n > 0) {
        if (p->item)
            out_item(p->o, s, p->tight);
        else
            out_text(p->o, s, p->tight);
        p->item = p->tight = false;
    }
    buf_reset(&p->run);
}

static int
heading_level(const GumboNode *n)
{
    return (int)(n->v.element.tag - GUMBO_TAG_H1) + 1;
}

static bool
follows(const GumboNode *n, GumboTag tag)
{
    const GumboVector *c = children(n->parent);
    size_t at = n->index_within_parent;

    while (at > 0 &&
           ((const GumboNode *)c->data[at - 1])->type != GUMBO_NODE_ELEMENT) /* blanks are nodes, too */
        at--;
    return at > 0 && is_tag(c->data[at - 1], tag);
}

static void
open_item(struct page *p, const GumboNode *n)
{
    flush(p);
    p->item = true;
    p->tight = p->tight || follows(n, GUMBO_TAG_LI);
}

/* The explanation of a term stands right below it, and so does its other name. */
static void
open_block(struct page *p, const GumboNode *n)
{
    flush(p);
    if (is_tag(n, GUMBO_TAG_DD) || is_tag(n, GUMBO_TAG_DT))
        p->tight = follows(n, GUMBO_TAG_DT);
}

static bool
is_bold(const GumboNode *n)
{
    return is_tag(n, GUMBO_TAG_B) || is_tag(n, GUMBO_TAG_STRONG) || is_tag(n, GUMBO_TAG_DT);
}

static void
open_element(struct page *p, const GumboNode *n)
{
    p->bold += is_bold(n);
    switch (roles[n->v.element.tag]) {
    case ROLE_HEADING: flush(p); break;
    case ROLE_BLOCK: open_block(p, n); break;
    case ROLE_ITEM: open_item(p, n); break;
    case ROLE_PRE:
        flush(p);
        p->pre++;
        break;
    case ROLE_BREAK:
        if (p->pre > 0) {
            buf_c(&p->run, '\n');
        } else {
            flush(p);
            p->tight = true;
        }
        break;
    case ROLE_LINK:
        p->link = p->run.n + 1;
        p->linked = att(n, "href") != NULL;
        break;
    case ROLE_TABLE:
        flush(p);
        if (p->tables > 0 || is_table(n))
            if (p->tables++ == 0)
                out_table(p->o);
        break;
    case ROLE_CELL:
        if (p->tables == 0)
            flush(p);
        else if (p->tables == 1)
            buf_reset(&p->run);
        break;
    default: break;
    }
}

static void
close_link(struct page *p, const GumboNode *n)
{
    if (p->link > 0)
        out_link(&p->run, p->link - 1, att(n, "href"));
    p->link = 0;
}

static void
close_cell(struct page *p, const GumboNode *n)
{
    const char *span = att(n, "colspan");

    if (p->tables == 0) {
        flush(p);
    } else if (p->tables == 1) {
        out_span(p->o, buf_slice(&p->run), span ? strtol(span, NULL, 10) : 1);
        buf_reset(&p->run);
    }
}

static void
close_element(struct page *p, const GumboNode *n)
{
    p->bold -= is_bold(n);
    switch (roles[n->v.element.tag]) {
    case ROLE_HEADING:
        if (p->tables == 0 && p->pre == 0) {
            out_heading(p->o, heading_level(n), buf_slice(&p->run));
            buf_reset(&p->run);
            p->link = 0;
            p->item = p->tight = p->said = p->plain = false;
        } else {
            flush(p);
        }
        break;
    case ROLE_BLOCK: flush(p); break;
    case ROLE_ITEM:
        flush(p);
        p->item = false;
        break;
    case ROLE_PRE:
        flush(p);
        p->pre--;
        break;
    case ROLE_LINK:
        p->linked = false;
        if (p->pre == 0)
            close_link(p, n);
        break;
    case ROLE_TABLE:
        if (p->tables > 0 && --p->tables == 0) {
            out_table_end(p->o);
            buf_reset(&p->run);
        } else {
            flush(p);
        }
        break;
    case ROLE_ROW:
        if (p->tables == 1)
            out_row_end(p->o);
        break;
    case ROLE_CELL: close_cell(p, n); break;
    default: break;
    }
}

static void
add_words(struct page *p, const char *words)
{
    bool any = !p->linked && count_bytes(words) > 0;

    p->said = p->said || (any && p->bold > 0);
    p->plain = p->plain || (any && p->bold == 0);
    buf_z(&p->run, words);
}

static void
walk_page(struct page *p, const GumboNode *top)
{
    const GumboNode *n = top;

    for (;;) {
        const GumboVector *c = children(n);

        if (n->type == GUMBO_NODE_TEXT || n->type == GUMBO_NODE_WHITESPACE || n->type == GUMBO_NODE_CDATA) {
            add_words(p, n->v.text.text);
        } else if (n->type == GUMBO_NODE_ELEMENT && !skipped(p, n)) {
            open_element(p, n);
            if (c->length > 0) {
                n = c->data[0];
                continue;
            }
            close_element(p, n);
        } else if (n->type == GUMBO_NODE_DOCUMENT && c->length > 0) {
            n = c->data[0];
            continue;
        }
        while (n != top) {
            const GumboNode *up = n->parent;

            c = children(up);
            if (n->index_within_parent + 1 < c->length) {
                n = c->data[n->index_within_parent + 1];
                break;
            }
            n = up;
            if (n->type == GUMBO_NODE_ELEMENT)
                close_element(p, n);
        }
        if (n == top)
            return;
    }
}

/* The text of <title>; NULL: there is none. */
static const char *
page_title(const GumboNode *root)
{
    for (const GumboNode *n = root; n && !is_tag(n, GUMBO_TAG_BODY); n = after(n, root, true)) {
        const GumboVector *c = children(n);

        if (is_tag(n, GUMBO_TAG_TITLE) && c->length > 0 && ((GumboNode *)c->data[0])->type == GUMBO_NODE_TEXT)
            return ((GumboNode *)c->data[0])->v.text.text;
    }
    return NULL;
}

static size_t
count_headings(const GumboNode *top)
{
    size_t n = 0;

    for (const GumboNode *k = top; k; k = after(k, top, true))
        n += is_tag(k, GUMBO_TAG_H1);
    return n;
}

static bool
is_numbered(const char *z)
{
    size_t digits = strspn(z += strspn(z, " \t\r\n"), "0123456789");

    return digits > 0 && digits < 3 && z[digits] == '.';
}

/* A heading of level 1 is a section ("1. Overview") where it is one of several, or has a number, unless <title> has its words. */
static bool
title_first(const char *title, const GumboNode *top)
{
    const GumboNode *n = top;
    struct buf words = BUF_MAX(1024);
    size_t headings = count_headings(top);
    bool has;

    if (!title || headings == 0)
        return false;
    while (!is_tag(n, GUMBO_TAG_H1))
        n = after(n, top, true);
    for (const GumboNode *k = n; k; k = after(k, n, true))
        if (k->type == GUMBO_NODE_TEXT)
            buf_z(&words, k->v.text.text);
    has = words.n == 0 || words.failed || strcasestr(title, words.p) ||
          (headings == 1 && !is_numbered(words.p));
    buf_free(&words);
    return !has;
}

void
html_page(struct str html, bool whole, struct out *o)
{
    GumboOptions options = kGumboDefaultOptions;
    struct page p = { .o = o, .whole = whole };
    const GumboNode *text;
    const char *title;
    GumboOutput *tree;

    options.max_errors = 0;
    tree = gumbo_parse_with_options(&options, html.p, html.n);
    text = main_part(tree->root);
    p.index = is_index(&p, text);
    title = page_title(tree->root);
    if (!whole && title_first(title, text))
        out_title(o, str_of(title));
    walk_page(&p, text);
    flush(&p);
    if (out_empty(o) && !whole) { /* all of it is navigation */
        p.whole = true;
        walk_page(&p, tree->root);
        flush(&p);
    }
    if (title)
        out_title(o, str_of(title));
}

static void
html_read(struct str body, struct out *o)
{
    html_page(body, false, o);
}

const struct reader reader_html = { .read = html_read, .text = true };
