/* Exact routes from route.tbl: no prefixes, no case folding, no trailing slashes. {id} and {name} match one segment that
 * is not empty; those of the OpenAI dialect count without their /v1, too. A HEAD is served by the GET of its path. */
#include "gateway/router.h"

#include "gateway/api/api.h"

#define METHOD(m) METHOD_##m
const struct route routes[] = {
#define ROUTE(id, method, path, who, body, flags, handler, summary) \
    { #method " " path, path, METHOD(method), WHO_##who, body, flags, handler },
#include "gateway/route.tbl"
#undef ROUTE
};
const size_t route_count = sizeof routes / sizeof routes[0];

static bool
path_match(const char *pattern, struct str path, struct str *arg)
{
    size_t i = 0;

    *arg = STR_NONE;
    while (*pattern) {
        if (*pattern == '{') {
            size_t from = i;

            while (i < path.n && path.p[i] != '/')
                i++;
            if (i == from)
                return false;
            *arg = (struct str){ path.p + from, i - from };
            pattern = strchr(pattern, '}') + 1;
        } else if (i < path.n && path.p[i] == *pattern) {
            i++;
            pattern++;
        } else {
            return false;
        }
    }
    return i == path.n;
}

static void
allow_add(char allow[64], const char *name)
{
    size_t n = strlen(allow), m = strlen(name);

    if (n + m + 3 > 64)
        return;
    if (n > 0) {
        memcpy(allow + n, ", ", 2);
        n += 2;
    }
    memcpy(allow + n, name, m + 1);
}

const struct route *
router_find(enum method m, struct str path, struct str *arg, bool *known, char allow[64])
{
    const struct route *found = NULL;
    enum method served = m == METHOD_HEAD ? METHOD_GET : m;

    *known = false;
    allow[0] = 0;
    *arg = STR_NONE;
    for (size_t i = 0; i < route_count; i++) {
        struct str got;

        if (!path_match(routes[i].path, path, &got) &&
            !((routes[i].flags & OPENAI) && path_match(routes[i].path + sizeof "/v1" - 1, path, &got)))
            continue;
        *known = true;
        allow_add(allow, method_names[routes[i].method]);
        if (routes[i].method == METHOD_GET)
            allow_add(allow, "HEAD");
        if (routes[i].method == served && !found) {
            found = &routes[i];
            *arg = got;
        }
    }
    if (*known)
        allow_add(allow, "OPTIONS");
    return found;
}
