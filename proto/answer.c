/* Packing and checking of stored answers (answer.h). */
#include "proto/answer.h"

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

enum err
answer_pack(const uint8_t sha256[32], int64_t epoch, struct str json, const struct turn_finish_req *turn,
            struct buf *out)
{
    enum err e;

    buf_add(out, ANSWER_MAGIC, 4);
    buf_add(out, sha256, 32);
    put_be(out, (uint64_t)epoch, 8);
    put_be(out, json.n, 4);
    buf_str(out, json);
    e = msg_encode(turn_finish_req_desc(), turn, out);
    if (e == ERR_OK && (out->failed || out->n > ANSWER_MAX))
        e = ERR_VALIDATION;
    return e;
}

enum err
answer_unpack(struct str value, struct arena *a, uint8_t sha256[32], int64_t *epoch, struct str *json,
              struct turn_finish_req *turn)
{
    size_t n;

    if (value.n < ANSWER_HEAD || value.n > ANSWER_MAX || memcmp(value.p, ANSWER_MAGIC, 4) != 0)
        return ERR_BAD_FRAME;
    n = (size_t)get_be(value.p + ANSWER_EPOCH_AT + 8, 4);
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
