/* Parameters of lists (handler.h). */
#include "gateway/request/handler.h"

bool
api_paging(struct request *r, int64_t most, struct paging *p)
{
    struct str page = request_param(r, "page"), limit = request_param(r, "limit");

    p->page = 1;
    p->limit = most;
    p->cursor = request_param(r, "cursor");
    if (limit.p && (!digits(limit, 200, &p->limit) || p->limit < 1)) {
        reply_invalid(r, "/limit", "must be a whole number from 1 to 200");
        return false;
    }
    if (page.p && (!digits(page, 100000, &p->page) || p->page < 1)) {
        reply_invalid(r, "/page", "must be a whole number from 1 to 100000");
        return false;
    }
    if (p->cursor.p && (p->cursor.n < 1 || p->cursor.n > 256)) {
        reply_invalid(r, "/cursor", "must be a next_cursor of an earlier answer");
        return false;
    }
    if (p->cursor.p)
        p->page = 0;
    return true;
}

void
render_paging(struct buf *b, const struct paging *p, bool has_more, struct str next_cursor)
{
    buf_key(b, "page");
    if (p->page > 0)
        buf_printf(b, "%lld", (long long)p->page);
    else
        buf_z(b, "null");
    buf_key_int(b, "limit", p->limit);
    buf_key_bool(b, "has_more", has_more);
    buf_key_str(b, "next_cursor", has_more ? next_cursor : STR_NONE);
}
