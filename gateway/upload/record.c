/* A document as a client sends it (record.h). */
#include "gateway/upload/record.h"

#include <stdio.h>

const char *const record_keys[] = { "id",      "title",   "text",       "content_type", "url",
                                    "chapter", "section", "collection", "metadata",     NULL };

static const struct text_rule rule_id = { "id", 1, RECORD_ID_CHARS, false, true };
static const struct text_rule rule_title = { "title", 0, 250, false, true };
static const struct text_rule rule_url = { "url", 0, 500, false, true };
static const struct text_rule rule_chapter = { "chapter", 0, 250, false, true };
static const struct text_rule rule_section = { "section", 0, 250, false, true };
static const struct text_rule rule_collection = { "collection", 1, 64, false, false };
static const struct text_rule rule_type = { "content_type", 1, 100, false, true };

/* Only links that a browser may follow without harm. */
static bool
url_ok(struct str url)
{
    for (size_t i = 0; i < url.n; i++)
        if ((unsigned char)url.p[i] <= 0x20 || url.p[i] == '"' || url.p[i] == '<' || url.p[i] == '>')
            return false;
    return url.n == 0 || str_starts(url, "https://") || str_starts(url, "http://") || url.p[0] == '/';
}

/* By its mark, or by every second byte being zero at the start, as texts in Latin letters have it. */
static bool
is_utf16(struct str s)
{
    bool marked = s.n >= 2 &&
                  ((s.p[0] == '\xff' && s.p[1] == '\xfe') || (s.p[0] == '\xfe' && s.p[1] == '\xff'));

    return marked || (s.n >= 4 &&
                      ((s.p[0] && !s.p[1] && s.p[2] && !s.p[3]) || (!s.p[0] && s.p[1] && !s.p[2] && s.p[3])));
}

/* Is this text that can be taken: UTF-8, not empty, without NUL? */
static bool
text_fine(struct str body, struct fault *f)
{
    const char *why = text_trim(body).n == 0  ? "must not be empty"
                      : is_utf16(body)        ? "must be UTF-8, and is UTF-16: save it as UTF-8"
                      : str_has_byte(body, 0) ? "must not contain U+0000"
                      : !utf8_valid(body)     ? "must be UTF-8"
                                              : NULL;

    if (why)
        fault_set(f, "text", "%s", why);
    return !why;
}

static bool
parse_text(const json_t *o, struct document_put_req *req, struct fault *f)
{
    struct str type = STR("text/plain");
    enum format format;

    req->body = json_str(o, "text");
    if (!req->body.p) {
        fault_set(f, "text", json_object_get(o, "text") ? "must be a string" : "is required");
        return false;
    }
    if (!text_fine(req->body, f) || !field_text(o, &rule_type, &type, f))
        return false;
    format = format_of_type(type);
    if (format == FORMAT_NONE || formats[format].magic[0]) {
        fault_set(f, "content_type",
                  format == FORMAT_NONE ? "supported are %.340s" : "is of a file: send %.20s%.300s",
                  format == FORMAT_NONE ? record_types() : formats[format].name,
                  format == FORMAT_NONE ? "" : " as the body, or in a form, and not as text");
        return false;
    }
    req->mime = str_of(formats[format].type);
    return true;
}

bool
record_parse(const json_t *o, struct arena *a, struct document_put_req *req, struct fault *f)
{
    memset(req, 0, sizeof *req);
    if (!parse_text(o, req, f) || !field_text(o, &rule_id, &req->external_id, f) ||
        !field_text(o, &rule_title, &req->title, f) || !field_text(o, &rule_url, &req->url, f) ||
        !field_text(o, &rule_chapter, &req->chapter, f) || !field_text(o, &rule_section, &req->section, f) ||
        !field_text(o, &rule_collection, &req->collection, f) ||
        !field_object(o, "metadata", 65536, a, &req->metadata, f))
        return false;
    if (!url_ok(req->url)) {
        fault_set(f, "url", "must be an http or https link, or a path");
        return false;
    }
    return true;
}

static bool
keys_known(const json_t *o, struct fault *f)
{
    const char *key;
    const json_t *v;

    json_object_foreach ((json_t *)(uintptr_t)o, key, v) {
        size_t i = 0;

        while (record_keys[i] && strcmp(record_keys[i], key) != 0)
            i++;
        if (!record_keys[i]) {
            fault_set(f, key, "is not a known field");
            return false;
        }
    }
    return true;
}

bool
record_line(struct str line, struct arena *a, json_t **o, struct document_put_req *req, struct fault *f)
{
    enum json_fault fault;
    const char *detail = "";

    *o = json_read_most(line, JSON_BODY_VALUES, &fault, &detail);
    if (!*o || !json_is_object(*o)) {
        fault_set(f, "", "%s", *o ? "must be a JSON object" : detail);
        return false;
    }
    return keys_known(*o, f) && record_parse(*o, a, req, f);
}

enum format
record_format(struct str type, struct str filename, struct str body, bool *known, struct fault *f)
{
    enum format format = format_of_file(type, filename);
    const char *why = text_trim(body).n == 0 ? "must not be empty" : NULL;

    *known = true;
    why = why ? why : format_check(body, &format);
    if (why) {
        fault_set(f, "text", "%s", why);
        return FORMAT_NONE;
    }
    *known = format != FORMAT_NONE;
    if (!*known)
        fault_set(f, "content_type", "supported are %.340s", record_types());
    else if (!formats[format].bytes && !text_fine(body, f))
        return FORMAT_NONE;
    return format;
}

const char *
record_types(void)
{
    static _Thread_local char names[512];
    struct buf b = BUF_MAX(sizeof names - 1);

    format_names(&b);
    (void)snprintf(names, sizeof names, STR_FMT, STR_ARG(buf_slice(&b)));
    buf_free(&b);
    return names;
}

struct str
record_path(struct str name, struct arena *a)
{
    char *z = name.n > 0 ? arena_dup(a, name) : NULL;
    size_t n = 0;

    /* a whole path of Windows says nothing about the documents' own folders */
    if (!z || str_has_byte(name, '\\'))
        return record_basename(name);
    for (size_t i = 0, e; i < name.n; i = e + 1) {
        const char *slash = memchr(name.p + i, '/', name.n - i);
        struct str part = { name.p + i, (slash ? (size_t)(slash - name.p) : name.n) - i };

        e = i + part.n;
        if (part.n == 0 || str_is(part, ".") || str_is(part, ".."))
            continue;
        if (n > 0)
            z[n++] = '/';
        memmove(z + n, part.p, part.n);
        n += part.n;
    }
    return (struct str){ z, n };
}

struct str
record_basename(struct str name)
{
    for (size_t i = name.n; i > 0; i--)
        if (name.p[i - 1] == '/' || name.p[i - 1] == '\\')
            return (struct str){ name.p + i, name.n - i };
    return name;
}
