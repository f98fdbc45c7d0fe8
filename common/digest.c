/* Message digests and sealed values through OpenSSL, the only file that knows it. MD5 and SHA-1 serve
 * protocols and cache keys only; values that must not be forged use SHA-256.
 *
 * Digests call the functions of each algorithm, which OpenSSL 3 calls deprecated, with the same code below: the way over
 * EVP_MD_fetch begins with the whole library, 2 MB in each process that needs nothing else of it, and makes short digests
 * slower. Sealing goes the way of EVP, when it is first needed. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "common/digest.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/random.h"

/* There is nothing sensible to do without digests, or without the few bytes they need. */
static void
need(bool ok)
{
    if (ok)
        return;
    LOG(ERROR, NULL, M("the cryptography library failed"));
    abort();
}

void
md5(const struct str *parts, size_t n, uint8_t out[16])
{
    MD5_CTX ctx;

    need(MD5_Init(&ctx) == 1);
    for (size_t i = 0; i < n; i++)
        need(MD5_Update(&ctx, parts[i].p, parts[i].n) == 1);
    need(MD5_Final(out, &ctx) == 1);
}

void
sha1(const struct str *parts, size_t n, uint8_t out[20])
{
    SHA_CTX ctx;

    need(SHA1_Init(&ctx) == 1);
    for (size_t i = 0; i < n; i++)
        need(SHA1_Update(&ctx, parts[i].p, parts[i].n) == 1);
    need(SHA1_Final(out, &ctx) == 1);
}

void
sha256(const struct str *parts, size_t n, uint8_t out[32])
{
    SHA256_CTX ctx;

    need(SHA256_Init(&ctx) == 1);
    for (size_t i = 0; i < n; i++)
        need(SHA256_Update(&ctx, parts[i].p, parts[i].n) == 1);
    need(SHA256_Final(out, &ctx) == 1);
}

/* RFC 2104: the key, filled up to a block, is mixed with one byte inside and with another one outside. */
void
hmac_sha256(struct str key, struct str data, uint8_t out[32])
{
    uint8_t block[SHA256_CBLOCK] = { 0 }, inner[32];
    struct str parts[2] = { { (const char *)block, sizeof block }, data };

    if (key.n > sizeof block)
        sha256(&key, 1, block);
    else if (key.n > 0)
        memcpy(block, key.p, key.n);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] ^= 0x36;
    sha256(parts, 2, inner);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] ^= 0x36 ^ 0x5c;
    parts[1] = (struct str){ (const char *)inner, sizeof inner };
    sha256(parts, 2, out);
    explicit_bzero(block, sizeof block);
}

bool
bytes_equal(const void *a, const void *b, size_t n)
{
    const volatile uint8_t *x = a, *y = b;
    uint8_t differ = 0;

    for (size_t i = 0; i < n; i++)
        differ = (uint8_t)(differ | (x[i] ^ y[i]));
    return differ == 0;
}

/* ---- sealing: 12 bytes nonce, ciphertext, 16 bytes tag */

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
    need(ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1);
    need(EVP_EncryptUpdate(ctx, to, &n, (const uint8_t *)plain.p, (int)plain.n) == 1 && (size_t)n == plain.n);
    need(EVP_EncryptFinal_ex(ctx, to + n, &n) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG, tag) == 1);
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
    need(ctx && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, in) == 1);
    need(EVP_DecryptUpdate(ctx, to, &n, in + NONCE, (int)plain) == 1);
    need(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1);
    good = EVP_DecryptFinal_ex(ctx, to + n, &n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (good)
        buf_add(out, to, plain);
    mem_free(&to);
    return good;
}
