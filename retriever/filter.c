/* Compiling and applying filters. See filter.h. The JSON stays parsed as long as the filter lives; conditions point into
 * it. Reading a json_t from several threads is safe as long as nobody counts references: nothing here does. */
#include "retriever/filter.h"

#include "common/text/json.h"

enum { CONDITIONS_MAX = 32, VALUES_MAX = 256 };

struct filter {
    json_t *root; /* owned */
    struct filter_condition v[CONDITIONS_MAX];
    size_t n;
};

static const struct {
    const char *name;
    enum filter_field field;
} own_fields[] = {
    { "document", FILTER_DOCUMENT }, { "document_id", FILTER_DOCUMENT }, { "title", FILTER_TITLE },
    { "url", FILTER_URL },           { "chapter", FILTER_CHAPTER },      { "section", FILTER_SECTION },
};

static bool
scalar(const json_t *v)
{
    return json_is_string(v) || json_is_number(v) || json_is_boolean(v) || json_is_null(v);
}

static const char *
check_range(const json_t *v)
{
    const char *key;
    json_t *bound;

    if (json_object_size(v) == 0)
        return "filter: a range is empty";
    json_object_foreach ((json_t *)(uintptr_t)v, key, bound) {
        if (strcmp(key, "gte") && strcmp(key, "gt") && strcmp(key, "lte") && strcmp(key, "lt"))
            return "filter: a range has only gte, gt, lte and lt";
        if (!json_is_number(bound) && !json_is_string(bound))
            return "filter: a bound of a range is a number or a string";
    }
    return NULL;
}

static const char *
check_value(const json_t *v)
{
    if (json_is_object(v))
        return check_range(v);
    if (!json_is_array(v))
        return NULL;
    if (json_array_size(v) == 0 || json_array_size(v) > VALUES_MAX)
        return "filter: a list has 1 to 256 values";
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!scalar(json_array_get(v, i)))
            return "filter: a list holds strings, numbers and booleans";
    return NULL;
}

static const char *
compile(struct filter *f)
{
    const char *key, *why;
    json_t *v;

    if (!json_is_object(f->root))
        return "filter: must be a JSON object";
    json_object_foreach (f->root, key, v) {
        if (f->n == CONDITIONS_MAX)
            return "filter: more than 32 fields";
        why = check_value(v);
        if (why)
            return why;
        struct filter_condition *c = &f->v[f->n++];

        *c = (struct filter_condition){ FILTER_META, key, v };
        for (size_t i = 0; i < sizeof own_fields / sizeof *own_fields; i++)
            if (strcmp(key, own_fields[i].name) == 0)
                c->field = own_fields[i].field;
    }
    return NULL;
}

struct filter *
filter_new(struct str json, const char **why)
{
    struct filter *f = mem_new(sizeof *f);
    enum json_fault fault;
    const char *detail;

    *why = NULL;
    if (json.n == 0)
        return f;
    f->root = json_read(json, &fault, &detail);
    *why = f->root ? compile(f) : "filter: not valid JSON";
    if (*why)
        filter_free(&f);
    return f;
}

void
filter_free(struct filter **f)
{
    if (!*f)
        return;
    json_decref((*f)->root);
    mem_free(f);
}

static int
compare_str(struct str a, struct str b)
{
    int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static struct str
text_of(const json_t *v)
{
    return (struct str){ json_string_value(v), json_string_length(v) };
}

static bool
in_range(const json_t *have, const json_t *range)
{
    const char *key;
    json_t *bound;

    json_object_foreach ((json_t *)(uintptr_t)range, key, bound) {
        double d;

        if (json_is_number(have) && json_is_number(bound))
            d = json_number_value(have) - json_number_value(bound);
        else if (json_is_string(have) && json_is_string(bound))
            d = compare_str(text_of(have), text_of(bound));
        else
            return false;
        if (key[0] == 'g' ? (key[2] == 'e' ? d < 0 : d <= 0) : (key[2] == 'e' ? d > 0 : d >= 0))
            return false;
    }
    return true;
}

static bool
same(const json_t *have, const json_t *want)
{
    if (json_is_number(have) && json_is_number(want))
        return !(json_number_value(have) < json_number_value(want)) &&
               !(json_number_value(have) > json_number_value(want));
    return json_equal(have, want);
}

static bool
holds_one(const json_t *have, const json_t *want)
{
    if (json_is_object(want))
        return in_range(have, want);
    if (!json_is_array(want))
        return same(have, want);
    for (size_t i = 0; i < json_array_size(want); i++)
        if (same(have, json_array_get(want, i)))
            return true;
    return false;
}

static bool
holds_json(const json_t *have, const json_t *want)
{
    if (!have)
        return json_is_null(want);
    if (!json_is_array(have))
        return holds_one(have, want);
    for (size_t i = 0; i < json_array_size(have); i++)
        if (holds_one(json_array_get(have, i), want))
            return true;
    return false;
}

static bool
equals_str(struct str have, const json_t *want)
{
    if (json_is_string(want))
        return str_eq(have, text_of(want));
    if (json_is_null(want))
        return have.n == 0;
    for (size_t i = 0; i < json_array_size(want); i++)
        if (json_is_string(json_array_get(want, i)) && str_eq(have, text_of(json_array_get(want, i))))
            return true;
    return false;
}

static bool
holds_str(struct str have, const json_t *want)
{
    const char *key;
    json_t *bound;

    if (!json_is_object(want))
        return equals_str(have, want);
    json_object_foreach ((json_t *)(uintptr_t)want, key, bound) {
        if (!json_is_string(bound))
            return false;
        int d = compare_str(have.p ? have : STR(""), text_of(bound));

        if (key[0] == 'g' ? (key[2] == 'e' ? d < 0 : d <= 0) : (key[2] == 'e' ? d > 0 : d >= 0))
            return false;
    }
    return true;
}

static bool
holds(const struct filter_condition *c, const struct filter_view *v)
{
    switch (c->field) {
    case FILTER_DOCUMENT: return holds_str(v->id, c->want) || holds_str(v->external_id, c->want);
    case FILTER_TITLE: return holds_str(v->title, c->want);
    case FILTER_URL: return holds_str(v->url, c->want);
    case FILTER_CHAPTER: return holds_str(v->chapter, c->want);
    case FILTER_SECTION: return holds_str(v->section, c->want);
    case FILTER_META: break;
    }
    return holds_json(json_object_get(v->metadata, c->key), c->want);
}

static bool
chunk_field(const struct filter_condition *c)
{
    return c->field == FILTER_CHAPTER || c->field == FILTER_SECTION;
}

bool
filter_document(const struct filter *f, const struct filter_view *v)
{
    for (size_t i = 0; i < f->n; i++)
        if (!chunk_field(&f->v[i]) && !holds(&f->v[i], v))
            return false;
    return true;
}

bool
filter_chunk(const struct filter *f, const struct filter_view *v)
{
    for (size_t i = 0; i < f->n; i++)
        if (chunk_field(&f->v[i]) && !holds(&f->v[i], v))
            return false;
    return true;
}

bool
filter_any(const struct filter *f)
{
    return f->n > 0;
}

bool
filter_has_chunk(const struct filter *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (chunk_field(&f->v[i]))
            return true;
    return false;
}

const struct filter_condition *
filter_at(const struct filter *f, size_t i)
{
    return i < f->n ? &f->v[i] : NULL;
}
