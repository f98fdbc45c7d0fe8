/* The reply of an embeddings call. Vectors are taken by their index when every index is there once, from 0 or
 * from 1, as numbers or as strings; else in the order of the list: some servers leave it out, write 0
 * everywhere, or leave only the 0 out. Each vector is base64 or an array of numbers; all have the same
 * dimensions (the asked ones), finite numbers, not all zero; they are scaled to length 1. */
#include <stdlib.h>

#include "common/text/number.h"
#include "embedder/openai/embed.h"
#include "embedder/openai/mend.h"

#define HEAD 256        /* bytes of a reply that tell whether it brings vectors */
#define ERROR_MAX 65536 /* bytes of one that may be an error */

static bool
refuse(struct embed_task *t, const char *text)
{
    mem_free(&t->vectors);
    t->err = ERR_UPSTREAM_REPLY;
    t->text = text;
    return false;
}

static size_t
vector_len(const json_t *v)
{
    if (json_is_array(v))
        return json_array_size(v);
    return json_is_string(v) ? json_string_length(v) / 4 * 3 / 4 : 0;
}

static bool
from_base64(const json_t *v, float *out, size_t dims)
{
    struct buf raw = BUF_MAX(EMBED_MAX_DIMS * 4 + 8);
    bool ok = base64_decode((struct str){ json_string_value(v), json_string_length(v) }, &raw) &&
              raw.n == dims * 4;

    for (size_t i = 0; ok && i < dims; i++) {
        uint32_t bits = 0;

        for (size_t k = 0; k < 4; k++)
            bits |= (uint32_t)(unsigned char)raw.p[4 * i + k] << (8 * k);
        memcpy(out + i, &bits, sizeof bits);
    }
    buf_free(&raw);
    return ok;
}

static bool
from_array(const json_t *v, float *out, size_t dims)
{
    for (size_t i = 0; i < dims; i++) {
        const json_t *x = json_array_get(v, i);
        const char *z = json_string_value(x);
        char *end = NULL;

        if (json_is_number(x))
            out[i] = (float)json_number_value(x);
        else if (z && z[0] != 0)
            out[i] = strtof(z, &end);
        if (!json_is_number(x) && (!end || *end != 0))
            return false;
    }
    return true;
}

/* OpenAI: {"embedding": […]}; a bare list of vectors and a list in a list are met, too. */
static const json_t *
vector_of(const json_t *row)
{
    const json_t *v = json_is_object(row) ? json_object_get(row, "embedding") : row;

    return json_is_array(v) && json_array_size(v) == 1 && json_is_array(json_array_get(v, 0))
               ? json_array_get(v, 0)
               : v;
}

static bool
read_vector(const json_t *row, size_t at, struct embed_task *t)
{
    const json_t *v = vector_of(row);
    float *out = t->vectors + at * t->out_dims;

    if (vector_len(v) != t->out_dims)
        return false;
    if (!(json_is_array(v) ? from_array(v, out, t->out_dims) : from_base64(v, out, t->out_dims)))
        return false;
    return vector_unit(out, t->out_dims);
}

#define NO_INDEX (-1)
#define BAD_INDEX (-2)

static int64_t
index_of(const json_t *row)
{
    const json_t *v = json_object_get(row, "index");
    const char *z = json_string_value(v);
    int64_t n;

    if (!v || json_is_null(v))
        return NO_INDEX;
    if (!z)
        return json_is_integer(v) && json_integer_value(v) >= 0 ? json_integer_value(v) : BAD_INDEX;
    return number_parse(str_of(z), 0, INT64_MAX, &n) ? n : BAD_INDEX;
}

struct order {
    bool by_index; /* else as the list is */
    int64_t first; /* index of the first one */
};

/* Is each index from first on there once, when the one row without an index, if there is one, has the index 0? */
static bool
complete(const json_t *data, size_t n, int64_t first)
{
    unsigned char *seen = mem_new(n);
    size_t once = 0;

    for (size_t i = 0; i < n; i++) {
        int64_t at = index_of(json_array_get(data, i));

        at = (at == NO_INDEX ? 0 : at) - first;
        once += at >= 0 && at < (int64_t)n && seen[at]++ == 0;
    }
    mem_free(&seen);
    return once == n;
}

