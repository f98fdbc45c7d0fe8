/* An error that a server tells of in a reply with 200, in whatever shape: a member "error", an object that is one, a list with
 * one, a status of its own. Its number of HTTP is what it says, else what its words mean. And how long a server asks to wait,
 * when no header says so. Pure. */
#include <ctype.h>
#include <stdlib.h>

#include "embedder/openai/mend.h"
#include "embedder/openai/upstream.h"

#define DEPTH 6            /* of objects that are looked into */
#define WAIT_MOST 86400000 /* ms */
#define LIMITED_MS 1000    /* after "too many requests" that names no time */

/* Nothing, in any of the ways in which JSON says so. */
static bool
is_nothing(const json_t *v)
{
    return !v || json_is_null(v) || json_is_false(v) || (json_is_string(v) && json_string_length(v) == 0) ||
           (json_is_object(v) && json_object_size(v) == 0) || (json_is_array(v) && json_array_size(v) == 0) ||
           (json_is_integer(v) && json_integer_value(v) == 0);
}

/* It brings what was asked for. */
static bool
brings(const json_t *o)
{
    static const char *const names[] = { "choices", "data", "embeddings", "embedding", "results" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!is_nothing(json_object_get(o, names[i])))
            return true;
    return false;
}

static int64_t
number_in(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);

    return json_is_integer(v)  ? (int64_t)json_integer_value(v)
           : json_is_string(v) ? strtol(json_string_value(v), NULL, 10)
                               : 0;
}

/* A code that says that something went wrong, beside words about it. */
static bool
is_bad_code(const json_t *v)
{
    const char *z = json_string_value(v);

    if (is_nothing(v) || json_is_true(v))
        return false;
    return z ? strcmp(z, "0") != 0 && strcmp(z, "200") != 0 && strcasecmp(z, "ok") != 0 &&
                   strcasecmp(z, "success") != 0
             : json_is_integer(v) && json_integer_value(v) != 200;
}

/* A state that says so. Others ("queued") are none. */
static bool
is_bad_state(const json_t *v)
{
    const char *z = json_string_value(v);

    return z ? strncasecmp(z, "err", 3) == 0 || strncasecmp(z, "fail", 4) == 0
             : json_is_integer(v) && json_integer_value(v) >= 400;
}

/* The part of the reply that tells of the error; NULL: there is none. */
static const json_t *
teller(const json_t *o)
{
    const json_t *error = json_object_get(o, "error"), *list = json_object_get(o, "errors"),
                 *base = json_object_get(o, "base_resp");
    bool words = json_is_string(json_object_get(o, "message")) || json_is_string(json_object_get(o, "msg"));

    if (!is_nothing(error))
        return json_is_object(error) ? error : o;
    if (str_is(json_str(o, "object"), "error"))
        return o;
    if (brings(o))
        return NULL;
    if (!is_nothing(list))
        return json_is_array(list) ? json_array_get(list, 0) : list;
    if (number_in(base, "status_code") != 0) /* MiniMax */
        return base;
    if (!is_nothing(json_object_get(o, "detail")) || json_is_false(json_object_get(o, "success")) ||
        str_is(json_str(o, "type"), "error") ||
        (words && (is_bad_code(json_object_get(o, "code")) || is_bad_state(json_object_get(o, "status")) ||
                   is_bad_state(json_object_get(o, "status_code")))))
        return o;
    return NULL;
}

/* 429, "429": some errors say what they are by the number of HTTP. */
static long
number_of(const json_t *o)
{
    static const char *const names[] = { "code", "status", "status_code", "statusCode", "http_status" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int64_t n = number_in(o, names[i]);

        if (n >= 400 && n <= 599)
            return (long)n;
    }
    return 0;
}

/* Words of codes and types, without what stands between them; the first that is there counts. */
static long
number_of_words(struct str s)
{
    static const struct {
        const char *part;
        long status;
    } words[] = {
        { "ratelimit", 429 },
        { "toomanyrequest", 429 },
        { "resourceexhausted", 429 },
        { "throttl", 429 },
        { "quota", 429 },
        { "insufficientbal", 402 },
        { "insufficientcredit", 402 },
        { "billing", 402 },
        { "payment", 402 },
        { "overload", 503 },
        { "unavailable", 503 },
        { "capacity", 503 },
        { "busy", 503 },
        { "timeout", 504 },
        { "timedout", 504 },
        { "deadlineexceed", 504 },
        { "unauth", 401 },
        { "authentication", 401 },
        { "apikey", 401 },
        { "permission", 403 },
        { "forbidden", 403 },
        { "notfound", 404 },
        { "contentfilter", 400 },
        { "contentpolicy", 400 },
        { "contextlength", 400 },
        { "invalidrequest", 400 },
        { "invalidargument", 400 },
        { "badrequest", 400 },
        { "invalidparameter", 400 },
        { "validation", 400 },
        { "unsupported", 400 },
    };
    char z[64];
    size_t n = 0;

    for (size_t i = 0; i < s.n && n + 1 < sizeof z; i++)
        if (isalpha((unsigned char)s.p[i]))
            z[n++] = (char)tolower((unsigned char)s.p[i]);
    z[n] = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(z, words[i].part) != NULL)
            return words[i].status;
    return 0;
}

