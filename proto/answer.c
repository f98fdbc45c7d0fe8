/* Packing and checking of stored answers (answer.h). */
#include "proto/answer.h"

#include "common/digest.h"
#include "common/text/text.h"

static void
put_be(struct buf *b, uint64_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        buf_c(b, (char)(uint8_t)(v >> (8 * i)));
}

static uint64_t
get_be(const char *p, int bytes)
{
    uint64_t v = 0;

    for (int i = 0; i < bytes; i++)
        v = v << 8 | (uint8_t)p[i];
    return v;
}

static void
checksum(struct str body, char hex[41])
{
    uint8_t digest[20];

    sha1(&body, 1, digest);
    hex_text(digest, sizeof digest, hex);
}

enum err
answer_pack(const uint8_t sha256[32], int64_t epoch, struct str json, const struct turn_finish_req *turn,
            struct buf *out)
{
    struct buf body = BUF_MAX(ANSWER_MAX);
    char sum[41];
    enum err e;

    put_be(&body, json.n, 4);
    buf_str(&body, json);
    e = msg_encode(turn_finish_req_desc(), turn, &body);
    checksum(buf_slice(&body), sum);
    buf_add(out, ANSWER_MAGIC, 4);
    buf_add(out, sha256, 32);
    put_be(out, (uint64_t)epoch, 8);
    buf_add(out, sum, 40);
    buf_str(out, buf_slice(&body));
    if (e == ERR_OK && (body.failed || out->failed || out->n > ANSWER_MAX))
        e = ERR_VALIDATION;
    buf_free(&body);
    return e;
}

bool
answer_sum_fits(struct str value)
{
    char sum[41];

    if (value.n < ANSWER_HEAD || value.n > ANSWER_MAX)
        return false;
    checksum((struct str){ value.p + ANSWER_BODY_AT, value.n - ANSWER_BODY_AT }, sum);
    return memcmp(value.p + ANSWER_SUM_AT, sum, 40) == 0;
}

enum err
answer_read(struct str value, struct arena *a, uint8_t sha256[32], int64_t *epoch, struct str *json,
            struct turn_finish_req *turn)
{
    size_t n;

    if (value.n < ANSWER_HEAD || memcmp(value.p, ANSWER_MAGIC, 4) != 0)
        return ERR_BAD_FRAME;
    n = (size_t)get_be(value.p + ANSWER_BODY_AT, 4);
    if (n > value.n - ANSWER_HEAD)
        return ERR_BAD_FRAME;
    if (sha256)
        memcpy(sha256, value.p + ANSWER_SHA_AT, 32);
    if (epoch)
        *epoch = (int64_t)get_be(value.p + ANSWER_EPOCH_AT, 8);
    if (json)
        *json = (struct str){ value.p + ANSWER_HEAD, n };
    return msg_decode(turn_finish_req_desc(), value.p + ANSWER_HEAD + n, value.n - ANSWER_HEAD - n, a, turn);
}

enum err
answer_unpack(struct str value, struct arena *a, uint8_t sha256[32], int64_t *epoch, struct str *json,
              struct turn_finish_req *turn)
{
    return answer_sum_fits(value) ? answer_read(value, a, sha256, epoch, json, turn) : ERR_BAD_FRAME;
}
