/* JSON (RFC 8259) → lines "path: value", so that a value is found and cited with its place. A list
 * of objects is a block for each; below a member of the root that is an object or a list stands
 * its name as a heading. */

#include "common/text/json.h"
#include "extract/out.h"

enum { PATH_MAX_BYTES = 500 };

static void
add_value(struct buf *out, const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_STRING: buf_add(out, json_string_value(v), json_string_length(v)); break;
    case JSON_INTEGER: buf_printf(out, "%lld", (long long)json_integer_value(v)); break;
    case JSON_REAL: buf_json_num(out, json_real_value(v)); break;
    case JSON_TRUE: buf_z(out, "true"); break;
    case JSON_FALSE: buf_z(out, "false"); break;
    default: buf_z(out, "null"); break;
    }
}

static bool
is_leaf(const json_t *v)
{
    return !json_is_object(v) && !json_is_array(v);
}

/* Lines of everything below v; the depth is bounded by json_read. */
static void
add_lines(struct buf *out, struct buf *path, const json_t *v)
{
    size_t n = path->n;
    const char *key;
    const json_t *x;
    size_t i;

    if (is_leaf(v)) {
        buf_str(out, buf_slice(path));
        buf_z(out, n ? ": " : "");
        add_value(out, v);
        buf_c(out, '\n');
        return;
    }
    if (json_is_object(v)) {
        json_object_foreach ((json_t *)(uintptr_t)v, key, x) {
            if (path->n < PATH_MAX_BYTES)
                buf_printf(path, "%s%s", n ? "." : "", key);
            add_lines(out, path, x);
            path->n = n;
        }
        return;
    }
    json_array_foreach (v, i, x) {
        if (!is_leaf(x) && path->n < PATH_MAX_BYTES)
            buf_printf(path, "[%zu]", i);
        add_lines(out, path, x);
        path->n = n;
    }
}

/* A value below the root as blocks: a list of objects in several, anything else in one. */
static void
say_value(struct out *o, const json_t *v)
{
    struct buf lines = BUF_MAX(EXTRACTED_TEXT), path = BUF_MAX(4 * PATH_MAX_BYTES);
    const json_t *x;
    size_t i;

    if (json_is_array(v) && json_array_size(v) > 0 && !is_leaf(json_array_get(v, 0))) {
        json_array_foreach (v, i, x)
            say_value(o, x);
    } else {
        add_lines(&lines, &path, v);
        out_lines(o, buf_slice(&lines), true);
    }
    if (lines.failed)
        out_refuse("the document's text is larger than 64 MB");
    buf_free(&lines);
    buf_free(&path);
}

static void
json_document(struct str s, struct out *o)
{
    enum json_fault fault;
    const char *detail = "", *key;
    json_t *root = json_read(s, &fault, &detail), *v;
    struct buf path = BUF_MAX(4 * PATH_MAX_BYTES), lines = BUF_MAX(EXTRACTED_TEXT);

    if (!root)
        out_refuse("the file is no JSON that can be read: %s", detail);
    if (!json_is_object(root)) {
        say_value(o, root);
        return;
    }
    json_object_foreach (root, key, v)
        if (is_leaf(v)) {
            buf_printf(&path, "%.500s", key);
            add_lines(&lines, &path, v);
            path.n = 0;
        }
    if (lines.n > 0)
        out_lines(o, buf_slice(&lines), true);
    json_object_foreach (root, key, v)
        if (!is_leaf(v)) {
            out_heading(o, 2, str_of(key));
            say_value(o, v);
        }
}

const struct reader reader_json = { .read = json_document, .text = true };
