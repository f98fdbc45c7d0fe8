/* Sealed texts (ticket.h), with a key of the deployment's secret. Without one a key of this process: then they end with it. */
#include "gateway/openai/ticket.h"

#include <pthread.h>

#include "common/digest.h"
#include "common/random.h"

#define SEALED_MAX 1024

static uint8_t own[32];

static void
own_make(void)
{
    random_bytes(own, sizeof own);
}

static void
ticket_key(const struct request *r, const char *use, struct str owner, uint8_t out[32])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct str parts[] = { STR("ticket"), api_secret(r), STR("\n"), str_of(use), STR("\n"), owner };

    if (parts[1].n == 0) {
        pthread_once(&once, own_make);
        parts[1] = (struct str){ (const char *)own, sizeof own };
    }
    sha256(parts, sizeof parts / sizeof *parts, out);
}

static void
swap(char *p, size_t n, const char *from, const char *to)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; from[k]; k++)
            if (p[i] == from[k]) {
                p[i] = to[k];
                break;
            }
}

void
ticket_seal(const struct request *r, const char *use, struct str owner, struct str plain, struct buf *out)
{
    struct buf sealed = BUF_MAX(SEALED_MAX);
    size_t from = out->n;
    uint8_t key[32];

    ticket_key(r, use, owner, key);
    seal(key, plain, &sealed);
    base64_encode(buf_slice(&sealed), out);
    while (out->n > from && out->p[out->n - 1] == '=')
        out->n--;
    if (out->n > from)
        swap(out->p + from, out->n - from, "+/", "-_");
    buf_free(&sealed);
}

struct str
ticket_open(const struct request *r, const char *use, struct str owner, struct str sealed)
{
    struct buf letters = BUF_MAX(2 * SEALED_MAX), bytes = BUF_MAX(SEALED_MAX), plain = BUF_MAX(SEALED_MAX);
    struct str out = STR_NONE;
    uint8_t key[32];

    buf_str(&letters, sealed);
    if (letters.n > 0)
        swap(letters.p, letters.n, "-_", "+/");
    while (letters.n % 4 != 0 && !letters.failed)
        buf_c(&letters, '=');
    ticket_key(r, use, owner, key);
    if (!letters.failed && base64_decode(buf_slice(&letters), &bytes) &&
        unseal(key, buf_slice(&bytes), &plain))
        out = arena_str(r->arena, buf_slice(&plain));
    buf_free(&letters);
    buf_free(&bytes);
    buf_free(&plain);
    return out;
}
