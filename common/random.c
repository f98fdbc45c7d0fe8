/* Random bytes of the kernel, drawn in stock. */
#include "common/random.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/log.h"

#define STOCK 512 /* a request wants a few ids: one system call for many of them */

static void
from_kernel(void *out, size_t n)
{
    uint8_t *b = out;

    while (n > 0) {
        ssize_t got = getrandom(b, n, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            LOG(ERROR, NULL, M("the kernel gave no random bytes"), KI("errno", errno));
            abort();
        }
        b += got;
        n -= (size_t)got;
    }
}

/* Bytes are wiped as they are given out: what was drawn earlier is nowhere. */
void
random_bytes(void *out, size_t n)
{
    static _Thread_local uint8_t stock[STOCK];
    static _Thread_local size_t left;

    if (n > STOCK / 4) {
        from_kernel(out, n);
        return;
    }
    if (left < n) {
        from_kernel(stock, sizeof stock);
        left = sizeof stock;
    }
    left -= n;
    memcpy(out, stock + left, n);
    explicit_bzero(stock + left, n);
}
