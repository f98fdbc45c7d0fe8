/* Links to headings and pages. See page_link.h. */
#include "gateway/request/page_link.h"

#include <strings.h>

#include "common/text/json.h"
#include "gateway/safe/link_rule.h"
#include "text/anchor.h"
#include "text/section.h"

/* The address: with its page in the document, or with the anchor of its heading. */
static void
add_address(struct buf *link, struct str url, struct str section, int64_t number)
{
    size_t from = link->n;
    enum anchor_style style;
    struct str page;

    if (!anchor_wanted(url, &style, &page)) {
        buf_str(link, url);
        return;
    }
    buf_str(link, page);
    if (number > 0) { /* a PDF's viewer knows it (RFC 8118) */
        buf_printf(link, "#page=%lld", (long long)number);
        return;
    }
    buf_c(link, '#');
    if (section.n > 0)
        anchor_slug(style, section_last(section), link);
    if (link->n == from + page.n + 1)
        link->n--; /* no heading: the page */
}

void
page_link(struct buf *b, struct str url, struct str section, int64_t number)
{
    struct buf link = BUF_MAX(65536);

    if (link_plain(url)) /* an import may have brought anything */
        add_address(&link, url, section, number);
    buf_key_str(b, "link", link.n > 0 && !link.failed ? buf_slice(&link) : STR_NONE);
    buf_free(&link);
}

/* "//host/path": of another host, by the reader's own scheme. */
static bool
is_host(struct str url)
{
    return url.n > 2 && url.p[0] == '/' && url.p[1] == '/';
}

static bool
is_path(struct str url)
{
    return url.n > 0 && url.p[0] == '/' && !is_host(url);
}

bool
page_opens(const char *site, struct str url)
{
    return link_plain(url) && (!is_path(url) || *site);
}

bool
page_open(struct buf *out, const char *site, struct str url, struct str section, int64_t number)
{
    size_t n = strlen(site);

    if (!page_opens(site, url))
        return false;
    while (n > 0 && site[n - 1] == '/')
        n--;
    if (is_path(url))
        buf_add(out, site, n);
    else if (is_host(url))
        buf_z(out, strncasecmp(site, "http://", 7) == 0 ? "http:" : "https:");
    add_address(out, url, section, number);
    return true;
}
