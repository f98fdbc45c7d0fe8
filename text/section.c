/* See section.h. */
#include "text/section.h"

struct str
section_last(struct str path)
{
    for (size_t i = path.n; i > 2; i--)
        if (memcmp(path.p + i - 3, " > ", 3) == 0)
            return (struct str){ path.p + i, path.n - i };
    return path;
}
