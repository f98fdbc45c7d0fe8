/* Limits of a tenant, which no number of concurrent requests passes: a row that would be one too many is
 * refused in its own transaction, under the tenant's lock (store/sql/). Each limit has a code of its own for
 * refuse(), outside of proto/err.tbl's. */
#include <stdio.h>

#include "store/calls/calls.h"

bool
room_left(struct tx *t)
{
    const struct store_opt *o = store_of(t->call)->opt;
    const struct {
        int code;
        int64_t most;
        const char *what, *option, *hint;
    } rooms[] = {
        { ROOM_KEYS, o->max_keys, "API keys", "MAX_KEYS_PER_TENANT",
          "revoke one with DELETE /api/v1/keys/{id}" },
        { ROOM_COLLECTIONS, o->max_collections, "collections", "MAX_COLLECTIONS_PER_TENANT",
          "delete one with DELETE /api/v1/collections/{name}" },
        { ROOM_DOCUMENTS, o->max_documents, "documents", "MAX_DOCUMENTS_PER_TENANT",
          "delete some with DELETE /api/v1/documents/{id}" },
        { ROOM_BYTES, o->max_bytes, "bytes of documents", "MAX_BYTES_PER_TENANT",
          "delete some with DELETE /api/v1/documents/{id}" },
    };
    char text[256];

    if (t->err == ERR_OK)
        return true;
    for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++)
        if (t->refused == rooms[i].code) {
            snprintf(text, sizeof text,
                     "this tenant has all the %s that it may have, %lld: %s, or let the operator raise %s",
                     rooms[i].what, (long long)rooms[i].most, rooms[i].hint, rooms[i].option);
            worker_fail(t->call, ERR_ROOM, 0, text);
            return false;
        }
    tx_fail(t);
    return false;
}
