/* Texts, numbers and members of JSON bodies, checked one by one (handler.h). Pure functions. */
#include <stdio.h>

#include "gateway/request/handler.h"

/* ---- text */

struct str
text_chars(struct str s, size_t n)
{
    size_t at = 0, step;

    while (n-- > 0 && at < s.n) {
        step = utf8_first((struct str){ s.p + at, s.n - at });
        if (step == 0)
            break;
        at += step;
    }
    return (struct str){ s.p, at };
}

bool
name_ok(struct str s)
{
    if (s.n < 1 || s.n > 64)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
              c == '_' || c == '-'))
            return false;
    }
    return true;
}

/* ---- fields */

void
fault_set(struct fault *f, const char *key, const char *fmt, ...)
{
    va_list ap;

    snprintf(f->pointer, sizeof f->pointer, "/%s", key);
    va_start(ap, fmt);
    vsnprintf(f->detail, sizeof f->detail, fmt, ap);
    va_end(ap);
}

static const json_t *
member(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);

    return json_is_null(v) ? NULL : v;
}

static bool
bad_length(const struct text_rule *rule, struct fault *f)
{
    if (rule->min == 0)
        fault_set(f, rule->key, "must have at most %zu characters", rule->max);
    else
        fault_set(f, rule->key, "must have %zu to %zu characters", rule->min, rule->max);
    return false;
}

bool
field_text(const json_t *o, const struct text_rule *rule, struct str *out, struct fault *f)
{
    const json_t *v = member(o, rule->key);
    struct str s;
    size_t n;

    if (!v) {
        if (rule->required)
            fault_set(f, rule->key, "is required");
        return !rule->required;
    }
    if (!json_is_string(v)) {
        fault_set(f, rule->key, "must be a string");
        return false;
    }
    s = (struct str){ json_string_value(v), json_string_length(v) };
    if (str_has_byte(s, 0)) {
        fault_set(f, rule->key, "must not contain U+0000");
        return false;
    }
    if (rule->trim)
        s = text_trim(s);
    n = utf8_count(s);
    if (n < rule->min || n > rule->max)
        return bad_length(rule, f);
    *out = s;
    return true;
}

bool
field_int(const json_t *o, const char *key, int64_t min, int64_t max, int64_t *out, struct fault *f)
{
    const json_t *v = member(o, key);

    if (!v)
        return true;
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
        fault_set(f, key, "must be a whole number from %lld to %lld", (long long)min, (long long)max);
        return false;
    }
    *out = json_integer_value(v);
    return true;
}

bool
field_num(const json_t *o, const char *key, double min, double max, double *out, struct fault *f)
{
    const json_t *v = member(o, key);

    if (!v)
        return true;
    if (!json_is_number(v) || json_number_value(v) < min || json_number_value(v) > max) {
        fault_set(f, key, "must be a number from %g to %g", min, max);
        return false;
    }
    *out = json_number_value(v);
    return true;
}

bool
field_flag(const json_t *o, const char *key, bool *out, struct fault *f)
{
    const json_t *v = member(o, key);

    if (!v)
        return true;
    if (!json_is_boolean(v)) {
        fault_set(f, key, "must be true or false");
        return false;
    }
    *out = json_is_true(v);
    return true;
}

bool
field_uuid(const json_t *o, const char *key, struct uuid *out, struct fault *f)
{
    const json_t *v = member(o, key);

    if (!v)
        return true;
    if (!json_is_string(v) || !uuid_parse((struct str){ json_string_value(v), json_string_length(v) }, out) ||
        uuid_is_nil(out)) {
        fault_set(f, key, "must be a UUID");
        return false;
    }
    return true;
}

bool
field_object(const json_t *o, const char *key, size_t max_bytes, struct arena *a, struct str *out,
             struct fault *f)
{
    const json_t *v = member(o, key);
    struct buf b = BUF_MAX(max_bytes);
    bool ok = true;

    if (!v)
        return true;
    if (!json_is_object(v)) {
        fault_set(f, key, "must be an object");
        return false;
    }
    buf_json_value(&b, v, true);
    if (b.failed) {
        fault_set(f, key, "must have at most %zu bytes", max_bytes);
        ok = false;
    } else {
        *out = arena_str(a, buf_slice(&b));
        ok = out->p != NULL;
        if (!ok)
            fault_set(f, key, "is too large");
    }
    buf_free(&b);
    return ok;
}

bool
field_strs(const json_t *o, const char *key, size_t max, struct arena *a, struct strs *out, struct fault *f)
{
    const json_t *v = member(o, key);
    size_t n;

    if (!v)
        return true;
    n = json_array_size(v);
    if (!json_is_array(v) || n < 1 || n > 64 || !(out->v = arena_alloc(a, n * sizeof *out->v))) {
        fault_set(f, key, "must be a list of 1 to 64 strings");
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_array_get(v, i);

        if (!json_is_string(s) || json_string_length(s) < 1 || json_string_length(s) > max ||
            memchr(json_string_value(s), 0, json_string_length(s))) {
            fault_set(f, key, "entries must be strings of 1 to %zu bytes", max);
            return false;
        }
        out->v[i] = (struct str){ json_string_value(s), json_string_length(s) };
    }
    out->n = n;
    return true;
}
