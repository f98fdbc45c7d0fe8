/* Message digests through OpenSSL, the only file that knows it. MD5 and SHA-1 serve protocols and cache keys only;
 * whatever must not be forged uses SHA-256. Algorithms are fetched once: fetching costs more than a short digest. */
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/text.h"

enum algorithm { MD_5, SHA_1, SHA_256, ALGORITHMS };

static EVP_MD *fetched[ALGORITHMS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* There is nothing sensible to do without digests, or without the few bytes they need. */
static void
need(bool ok)
{
    if (ok)
        return;
    LOG(ERROR, NULL, M("the cryptography library failed"));
    abort();
}

static void
fetch_all(void)
{
    static const char *const names[ALGORITHMS] = { "MD5", "SHA1", "SHA256" };

    for (size_t i = 0; i < ALGORITHMS; i++) {
        fetched[i] = EVP_MD_fetch(NULL, names[i], NULL);
        need(fetched[i] != NULL);
    }
}

static void
digest(enum algorithm which, const struct str *parts, size_t n, uint8_t *out)
{
    EVP_MD_CTX *ctx;

    pthread_once(&once, fetch_all);
    ctx = EVP_MD_CTX_new();
    need(ctx != NULL && EVP_DigestInit_ex(ctx, fetched[which], NULL) == 1);
    for (size_t i = 0; i < n; i++)
        need(EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) == 1);
    need(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
    EVP_MD_CTX_free(ctx);
}

void
md5(const struct str *parts, size_t n, uint8_t out[16])
{
    digest(MD_5, parts, n, out);
}

void
sha1(const struct str *parts, size_t n, uint8_t out[20])
{
    digest(SHA_1, parts, n, out);
}

void
sha256(const struct str *parts, size_t n, uint8_t out[32])
{
    digest(SHA_256, parts, n, out);
}

void
hmac_sha256(struct str key, struct str data, uint8_t out[32])
{
    unsigned length = 0;

    need(key.n <= INT_MAX);
    pthread_once(&once, fetch_all);
    need(HMAC(fetched[SHA_256], key.p ? key.p : "", (int)key.n, (const unsigned char *)data.p, data.n, out, &length) !=
         NULL);
    need(length == 32);
}
