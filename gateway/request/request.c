/* The parts of a request that handlers ask for: headers, query parameters, the JSON body with its closed set
 * of keys, the session. */
#include "common/digest.h"
#include "gateway/gateway.h"
#include "gateway/edge/path.h"
#include "gateway/request/handler.h"

struct str
request_header(const struct request *r, const char *name)
{
    return str_of(head_get(&r->conn->head, name));
}

const char *
request_query(const struct request *r)
{
    return r->conn->head.query;
}

struct str
request_param(struct request *r, const char *name)
{
    const char *query = r->conn->head.query;
    char *out = query ? arena_alloc(r->arena, strlen(query) + 1) : NULL;

    return out && query_get(query, name, out) == 1 ? str_of(out) : STR_NONE;
}

static bool
key_known(const char *key, const char *const *keys)
{
    for (; *keys != NULL; keys++)
        if (strcmp(*keys, key) == 0)
            return true;
    return false;
}

/* JSON pointer of a member (RFC 6901), cut to a length that an answer can hold. */
static const char *
pointer_of(struct request *r, const char *key)
{
    struct buf b = BUF_MAX(512);
    const char *out;

    buf_c(&b, '/');
    for (size_t i = 0; key[i] && i < 100; i++) {
        if (key[i] == '~')
            buf_z(&b, "~0");
        else if (key[i] == '/')
            buf_z(&b, "~1");
        else
            buf_c(&b, key[i]);
    }
    out = arena_dup(r->arena, buf_slice(&b));
    buf_free(&b);
    return out ? out : "/";
}

static bool
body_is_json(struct request *r)
{
    if (!r->body.p || r->body.n == 0) {
        reply_problem(r, ERR_BAD_JSON, "a JSON object is needed as the body");
        return false;
    }
    if (r->content_type.p && !str_is(r->content_type, "application/json") &&
        !str_is(r->content_type, "text/json")) {
        reply_problem(r, ERR_MEDIA_TYPE, "the body must be application/json");
        return false;
    }
    return true;
}

/* NUL in a string is valid JSON that cannot be stored (docs/faults.md, A12): said of its field. */
static bool
nul_refused(struct request *r)
{
    json_t *o = json_loadb(r->body.p, r->body.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL), *v;
    const char *key, *at = "";

    if (!o)
        return false;
    json_object_foreach (o, key, v)
        if (json_is_string(v) && strlen(json_string_value(v)) != json_string_length(v))
            at = pointer_of(r, key);
    reply_invalid(r, at, "must not contain NUL");
    json_decref(o);
    return true;
}

json_t *
request_json_any(struct request *r, size_t most)
{
    enum json_fault fault = JSON_OK;
    const char *detail = NULL;
    json_t *o;

    if (!body_is_json(r))
        return NULL;
    o = json_read_most(r->body, most, &fault, &detail);
    if (!o) {
        if (fault != JSON_NUL || !nul_refused(r))
            reply_problem(r, fault == JSON_BAD_UTF8 ? ERR_BAD_UTF8 : ERR_BAD_JSON, detail);
        return NULL;
    }
    if (!json_is_object(o)) {
        reply_problem(r, ERR_BAD_JSON, "the body must be a JSON object");
        json_decref(o);
        return NULL;
    }
    return o;
}

json_t *
request_json(struct request *r, const char *const *keys)
{
    json_t *o = request_json_any(r, JSON_BODY_VALUES), *v;
    const char *key;

    if (!o)
        return NULL;
    json_object_foreach (o, key, v) {
        if (!key_known(key, keys)) {
            reply_invalid(r, pointer_of(r, key), "is not a known field");
            json_decref(o);
            return NULL;
        }
    }
    return o;
}

void
session_digest(const struct uuid *id, uint8_t hash[32])
{
    char text[37];
    struct str s = str_of(uuid_text(id, text));

    sha256(&s, 1, hash);
}

bool
request_session(struct request *r, struct str given, struct uuid *id, uint8_t hash[32])
{
    struct str s = given.p != NULL ? given : request_header(r, "X-Session-ID");

    if (!s.p)
        s = request_param(r, "session_id");
    if (!s.p || !uuid_parse(s, id) || uuid_version(id) != 4) {
        reply_invalid(r, "/session_id", "must be a UUID version 4");
        return false;
    }
    session_digest(id, hash);
    return true;
}
