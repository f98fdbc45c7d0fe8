/* write(2) until everything is written (write.h). */
#include "common/write.h"

#include <errno.h>
#include <unistd.h>

bool
write_all(int fd, struct str s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);

        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            s = (struct str){ s.p + n, s.n - (size_t)n };
    }
    return true;
}
