/* Searchable documents: `ready` and `done` are said of what a retriever has in its index, not
 * of what is stored. */
#include "common/clock.h"
#include "gateway/request/handler.h"
#include "gateway/upload/searchable.h"

#define PATIENCE_MS 1000 /* with a retriever that restarts the store's word must do */

int64_t
api_index_seq(struct request *r, struct str *collections, size_t n)
{
    /* a search that finds nothing still tells how far the index is */
    struct search_req req = { .query = STR("zqxjkvbw"),
                              .collections = { collections, n < 64 ? n : 64 },
                              .top_k = 1 };
    struct held held = { 0 };
    int64_t seq = INT64_MAX, until = clock_ms() + PATIENCE_MS;
    struct outcome a;

    if (api_call(r, &held, KIND_SEARCH, &req, until < r->deadline_ms ? until : r->deadline_ms, &a) == ERR_OK)
        seq = ((const struct search_rep *)a.msg)->seq;
    held_free(&held);
    return seq;
}
