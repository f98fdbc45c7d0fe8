/* Message digests and sealed values through OpenSSL, the only file that knows it. MD5 and SHA-1 serve protocols and cache
 * keys only; whatever must not be forged uses SHA-256. Algorithms are fetched once: fetching costs more than a short digest. */
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/seal.h"

enum algorithm { MD_5, SHA_1, SHA_256, ALGORITHMS };

static EVP_MD *fetched[ALGORITHMS];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t contexts_key;
static _Thread_local EVP_MD_CTX **contexts; /* of this thread, by algorithm: making one costs more than a short digest */

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
contexts_free(void *arg)
{
    EVP_MD_CTX **mine = arg;

    for (size_t i = 0; i < ALGORITHMS; i++)
        EVP_MD_CTX_free(mine[i]);
    mem_free(&mine);
    contexts = NULL;
}

static EVP_MD_CTX *
context(enum algorithm which)
{
    if (contexts == NULL) {
        contexts = mem_new(ALGORITHMS * sizeof *contexts);
        need(pthread_setspecific(contexts_key, contexts) == 0);
    }
    if (contexts[which] == NULL)
        need((contexts[which] = EVP_MD_CTX_new()) != NULL);
    return contexts[which];
}

static void
fetch_all(void)
{
    static const char *const names[ALGORITHMS] = { "MD5", "SHA1", "SHA256" };

    for (size_t i = 0; i < ALGORITHMS; i++) {
        fetched[i] = EVP_MD_fetch(NULL, names[i], NULL);
        need(fetched[i] != NULL);
    }
    need(pthread_key_create(&contexts_key, contexts_free) == 0);
}

static void
digest(enum algorithm which, const struct str *parts, size_t n, uint8_t *out)
{
    EVP_MD_CTX *ctx;

    pthread_once(&once, fetch_all);
    ctx = context(which);
    need(EVP_DigestInit_ex(ctx, fetched[which], NULL) == 1);
    for (size_t i = 0; i < n; i++)
        need(EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) == 1);
    need(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
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

/* ---- sealing (seal.h): 12 bytes nonce, ciphertext, 16 bytes tag */

#define NONCE 12
#define TAG 16

void
seal(const uint8_t key[32], struct str plain, struct buf *out)
{
    uint8_t nonce[NONCE], tag[TAG], *to;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0;

    need(plain.n < INT_MAX);
    random_bytes(nonce, sizeof nonce);
    to = mem_new(plain.n + 1);
    need(ctx != NULL && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1);
    need(EVP_EncryptUpdate(ctx, to, &n, (const uint8_t *)plain.p, (int)plain.n) == 1 && (size_t)n == plain.n);
    need(EVP_EncryptFinal_ex(ctx, to + n, &n) == 1 && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG, tag) == 1);
    EVP_CIPHER_CTX_free(ctx);
    buf_add(out, nonce, sizeof nonce);
    buf_add(out, to, plain.n);
    buf_add(out, tag, sizeof tag);
    mem_free(&to);
}

bool
unseal(const uint8_t key[32], struct str s, struct buf *out)
{
    size_t plain = s.n - SEAL_EXTRA;
    const uint8_t *in = (const uint8_t *)s.p;
    uint8_t tag[TAG], *to;
    EVP_CIPHER_CTX *ctx;
    bool good;
    int n = 0;

    if (s.n < SEAL_EXTRA || plain >= INT_MAX)
        return false;
    memcpy(tag, in + NONCE + plain, TAG);
    to = mem_new(plain + 1);
    ctx = EVP_CIPHER_CTX_new();
    need(ctx != NULL && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, in) == 1);
    need(EVP_DecryptUpdate(ctx, to, &n, in + NONCE, (int)plain) == 1);
    need(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1);
    good = EVP_DecryptFinal_ex(ctx, to + n, &n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (good)
        buf_add(out, to, plain);
    mem_free(&to);
    return good;
}
