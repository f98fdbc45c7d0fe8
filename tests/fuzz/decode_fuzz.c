/* One fuzz target for every decoder of the bus: the first byte chooses the message, the rest are its bytes.
 * Properties: nothing is read outside the input; what the pre-scan passes allocates at most 64 times the input (and one
 * small constant); what decodes encodes again, and the copy decodes to the same bytes. */
#include <stdlib.h>

#include "proto/answer.h"
#include "proto/bus.h"

static const struct msg_desc *(*const descs[])(void) = {
#define MSG(name) name##_desc,
#define FIELD(type, name, need, max)
#define LIST(rec, name, need, max)
#define MSG_END
#include "proto/head.tbl"
#include "proto/msg.tbl"
#undef MSG
#undef FIELD
#undef LIST
#undef MSG_END
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
require(bool ok)
{
    if (!ok)
        abort();
}

static void
round_trip(const struct msg_desc *d, const void *msg)
{
    struct arena *a = arena_new(1u << 30);
    struct buf first = { 0 }, second = { 0 };
    void *copy = arena_alloc(a, d->size);

    if (msg_encode(d, msg, &first) == ERR_OK) {
        require(msg_decode(d, first.p, first.n, a, copy) == ERR_OK);
        require(msg_encode(d, copy, &second) == ERR_OK);
        require(str_eq(buf_slice(&first), buf_slice(&second)));
    }
    buf_free(&first);
    buf_free(&second);
    arena_free(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct msg_desc *d;
    struct arena *a;
    void *msg;

    if (n < 1)
        return 0;
    d = descs[data[0] % (sizeof descs / sizeof *descs)]();
    a = arena_new(1u << 30);
    msg = arena_alloc(a, d->size);
    size_t before = arena_used(a);
    enum err e = msg_decode(d, data + 1, n - 1, a, msg);

    require(arena_used(a) - before <= 64 * n + 4096);
    if (e == ERR_OK)
        round_trip(d, msg);
    struct turn_finish_req turn;

    answer_unpack((struct str){ (const char *)data + 1, n - 1 }, a, NULL, NULL, NULL, &turn);
    arena_free(&a);
    return 0;
}
