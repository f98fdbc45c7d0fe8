/* Parameters of lists, and their pages; what a path names (handler.h). */
#include "common/text/number.h"
#include "gateway/request/handler.h"

#define LIST_MAX_BYTES (64u << 20) /* of a page; messages of the bus are smaller */

bool
api_number(struct request *r, const char *name, int64_t min, int64_t max, int64_t *out)
{
    struct str s = request_param(r, name);
    struct fault f;

    if (!s.p || number_parse(s, min, max, out))
        return true;
    fault_set(&f, name, "must be a whole number from %lld to %lld", (long long)min, (long long)max);
    reply_fault(r, &f);
    return false;
}

bool
api_paging(struct request *r, int64_t most, struct paging *p)
{
    p->page = 1;
    p->limit = most;
    p->cursor = request_param(r, "cursor");
    if (!api_number(r, "limit", 1, 200, &p->limit) || !api_number(r, "page", 1, 100000, &p->page))
        return false;
    if (p->cursor.p && (p->cursor.n < 1 || p->cursor.n > 256)) {
        reply_invalid(r, "/cursor", "must be a next_cursor of an earlier answer");
        return false;
    }
    if (p->cursor.p)
        p->page = 0;
    return true;
}

void
api_reply_page(struct request *r, const struct paging *p, const struct list *items, bool has_more,
               struct str next_cursor)
{
    struct buf b = BUF_MAX(LIST_MAX_BYTES);

    buf_z(&b, "{\"items\":");
    render_list(&b, items);
    buf_key(&b, "page");
    if (p->page > 0)
        buf_printf(&b, "%lld", (long long)p->page);
    else
        buf_z(&b, "null");
    buf_key_int(&b, "limit", p->limit);
    buf_key_bool(&b, "has_more", has_more);
    buf_key_str(&b, "next_cursor", has_more ? next_cursor : STR_NONE);
    buf_c(&b, '}');
    api_reply(r, 200, &b);
}

bool
api_path_own(struct request *r, struct uuid *id, uint8_t hash[32])
{
    struct uuid session;

    if (!request_session(r, request_param(r, "session_id"), &session, hash))
        return false;
    if (uuid_parse(r->arg, id))
        return true;
    reply_problem(r, ERR_NOT_FOUND, NULL);
    return false;
}
