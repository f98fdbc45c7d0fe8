/* Front matter. See front_matter.h. Data from a stranger: a text that does not parse is looked at line by
 * line, never asserted. */
#include "retriever/extract/front_matter.h"

#include <string.h>
#include <yaml.h>

#include "common/text/json.h"
#include "common/text/text.h"
#include "text/clean.h"

enum { FRONT_MATTER_MAX = 65536, TITLE_MAX = 250 };

enum mark { MARK_NONE, MARK_YAML, MARK_TOML, MARK_JSON };

static struct str
line_at(struct str s, size_t i)
{
    const char *nl = i < s.n ? memchr(s.p + i, '\n', s.n - i) : NULL;
    size_t e = nl ? (size_t)(nl - s.p) : s.n;

    while (e > i && (s.p[e - 1] == ' ' || s.p[e - 1] == '\t'))
        e--;
    return (struct str){ s.p + i, e - i };
}

static size_t
next_line(struct str s, size_t i)
{
    const char *nl = i < s.n ? memchr(s.p + i, '\n', s.n - i) : NULL;

    return nl ? (size_t)(nl - s.p) + 1 : s.n;
}

static enum mark
opening(struct str s)
{
    struct str line = line_at(s, 0);

    return str_is(line, "---")              ? MARK_YAML
           : str_is(line, "+++")            ? MARK_TOML
           : line.n > 0 && line.p[0] == '{' ? MARK_JSON
                                            : MARK_NONE;
}

/* Behind the brace that closes the first one; 0: none does. */
static size_t
object_end(struct str s)
{
    size_t depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < s.n && i < FRONT_MATTER_MAX; i++) {
        char c = s.p[i];

        if (quoted)
            i += c == '\\';
        else if (c == '{')
            depth++;
        else if (c == '}' && --depth == 0)
            return i + 1;
        quoted = (c == '"') != quoted;
    }
    return 0;
}

/* The object that the page begins with, text behind it. One on a single line is only settings when it sets the title. */
static json_t *
read_json(struct str s, size_t *end)
{
    size_t n = object_end(s);
    struct str rest = line_at(s, n);
    enum json_fault fault;
    const char *detail;
    json_t *o = n > 0 && rest.n == 0 && text_trim((struct str){ s.p + n, s.n - n }).n > 0
                    ? json_read_most((struct str){ s.p, n }, JSON_BODY_VALUES, &fault, &detail)
                    : NULL;

    if (o && (json_object_size(o) == 0 || (!str_is(line_at(s, 0), "{") && !json_object_get(o, "title")))) {
        json_decref(o);
        o = NULL;
    }
    *end = next_line(s, n);
    return o;
}

/* The text between the two lines; its end, closing line included, in *end. */
static bool
find_body(struct str s, enum mark mark, struct str *body, size_t *end)
{
    size_t from = next_line(s, 0);

    for (size_t i = from; i < s.n && i < FRONT_MATTER_MAX; i = next_line(s, i)) {
        struct str line = line_at(s, i);

        if (mark == MARK_TOML ? str_is(line, "+++") : str_is(line, "---") || str_is(line, "...")) {
            *body = (struct str){ s.p + from, i - from };
            *end = next_line(s, i);
            return true;
        }
    }
    return false;
}

/* Depth of the collection that is open after an event; -1: the stream is over. */
static int
depth_after(const yaml_event_t *e, int depth)
{
    switch (e->type) {
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT: return depth + 1;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT: return depth - 1;
    case YAML_STREAM_END_EVENT: return -1;
    default: return depth;
    }
}

static struct str
scalar(const yaml_event_t *e)
{
    return (struct str){ (const char *)e->data.scalar.value, e->data.scalar.length };
}

struct yaml_found {
    bool mapping; /* the document is one */
    bool prose;   /* its first key is no name of a setting: words, or a capital behind an empty line */
    bool broken;  /* it does not parse */
    bool gap;     /* an empty line comes first */
    char title[4 * TITLE_MAX];
    size_t n;
};

static void
keep_title(struct yaml_found *f, struct str v)
{
    v = utf8_cut(v, sizeof f->title);
    if (f->n == 0 && v.n > 0)
        memcpy(f->title, v.p, f->n = v.n);
}

/* Is the key one of settings, such as "title", "og:title", "Author"? Prose between two rules may have a colon, too. */
static bool
is_name(struct str key, bool gap)
{
    return key.n > 0 && !str_has_byte(key, ' ') && !(gap && key.p[0] >= 'A' && key.p[0] <= 'Z');
}

/* One event of the stream. key: the next scalar at depth 1 is a key. title: its value is the title. */
struct yaml_state {
    int depth;
    bool key, title;
    size_t keys;
};

static void
on_event(struct yaml_found *f, struct yaml_state *st, const yaml_event_t *e)
{
    bool scalar_here = e->type == YAML_SCALAR_EVENT && st->depth == 1 && f->mapping;

    if (scalar_here && st->key && !st->keys++)
        f->prose = !is_name(scalar(e), f->gap);
    if (scalar_here && st->key)
        st->title = str_is(scalar(e), "title") || str_is(scalar(e), "Title");
    else if (scalar_here && st->title)
        keep_title(f, scalar(e));
    f->mapping = f->mapping || (st->depth == 0 && e->type == YAML_MAPPING_START_EVENT);
    int after = depth_after(e, st->depth);

    if (scalar_here || e->type == YAML_ALIAS_EVENT)
        st->key = st->depth == 1 ? !st->key : st->key;
    else if (after == 1)
        st->key = true; /* the mapping began, or a value that is a collection ended */
    st->depth = after;
}

