/* GET /sessions/{id}/export: everything that is kept of a session, as JSON Lines {"type", "data"}: the session, its
 * conversations, its messages with their citations, and an end that counts them, so that a cut export can be told.
 *
 *   session.get ─▶ conversation.list, page after page ─▶ history, page after page ─▶ end
 *
 * One page is in memory at a time; each is written before the next is asked for. */
#include "common/clock.h"
#include "common/log.h"
#include "gateway/api/api.h"
#include "gateway/api/session.h"
#include "gateway/ask/safe.h"
#include "gateway/request/handler.h"
#include "gateway/request/render.h"

#define CONVERSATIONS 200
#define MESSAGES 50
#define PAGE_MS 10000 /* one page's own time: an export may take longer than a question */
#define CURSOR_MAX 256

struct export
{
    struct request *r;
    struct str session;      /* SHA-256 */
    char cursor[CURSOR_MAX]; /* of the next page; "": the first */
    size_t n_cursor;
    int64_t conversations, messages;
};

static void
line_begin(struct buf *b, const char *type)
{
    buf_c(b, '{');
    buf_key_str(b, "type", str_of(type));
    buf_key(b, "data");
}

static void
line_end(struct buf *b)
{
    buf_z(b, "}\n");
}

static bool
send(struct export *x, struct buf *b)
{
    bool good = !b->failed && (b->n == 0 || lines_write(x->r, buf_slice(b)));

    buf_free(b);
    return good;
}

/* false: something is wrong with it. Without more the next list begins at its beginning. */
static bool
next_page(struct export *x, bool more, struct str cursor)
{
    x->n_cursor = 0;
    if (!more)
        return true;
    if (cursor.n == 0 || cursor.n > CURSOR_MAX)
        return false;
    memcpy(x->cursor, cursor.p, cursor.n);
    x->n_cursor = cursor.n;
    return true;
}

static bool
conversations_page(struct export *x, bool *more)
{
    struct conversation_list_req req = { .session = x->session, .limit = CONVERSATIONS };
    const struct conversation_rep *rep;
    struct buf b = BUF_MAX(4194304);
    struct held held = { 0 };
    struct outcome a;
    bool good = false;

    if (x->n_cursor)
        req.cursor = (struct str){ x->cursor, x->n_cursor };
    if (api_call(x->r, &held, KIND_CONVERSATION_LIST, &req, clock_ms() + PAGE_MS, &a) == ERR_OK) {
        rep = a.msg;
        for (size_t i = 0; i < rep->items.n; i++) {
            line_begin(&b, "conversation");
            render_conversation(&b, &rep->items.v[i]);
            line_end(&b);
        }
        x->conversations += (int64_t)rep->items.n;
        *more = rep->has_more;
        good = next_page(x, *more, rep->next_cursor) && send(x, &b);
    }
    held_free(&held);
    return good;
}

static bool
messages_page(struct export *x, bool *more)
{
    struct history_req req = { .session = x->session, .limit = MESSAGES };
    const struct history_rep *rep;
    struct buf b = BUF_MAX(67108864);
    struct held held = { 0 };
    struct outcome a;
    bool good = false;

    if (x->n_cursor)
        req.cursor = (struct str){ x->cursor, x->n_cursor };
    if (api_call(x->r, &held, KIND_HISTORY, &req, clock_ms() + PAGE_MS, &a) == ERR_OK) {
        rep = a.msg;
        for (size_t i = 0; i < rep->items.n; i++) {
            line_begin(&b, "message");
            safe_message(x->r, &rep->items.v[i]);
            render_message(&b, &rep->items.v[i], NULL); /* links of a day are none to keep */
            line_end(&b);
        }
        x->messages += (int64_t)rep->items.n;
        *more = rep->has_more;
        good = next_page(x, *more, rep->next_cursor) && send(x, &b);
    }
    held_free(&held);
    return good;
}

static bool
export_end(struct export *x)
{
    struct buf b = BUF_MAX(1024);

    line_begin(&b, "end");
    buf_c(&b, '{');
    buf_key_int(&b, "conversations", x->conversations);
    buf_key_int(&b, "messages", x->messages);
    buf_c(&b, '}');
    line_end(&b);
    return send(x, &b);
}

static void export(struct export *x, const struct uuid *id, const struct session_rep *s)
{
    struct buf b = BUF_MAX(65536);
    bool good = lines_begin(x->r), more = true;

    line_begin(&b, "session");
    render_session(&b, id, s);
    line_end(&b);
    good = send(x, &b) && good;
    while (good && more)
        good = conversations_page(x, &more);
    more = true;
    while (good && more)
        good = messages_page(x, &more);
    good = good && export_end(x);
    if (!good)
        LOG(WARN, x->r->id, M("an export was cut short"), KI("messages", x->messages));
    lines_end(x->r, good);
}

void
route_session_export(struct request *r)
{
    struct session_req req = { 0 };
    struct export x = { .r = r };
    struct held held = { 0 };
    struct uuid id;
    uint8_t hash[32];
    struct outcome a;

    if (!api_path_session(r, &id, hash))
        return;
    x.session = req.session = (struct str){ (const char *)hash, 32 };
    if (api_get(r, &held, KIND_SESSION_GET, &req, &a)) {
        if (r->method == METHOD_HEAD)
            reply_bytes(r, 200, "application/x-ndjson", STR(""));
        else
            export(&x, &id, a.msg);
    }
    held_free(&held);
}
