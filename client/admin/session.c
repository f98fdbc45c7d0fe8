/* footnote sessions: everything of a session as lines of JSON, or nothing of it any more. */
#include "client/admin/admin.h"

#include "common/text/text.h"

/* The last line of a whole export. */
static bool
is_whole(struct str lines)
{
    enum json_fault fault;
    const char *detail, *nl;
    struct str last = text_trim(lines);
    json_t *o;
    bool whole;

    if (last.n > 0 && (nl = memrchr(last.p, '\n', last.n)) != NULL)
        last = (struct str){ nl + 1, last.n - (size_t)(nl - last.p) - 1 };
    o = json_read(last, &fault, &detail);
    whole = str_is(json_str(o, "type"), "end");
    json_decref(o);
    return whole;
}

/* A call about a session. False after saying why not. k is the caller's, and wants fetch_fini in any case. */
static bool
call(struct fetch *k, const struct cli *c, const char *method, const char *id, const char *ending)
{
    struct buf why = { 0 };
    char path[80];
    CURLcode result;

    snprintf(path, sizeof path, "/api/v1/sessions/%s%s", id, ending);
    fetch_init(k, c, method, path, STR_NONE, id);
    if (fetch_perform(k, &result))
        return true;
    if (result == CURLE_OK && k->status == 404)
        buf_printf(
            &why,
            "there is no session %s here (HTTP 404): it was erased, it has expired, or another key began it",
            id);
    else
        fetch_explain(k, c, result, &why);
    say("%s", why.p);
    buf_free(&why);
    return false;
}

static int
export_session(struct cli *c, const char *id)
{
    struct fetch k;
    bool ok = call(&k, c, "GET", id, "/export");

    if (ok) {
        fwrite(k.body.p, 1, k.body.n, stdout);
        ok = is_whole(buf_slice(&k.body));
        if (!ok)
            say("the export was cut off: ask again");
    }
    fetch_fini(&k);
    return ok ? 0 : 1;
}

static int
erase_session(struct cli *c, const char *id)
{
    struct fetch k;
    bool ok = call(&k, c, "DELETE", id, "");

    if (ok && c->opt[CLI_JSON])
        printf("{\"session_id\":\"%s\",\"erased\":true}\n", id);
    else if (ok)
        puts("erased: conversations, messages, citations and cached answers of the session are gone");
    fetch_fini(&k);
    return ok ? 0 : 1;
}

int
cmd_sessions(struct cli *c)
{
    const char *session = c->opt[CLI_SESSION];
    bool export = strcmp(c->args[0], "export") == 0;

    if (!export && strcmp(c->args[0], "erase") != 0) {
        say("usage: footnote sessions export|erase --session UUID");
        return 2;
    }
    if (!session) {
        say("which session? footnote sessions %s --session UUID", c->args[0]);
        return 2;
    }
    return export ? export_session(c, session) : erase_session(c, session);
}
