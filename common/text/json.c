/* JSON, reading and writing.
 *
 * Reading: jansson parses, after a scan of our own for what it lacks: jansson recurses once a level, so depth is
 * bounded first, and one pass refuses text that is not UTF-8. Duplicate keys, trailing data and numbers out of range
 * are refused by jansson itself.
 * Writing: straight into a struct buf, no tree. */
#include "common/text/json.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/text/text.h"

#define MAX_DEPTH 32

/* Deepest nesting of brackets outside of strings, and about how many values there are (each has a bracket or a comma of its
 * own); says nothing about whether they match. */
static size_t
depth_of(struct str s, size_t *values)
{
    size_t depth = 0, deepest = 0;
    bool quoted = false;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == ',') {
            ++*values;
        } else if (c == '{' || c == '[') {
            ++*values;
            if (++depth > deepest)
                deepest = depth;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return deepest;
}

size_t
json_values(struct str s)
{
    size_t values = 0;

    (void)depth_of(s, &values);
    return values;
}

static const char *
phrase_of(enum json_error_code code)
{
    switch (code) {
    case json_error_premature_end_of_input: return "the text ends too early";
    case json_error_end_of_input_expected: return "something follows the value";
    case json_error_duplicate_key: return "a key is there twice";
    case json_error_numeric_overflow: return "a number is out of range";
    case json_error_null_character: return "a string contains NUL";
    case json_error_null_byte_in_key: return "a key contains NUL";
    case json_error_out_of_memory: return "too large";
    default: return "not valid JSON";
    }
}

/* ---- the plain object, which most bodies are: one level, strings without numbered escapes. jansson takes five times as long. */

static size_t
space_end(struct str s, size_t i)
{
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\n' || s.p[i] == '\r' || s.p[i] == '\t'))
        i++;
    return i;
}

/* The character that the letter behind a backslash stands for; 0: none, or it begins a number. */
static char
unescaped(char c)
{
    static const char of[256] = { ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                  ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t' };

    return of[(uint8_t)c];
}

/* The string that begins at s.p[i]; where it ends, 0: not a plain one. With escapes it stands in *held. */
static size_t
plain_string(struct str s, size_t i, struct buf *held, struct str *out)
{
    size_t start = i + 1, run = start;

    if (i >= s.n || s.p[i] != '"')
        return 0;
    buf_reset(held);
    for (i = start; i < s.n && s.p[i] != '"'; i++) {
        char c;

        if ((uint8_t)s.p[i] < 0x20)
            return 0;
        if (s.p[i] != '\\')
            continue;
        if (i + 1 == s.n || !(c = unescaped(s.p[i + 1])))
            return 0;
        buf_add(held, s.p + run, i - run);
        buf_c(held, c);
        run = ++i + 1;
    }
    *out = (struct str){ s.p + start, i - start };
    if (i >= s.n)
        return 0;
    if (run > start) {
        buf_add(held, s.p + run, i - run);
        *out = buf_slice(held);
    }
    return held->failed ? 0 : i + 1;
}

/* NULL: let jansson say what it is. s is UTF-8. */
static json_t *
plain_object(struct str s)
{
    json_t *o = NULL;
    struct buf held = BUF_MAX(s.n + 1);
    struct str key, value;
    char name[64];
    size_t i = space_end(s, 0);
    bool more = i < s.n && s.p[i] == '{';

    if (!more || !(o = json_object()))
        return NULL;
    while (more) {
        if ((i = plain_string(s, space_end(s, i + 1), &held, &key)) == 0 || key.n >= sizeof name)
            break;
        memcpy(name, key.p, key.n);
        name[key.n] = 0;
        i = space_end(s, i);
        if (i >= s.n || s.p[i] != ':' || (i = plain_string(s, space_end(s, i + 1), &held, &value)) == 0 ||
            json_object_get(o, name) ||
            json_object_set_new_nocheck(o, name, json_stringn_nocheck(value.p, value.n)) != 0)
            break;
        i = space_end(s, i);
        if (i < s.n && s.p[i] == '}' && space_end(s, i + 1) == s.n) {
            buf_free(&held);
            return o;
        }
        more = i < s.n && s.p[i] == ',';
    }
    buf_free(&held);
    json_decref(o);
    return NULL;
}

json_t *
json_read(struct str s, enum json_fault *fault, const char **detail)
{
    return json_read_most(s, SIZE_MAX, fault, detail);
}

json_t *
json_read_most(struct str s, size_t most, enum json_fault *fault, const char **detail)
{
    json_error_t e;
    size_t values = 0;
    json_t *root;

    *fault = JSON_BAD;
    *detail = "empty";
    if (s.n == 0)
        return NULL;
    if (!utf8_valid(s)) {
        *fault = JSON_BAD_UTF8;
        *detail = "not valid UTF-8";
        return NULL;
    }
    if (depth_of(s, &values) > MAX_DEPTH) {
        *fault = JSON_TOO_DEEP;
        *detail = "nested deeper than 32 levels";
        return NULL;
    }
    if (values > most) {
        *detail = "too many values";
        return NULL;
    }
    root = plain_object(s);
    if (!root)
        root = json_loadb(s.p, s.n, JSON_REJECT_DUPLICATES, &e);
    if (!root) {
        if (json_error_code(&e) == json_error_null_character ||
            json_error_code(&e) == json_error_null_byte_in_key)
            *fault = JSON_NUL;
        *detail = phrase_of(json_error_code(&e));
        return NULL;
    }
    *fault = JSON_OK;
    *detail = "";
    return root;
}

struct str
json_str(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);

    if (!json_is_string(v))
        return STR_NONE;
    return (struct str){ json_string_value(v), json_string_length(v) };
}

