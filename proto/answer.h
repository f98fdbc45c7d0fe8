/* The packed answer: what the query cache holds and what an append on a hit copies into fn:turns.
 *   "FA02" | SHA-256 of the cache input (32) | epoch, big-endian (8) | SHA-1 of all that follows, hexadecimal (40)
 *   | length, big-endian (4) | JSON | turn, msgpack
 * The checksum finds values that were damaged, so that none is given to anybody or copied; it is the one that a script
 * in Redis can compute.
 * JSON is the ready fragment of the HTTP answer; turn is a turn_finish_req with answer, model, confidence, grounded,
 * status, tokens and citations. Data from outside: every byte is checked. */
#ifndef PROTO_ANSWER_H
#define PROTO_ANSWER_H

#include "proto/msg.h"

#define ANSWER_MAGIC "FA02"
#define ANSWER_SHA_AT 4
#define ANSWER_EPOCH_AT 36
#define ANSWER_SUM_AT 44
#define ANSWER_BODY_AT 84
#define ANSWER_HEAD 88 /* bytes before the JSON */
#define ANSWER_MAX 1048576

/* Append the packed form to out. ERR_VALIDATION when it does not fit. */
enum err answer_pack(const uint8_t sha256[32], int64_t epoch, struct str json,
                     const struct turn_finish_req *turn, struct buf *out);
/* Has it the length of a value, and is its checksum right? */
bool answer_sum_fits(struct str value);
/* answer_unpack of a value whose checksum was found right. */
enum err answer_read(struct str value, struct arena *a, uint8_t sha256[32], int64_t *epoch, struct str *json,
                     struct turn_finish_req *turn);
/* ERR_BAD_FRAME when malformed. Slices point into value; lists come from the arena. sha256, epoch, json: may be NULL. */
enum err answer_unpack(struct str value, struct arena *a, uint8_t sha256[32], int64_t *epoch,
                       struct str *json, struct turn_finish_req *turn);

#endif