/* The order of the rows. An index that is there and out of range, or there twice but not everywhere the
 * same, means nothing. */
static bool
find_order(const json_t *data, size_t n, struct order *out)
{
    size_t absent = 0, zero = 0;

    for (size_t i = 0; i < n; i++) {
        int64_t at = index_of(json_array_get(data, i));

        absent += at == NO_INDEX;
        zero += at == 0;
    }
    *out = (struct order){ .by_index = absent < n && zero < n };
    if (n == 1 || !out->by_index) {
        out->by_index = false;
        return true;
    }
    if (complete(data, n, 0))
        return true;
    out->first = 1;
    return absent == 0 && complete(data, n, 1);
}

static size_t
place_of(const json_t *row, size_t i, const struct order *o)
{
    int64_t at = index_of(row);

    return !o->by_index ? i : (size_t)((at == NO_INDEX ? 0 : at) - o->first);
}

static bool
read_rows(const json_t *data, struct embed_task *t)
{
    struct order order;

    if (!json_is_array(data) || json_array_size(data) != t->n)
        return refuse(t, "the model server sent another number of vectors");
    if (!find_order(data, t->n, &order))
        return refuse(t, "the model server sent vectors that cannot be told apart");
    t->out_dims = vector_len(vector_of(json_array_get(data, 0)));
    if (t->out_dims == 0 || t->out_dims > EMBED_MAX_DIMS || (t->dims > 0 && t->out_dims != (size_t)t->dims))
        return refuse(
            t,
            "the model server sent vectors of wrong dimensions: EMBEDDING_DIMENSIONS must be 0 or what the model gives");
    t->vectors = mem_try(t->n * t->out_dims * sizeof *t->vectors);
    if (!t->vectors)
        return refuse(t, "the model server sent too much");
    for (size_t i = 0; i < t->n; i++) {
        const json_t *row = json_array_get(data, i);

        if (!read_vector(row, place_of(row, i, &order), t))
            return refuse(t, "the model server sent an unusable vector");
    }
    return true;
}

bool
embed_reply_error(struct str body, long *status)
{
    struct str head = { body.p, body.n < HEAD ? body.n : HEAD };
    bool vectors = body.n > ERROR_MAX || (str_has(head, "\"embedding") && !str_has(head, "error"));
    json_t *root = vectors ? NULL : server_json(body); /* a large reply is not read twice */
    struct upstream_told told;
    bool yes = upstream_told(root, &told);

    if (yes)
        *status = told.status ? told.status : 400;
    json_decref(root);
    return yes;
}

/* The list of the vectors; one vector alone stands in the reply itself. */
static const json_t *
rows_of(const json_t *root)
{
    const json_t *data = json_is_array(root) ? root : json_object_get(root, "data");

    return data ? data : json_object_get(root, "embeddings");
}

size_t
embed_reply_rows(struct str body)
{
    json_t *root = server_json(body);
    const json_t *rows = rows_of(root);
    size_t n = rows ? json_array_size(rows) : json_object_get(root, "embedding") != NULL;

    json_decref(root);
    return n;
}

bool
embed_reply_parse(struct str body, struct embed_task *t)
{
    json_t *root = server_json(body), *alone = NULL;
    const json_t *data = rows_of(root);
    bool ok;

    if (!root)
        return refuse(t, "the model server sent something unusable");
    if (!data && json_object_get(root, "embedding"))
        data = alone = json_pack("[O]", root);
    ok = read_rows(data, t);
    json_decref(alone);
    if (ok) {
        const json_t *usage = json_object_get(root, "usage");

        t->tokens = json_int(usage, "total_tokens", json_int(usage, "prompt_tokens", 0));
        t->tokens = t->tokens < 0 ? 0 : t->tokens;
    }
    json_decref(root);
    return ok;
}
