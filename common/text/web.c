/* Addresses of the web (web.h). Paths: RFC 3986, 5.2.4. */
#include "common/text/web.h"

#include <strings.h>

size_t
web_scheme(struct str s)
{
    if (s.n > 7 && strncasecmp(s.p, "http://", 7) == 0)
        return 7;
    return s.n > 8 && strncasecmp(s.p, "https://", 8) == 0 ? 8 : 0;
}

bool
web_tidy(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 127 || strchr("<>\"`\\", s.p[i]))
            return false;
    return true;
}

void
web_path(struct buf *out, struct str path)
{
    size_t from = out->n;

    for (size_t at = 0, i = 0; i <= path.n; i++) {
        struct str part = { path.p + at, i - at };

        if (i < path.n && path.p[i] != '/')
            continue;
        at = i + 1;
        if (str_is(part, "..")) {
            if (out->n > from)
                out->n--;
            while (out->n > from && out->p[out->n - 1] != '/')
                out->n--;
        } else if (!str_is(part, ".")) {
            buf_str(out, part);
            if (i < path.n)
                buf_c(out, '/');
        }
    }
}