static void
read_yaml(struct str body, struct yaml_found *f)
{
    struct yaml_state st = { 0 };
    yaml_parser_t parser;
    yaml_event_t e;

    *f = (struct yaml_found){ .gap = body.n > 0 && line_at(body, 0).n == 0 };
    if (!yaml_parser_initialize(&parser)) {
        f->broken = true;
        return;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)body.p, body.n);
    while (st.depth >= 0) {
        if (!yaml_parser_parse(&parser, &e)) {
            f->broken = true;
            break;
        }
        on_event(f, &st, &e);
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&parser);
}

/* "key: value" or "key = value"; the value without quotes. */
static bool
simple_setting(struct str line, char sign, const char *key, struct str *value)
{
    size_t n = 0;

    while (n < line.n &&
           (line.p[n] == '_' || line.p[n] == '-' || line.p[n] == '.' ||
            (line.p[n] >= '0' && line.p[n] <= '9') || ((line.p[n] | 32) >= 'a' && (line.p[n] | 32) <= 'z')))
        n++;
    struct str name = { line.p, n };

    while (n < line.n && line.p[n] == ' ')
        n++;
    if (name.n == 0 || n >= line.n || line.p[n] != sign || (key && !str_is(name, key)))
        return false;
    *value = text_trim((struct str){ line.p + n + 1, line.n - n - 1 });
    return true;
}

static bool
any_setting(struct str body, char sign)
{
    struct str unused;

    for (size_t i = 0; i < body.n; i = next_line(body, i))
        if (simple_setting(line_at(body, i), sign, NULL, &unused))
            return true;
    return false;
}

size_t
front_matter(struct str s)
{
    enum mark mark = opening(s);
    struct yaml_found f;
    struct str body;
    size_t end;
    json_t *o;

    if (mark == MARK_JSON) {
        o = read_json(s, &end);
        json_decref(o);
        return o ? end : 0;
    }
    if (mark == MARK_NONE || !find_body(s, mark, &body, &end))
        return 0;
    if (mark == MARK_TOML)
        return any_setting(body, '=') || text_trim(body).n == 0 ? end : 0;
    read_yaml(body, &f);
    return (f.mapping && !f.prose) || text_trim(body).n == 0 || (f.broken && any_setting(body, ':')) ? end
                                                                                                     : 0;
}

/* A TOML string's escapes, and line ends of a multi-line one, become what they stand for. */
static struct str
toml_unescape(struct str v, struct arena *a)
{
    char *z = arena_dup(a, v);
    size_t n = 0;

    for (size_t i = 0; z && i < v.n; i++) {
        char c = z[i];

        if (c == '\\' && i + 1 < v.n) {
            c = z[++i];
            c = c == 'n' || c == 't' || c == 'r' ? ' ' : c;
        }
        z[n++] = c == '\n' ? ' ' : c;
    }
    return z ? text_trim((struct str){ z, n }) : STR_NONE;
}

static struct str
toml_title(struct str body, struct arena *a)
{
    struct str v;

    for (size_t i = 0; i < body.n; i = next_line(body, i)) {
        struct str line = line_at(body, i);

        if (line.n > 0 && line.p[0] == '[')
            return STR_NONE; /* the top table is over */
        if (!simple_setting(line, '=', "title", &v) || v.n < 2 || (v.p[0] != '"' && v.p[0] != '\''))
            continue;
        size_t quotes = v.n >= 3 && v.p[1] == v.p[0] && v.p[2] == v.p[0] ? 3 : 1;
        char mark[3] = { v.p[0], v.p[0], v.p[0] };
        struct str in = { v.p + quotes, (size_t)(body.p + body.n - v.p) - quotes };
        size_t e = 0;

        while (e + quotes <= in.n && memcmp(in.p + e, mark, quotes) != 0)
            e += in.p[e] == '\\' && mark[0] == '"' ? 2 : 1;
        if (e + quotes > in.n || (quotes == 1 && memchr(in.p, '\n', e)))
            return STR_NONE;
        return mark[0] == '"' ? toml_unescape((struct str){ in.p, e }, a)
                              : arena_str(a, text_trim((struct str){ in.p, e }));
    }
    return STR_NONE;
}

/* Of YAML that does not parse, such as "title: Boats: a guide". */
static struct str
line_title(struct str body)
{
    struct str v;

    for (size_t i = 0; i < body.n; i = next_line(body, i))
        if (simple_setting(line_at(body, i), ':', "title", &v)) {
            if (v.n >= 2 && (v.p[0] == '"' || v.p[0] == '\'') && v.p[v.n - 1] == v.p[0])
                v = (struct str){ v.p + 1, v.n - 2 };
            return v;
        }
    return STR_NONE;
}

/* On one line, cut; from the arena. */
static struct str
title_line(struct str s, struct arena *a)
{
    return utf8_cut(clean_line(s, a), TITLE_MAX);
}

static struct str
json_title(struct str s, struct arena *a)
{
    size_t end;
    json_t *o = read_json(s, &end);
    struct str t = title_line(json_str(o, "title"), a);

    json_decref(o);
    return t;
}

struct str
front_matter_title(struct str s, struct arena *a)
{
    enum mark mark = opening(s);
    struct yaml_found f;
    struct str body;
    size_t end;

    if (mark == MARK_JSON)
        return json_title(s, a);
    if (front_matter(s) == 0 || !find_body(s, mark, &body, &end))
        return STR_NONE;
    if (mark == MARK_TOML)
        return title_line(toml_title(body, a), a);
    read_yaml(body, &f);
    struct str t = f.broken ? line_title(body) : (struct str){ f.title, f.n };

    return title_line(t, a);
}
