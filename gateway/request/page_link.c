/* Links to headings. See page_link.h. */
#include "gateway/request/page_link.h"

#include <utf8proc.h>

#include "common/text/json.h"
#include "common/text/text.h"

/* The last of "Chapter > Section > Heading". */
static struct str
last_heading(struct str section)
{
    for (size_t i = section.n; i >= 3; i--)
        if (memcmp(section.p + i - 3, " > ", 3) == 0)
            return (struct str){ section.p + i, section.n - i };
    return section;
}

static bool
keeps(utf8proc_int32_t c)
{
    utf8proc_category_t k = utf8proc_category(c);

    return c == '-' || c == '_' || (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NO);
}

static void
slug(struct buf *b, struct str s, bool collapse)
{
    size_t from = b->n;

    for (size_t i = 0; i < s.n;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s.p + i, (utf8proc_ssize_t)(s.n - i), &c);
        utf8proc_uint8_t z[4];

        if (n <= 0)
            return;
        i += (size_t)n;
        c = c == ' ' ? '-' : utf8proc_tolower(c);
        if (!keeps(c) || (collapse && (c >= 0x80 || (c == '-' && (b->n == from || b->p[b->n - 1] == '-')))))
            continue;
        buf_add(b, z, (size_t)utf8proc_encode_char(c, z));
    }
    while (collapse && b->n > from && b->p[b->n - 1] == '-')
        b->n--;
}

void
page_link(struct buf *b, struct str url, struct str section)
{
    bool collapse = url.n > 2 && memcmp(url.p + url.n - 2, "#-", 2) == 0;
    struct buf link = BUF_MAX(65536);
    struct str page = { url.p, url.n - (collapse ? 2 : 1) };

    if (!collapse && !(url.n > 1 && url.p[url.n - 1] == '#')) {
        buf_key_str(b, "link", url);
        return;
    }
    buf_str(&link, page);
    buf_c(&link, '#');
    slug(&link, text_trim(last_heading(section)), collapse);
    if (link.n == page.n + 1)
        link.n--; /* no heading: the page */
    buf_key_str(b, "link", buf_slice(&link));
    buf_free(&link);
}
