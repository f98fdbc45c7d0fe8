/* What a refusal complains about. Servers say it in many shapes: error as an object with param and message, or as a string; detail
 * as a string, or as a list of places and messages; a message; plain text. A parameter that stands in a place of its own (param, loc)
 * is what is meant; else the first that the text names. Nothing of it is ever passed on. */
#include <ctype.h>

#include "common/json.h"
#include "embedder/upstream.h"

#define TEXT_MAX_BYTES 8192

struct complaint {
    struct buf place;        /* names from param and loc, a line each */
    struct buf text;         /* all that people should read, in lower case */
};

static void
add_line(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n && b->n < TEXT_MAX_BYTES; i++)
        buf_c(b, (char)tolower((unsigned char)s.p[i]));
    buf_c(b, '\n');
}

static void
read_value(struct complaint *c, const char *key, const json_t *v, int depth)
{
    static const char *const places[] = { "param", "loc", "field", "parameter" };
    static const char *const texts[] = { "message", "msg", "detail", "error", "details", "errors", "type", "code", "error_type", "title", "reason" };
    const json_t *x;
    const char *name;
    size_t i;

    if (json_is_string(v)) {
        struct str s = { json_string_value(v), json_string_length(v) };

        for (i = 0; i < sizeof places / sizeof *places; i++)
            if (strcmp(key, places[i]) == 0)
                add_line(&c->place, s);
        for (i = 0; i < sizeof texts / sizeof *texts; i++)
            if (strcmp(key, texts[i]) == 0)
                add_line(&c->text, s);
        return;
    }
    if (depth == 0)
        return;
    if (json_is_array(v))
        json_array_foreach(v, i, x)
            read_value(c, key, x, depth - 1);
    else if (json_is_object(v))
        json_object_foreach((json_t *)(uintptr_t)v, name, x) /* only read */
            read_value(c, name, x, depth - 1);
}

static void
complaint_read(struct str body, struct complaint *c)
{
    enum json_fault fault;
    const char *detail;
    json_t *root = json_read(body, &fault, &detail);

    *c = (struct complaint){ .place = BUF_MAX(TEXT_MAX_BYTES + 1024), .text = BUF_MAX(TEXT_MAX_BYTES + 1024) };
    if (root == NULL)
        add_line(&c->text, body);
    else
        read_value(c, "message", root, 6);
    json_decref(root);
}

static void
complaint_free(struct complaint *c)
{
    buf_free(&c->place);
    buf_free(&c->text);
}

static bool
name_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Where a name stands as a whole word; n: nowhere. */
static size_t
find_name(struct str text, const char *name)
{
    size_t n = strlen(name), at = 0;
    const char *hit;

    while (at < text.n && (hit = memmem(text.p + at, text.n - at, name, n)) != NULL) {
        size_t k = (size_t)(hit - text.p);

        if ((k == 0 || !name_byte(text.p[k - 1])) && (k + n >= text.n || !name_byte(text.p[k + n])))
            return k;
        at = k + 1;
    }
    return text.n;
}

static int
named(const struct complaint *c, const char *const *names, size_t n)
{
    const struct str where[] = { buf_slice(&c->place), buf_slice(&c->text) };

    for (size_t w = 0; w < 2; w++) {
        size_t best = where[w].n;
        int found = -1;

        for (size_t i = 0; i < n; i++) {
            size_t at = find_name(where[w], names[i]);

            if (at < best) {
                best = at;
                found = (int)i;
            }
        }
        if (found >= 0)
            return found;
    }
    return -1;
}

int
upstream_blames(struct str body, const char *const *names, size_t n)
{
    struct complaint c;
    int found;

    complaint_read(body, &c);
    found = named(&c, names, n);
    complaint_free(&c);
    return found;
}

static bool
says(struct str text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memmem(text.p, text.n, words[i], strlen(words[i])) != NULL)
            return true;
    return false;
}

bool
upstream_too_large(struct str body)
{
    static const char *const words[] = {
        "context length", "context window", "context size", "context_length", "context_size", "maximum context", "max context", "too large", "too long",
        "too many tokens", "too many input", "exceed", "larger than", "longer than", "maximum length", "max_new_tokens` must be", "must have less than",
        "reduce the length", "max_total_tokens", "string_above_max_length", "at most", "maximum allowed", "should not be larger", "less than or equal",
    };
    struct complaint c;
    bool yes;

    complaint_read(body, &c);
    yes = says(buf_slice(&c.text), words, sizeof words / sizeof *words);
    complaint_free(&c);
    return yes;
}

bool
upstream_too_many(struct str body)
{
    static const char *const words[] = { "batch size", "batch_size", "batch is too", "too many inputs", "too many items", "input array", "at most", "array too long",
        "max_client_batch_size", "number of inputs", "number of texts", "list should have at most", "too_long", "max_items", "maxitems", "maximum number of" };
    struct complaint c;
    bool yes;

    complaint_read(body, &c);
    yes = says(buf_slice(&c.text), words, sizeof words / sizeof *words);
    complaint_free(&c);
    return yes;
}
