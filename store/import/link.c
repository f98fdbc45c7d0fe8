/* Links of the old backend (link.h). It kept them as its page had them: whole addresses, paths, and links relative to
 * the site's folder. A browser would read the last two against the page of whoever shows them, which is another one now. */
#include "store/import/link.h"

#include "common/text/text.h"
#include "common/text/web.h"

static bool
has_scheme(struct str s)
{
    size_t n = 0;

    while (n < s.n && !strchr(":/?#", s.p[n]))
        n++;
    return n < s.n && s.p[n] == ':';
}

static struct str
below(struct arena *a, struct str base, struct str link)
{
    size_t host = web_scheme(base), path = 0;
    struct buf whole = { 0 }, out = { 0 };
    struct str made;

    while (host < base.n && base.p[host] != '/')
        host++;
    while (path < link.n && link.p[path] != '?' && link.p[path] != '#')
        path++;
    if (link.n == 0 || link.p[0] != '/') {
        buf_add(&whole, base.p + host, base.n - host);
        if (base.p[base.n - 1] != '/')
            buf_c(&whole, '/');
    }
    buf_add(&whole, link.p, path);
    buf_add(&out, base.p, host);
    buf_c(&out, '/');
    web_path(&out, (struct str){ whole.p + 1, whole.n - 1 });
    buf_add(&out, link.p + path, link.n - path);
    made = arena_str(a, buf_slice(&out));
    buf_free(&whole);
    buf_free(&out);
    return made;
}

struct str
import_link(struct arena *a, const char *base, struct str link)
{
    struct str s = text_trim(link);

    if (!web_tidy(s))
        return STR_NONE;
    if (web_scheme(s) > 0)
        return s;
    if (has_scheme(s) || str_starts(s, "//"))
        return STR_NONE;
    return base && base[0] && s.n > 0 ? below(a, str_of(base), s) : s;
}

bool
import_base_ok(const char *base)
{
    struct str s = str_of(base);
    size_t host = web_scheme(s);

    return host > 0 && web_tidy(s) && !strpbrk(base, "?#") && s.p[host] != '/';
}