static long
status_of_words(const json_t *o)
{
    static const char *const names[] = { "code", "type", "status", "error_type", "name" };
    long status = 0;

    for (size_t i = 0; i < sizeof names / sizeof *names && status == 0; i++)
        status = number_of_words(json_str(o, names[i]));
    return status;
}

bool
upstream_told(const json_t *reply, struct upstream_told *out)
{
    const json_t *o = json_is_array(reply) ? json_array_get(reply, 0) : reply, *error = teller(o);

    *out = (struct upstream_told){ .status = 0 };
    if (!error)
        return false;
    out->code = json_str(error, "code");
    if (out->code.n == 0)
        out->code = json_str(error, "type");
    out->status = number_of(error);
    if (out->status == 0)
        out->status = number_of(o);
    if (out->status == 0)
        out->status = status_of_words(error);
    if (out->status == 0)
        out->status = status_of_words(o);
    return true;
}

/* ---- how long to wait */

static int64_t
wait_of(const json_t *v, bool ms)
{
    double n = json_number_value(v) * (ms ? 1 : 1000);

    if (json_is_string(v)) {
        struct str s = { json_string_value(v), json_string_length(v) };
        int64_t wait = upstream_wait_ms(s);

        return ms && wait > 0 && strspn(s.p, "0123456789. ") == s.n ? wait / 1000 : wait; /* without a unit */
    }
    return n > WAIT_MOST ? WAIT_MOST : n > 0 ? (int64_t)n : 0;
}

/* " seconds", " ms": the unit that stands apart from its number; "": none. */
static const char *
unit_in(struct str s)
{
    return str_starts(s, " ms") || str_starts(s, " milli") ? "ms"
           : str_starts(s, " s")                           ? "s"
           : str_starts(s, " m")                           ? "m"
           : str_starts(s, " h")                           ? "h"
                                                           : "";
}

/* "… in 22.5s.", "… after 2 seconds": what stands behind such a word. */
static int64_t
wait_in_words(struct str s)
{
    static const char *const before[] = { "ry again in ", "etry in ", "etry after ", "vailable in " };

    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        const char *at = s.n > 0 ? memmem(s.p, s.n, before[i], strlen(before[i])) : NULL;
        const char *unit = "";
        char z[32];
        size_t n = 0, left;

        if (!at)
            continue;
        at += strlen(before[i]);
        left = s.n - (size_t)(at - s.p);
        while (n < left && n + 3 < sizeof z && (isalnum((unsigned char)at[n]) || at[n] == '.'))
            n++;
        memcpy(z, at, n);
        z[n] = 0;
        if (n > 0 && isdigit((unsigned char)z[n - 1]) && n < left)
            unit = unit_in((struct str){ at + n, left - n });
        while (n > 0 && z[n - 1] == '.')
            z[--n] = 0;
        memcpy(z + n, unit, strlen(unit) + 1);
        return upstream_wait_ms(str_of(z));
    }
    return 0;
}

static int64_t
wait_inside(const json_t *v, int depth)
{
    static const struct {
        const char *name;
        bool ms;
    } keys[] = { { "retrydelay", false },          { "retry_after", false },  { "retryafter", false },
                 { "retry_after_seconds", false }, { "retry-after", false },  { "retry_after_ms", true },
                 { "retryafterms", true },         { "retry-after-ms", true } };
    const json_t *x;
    const char *name;
    int64_t ms = 0;
    size_t at;

    if (depth == 0)
        return 0;
    if (json_is_array(v))
        json_array_foreach (v, at, x)
            if ((ms = wait_inside(x, depth - 1)) > 0)
                return ms;
    if (json_is_object(v))
        json_object_foreach ((json_t *)(uintptr_t)v, name, x) { /* only read */
            for (at = 0; at < sizeof keys / sizeof *keys; at++)
                if (strcasecmp(name, keys[at].name) == 0 && (ms = wait_of(x, keys[at].ms)) > 0)
                    return ms;
            if ((ms = wait_inside(x, depth - 1)) > 0)
                return ms;
        }
    return json_is_string(v) ? wait_in_words((struct str){ json_string_value(v), json_string_length(v) }) : 0;
}

int64_t
upstream_wait_in(enum err err, struct str body)
{
    json_t *root = server_json(body);
    int64_t ms = root ? wait_inside(root, DEPTH) : wait_in_words(body);

    json_decref(root);
    return ms > 0 ? ms : err == ERR_UPSTREAM_LIMITED ? LIMITED_MS : 0;
}