int64_t
json_int(const json_t *o, const char *key, int64_t fallback)
{
    const json_t *v = json_object_get(o, key);

    return json_is_integer(v) ? (int64_t)json_integer_value(v) : fallback;
}

double
json_num(const json_t *o, const char *key, double fallback)
{
    const json_t *v = json_object_get(o, key);

    return json_is_number(v) ? json_number_value(v) : fallback;
}

bool
json_flag(const json_t *o, const char *key, bool fallback)
{
    const json_t *v = json_object_get(o, key);

    return json_is_boolean(v) ? json_is_true(v) : fallback;
}

static bool
is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

/* Write what stands at the start of s and is not plain; returns the bytes of s that it took. */
static size_t
add_special(struct buf *b, struct str s)
{
    static const char letter[] = "btn\0fr"; /* for 0x08 … 0x0D */
    uint8_t c = (uint8_t)s.p[0];
    size_t n;

    if (c == '"' || c == '\\') {
        buf_c(b, '\\');
        buf_c(b, (char)c);
        return 1;
    }
    if (c >= 0x08 && c <= 0x0D && c != 0x0B) {
        buf_c(b, '\\');
        buf_c(b, letter[c - 0x08]);
        return 1;
    }
    if (c < 0x20) {
        buf_printf(b, "\\u%04x", c);
        return 1;
    }
    n = utf8_first(s);
    if (n == 0) {
        buf_z(b, "\xEF\xBF\xBD");
        return 1;
    }
    buf_add(b, s.p, n);
    return n;
}

void
buf_json(struct buf *b, struct str s)
{
    size_t i = 0, start;

    buf_reserve(b, s.n + 2);
    buf_c(b, '"');
    while (i < s.n) {
        start = i;
        while (i < s.n && is_plain((uint8_t)s.p[i]))
            i++;
        if (i > start)
            buf_add(b, s.p + start, i - start);
        if (i < s.n)
            i += add_special(b, (struct str){ s.p + i, s.n - i });
    }
    buf_c(b, '"');
}

void
buf_json_z(struct buf *b, const char *z)
{
    buf_json(b, str_of(z));
}

void
buf_json_num(struct buf *b, double v)
{
    char text[40];
    /* 15 digits come back unchanged from any normal double, and %g drops trailing zeros */
    int digits = fabs(v) < DBL_MIN ? 1 : 15;
    bool near = v == 0 || (fabs(v) >= 1e-4 && fabs(v) < 1e8);
    int64_t micro = near ? llround(fabs(v) * 1e6) : 0;

    if (near &&
        (double)micro / 1e6 == fabs(v)) { /* up to six decimals: most numbers of ours, and without strtod */
        buf_printf(b, "%s%lld.%06lld", signbit(v) ? "-" : "", (long long)(micro / 1000000),
                   (long long)(micro % 1000000));
        while (b->n > 0 && !b->failed && b->p[b->n - 1] == '0')
            b->p[--b->n] = 0;
        if (b->n > 0 && !b->failed && b->p[b->n - 1] == '.')
            b->p[--b->n] = 0;
        return;
    }
    if (!isfinite(v)) {
        buf_z(b, "null");
        return;
    }
    for (; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    buf_z(b, text);
}

static int
value_piece(const char *p, size_t n, void *b)
{
    buf_add(b, p, n);
    return 0;
}

void
buf_json_value(struct buf *b, const json_t *v, bool sorted)
{
    size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | (sorted ? JSON_SORT_KEYS : 0);

    if (json_dump_callback(v, value_piece, b, flags) != 0)
        b->failed = true;
}

void
buf_key(struct buf *b, const char *key)
{
    if (b->n > 0 && b->p[b->n - 1] != '{' && b->p[b->n - 1] != '[')
        buf_c(b, ',');
    buf_json_z(b, key);
    buf_c(b, ':');
}

void
buf_key_str(struct buf *b, const char *key, struct str s)
{
    buf_key(b, key);
    if (s.p)
        buf_json(b, s);
    else
        buf_z(b, "null");
}

void
buf_key_int(struct buf *b, const char *key, int64_t v)
{
    buf_key(b, key);
    buf_printf(b, "%lld", (long long)v);
}

void
buf_key_num(struct buf *b, const char *key, double v)
{
    buf_key(b, key);
    buf_json_num(b, v);
}

void
buf_key_bool(struct buf *b, const char *key, bool v)
{
    buf_key(b, key);
    buf_z(b, v ? "true" : "false");
}
