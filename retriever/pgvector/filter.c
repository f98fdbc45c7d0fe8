/* Filters as Postgres understands them: what a passage says of itself as JSON, and a jsonpath that asks for it. Every value is
 * an element of a list, and numbers are doubles in both, as retriever/filter.c compares them. */
#include "common/text/json.h"
#include "retriever/pgvector/pgvector.h"

static void
value(const json_t *v, struct buf *out)
{
    if (json_is_number(v))
        buf_json_num(out, json_number_value(v));
    else if (json_is_string(v))
        buf_json(out, (struct str){ json_string_value(v), json_string_length(v) });
    else
        buf_z(out, json_is_true(v) ? "true" : json_is_false(v) ? "false" : "null");
}

/* ---- of a passage */

static void
fact(const json_t *v, struct buf *out)
{
    if (json_is_object(v) || json_is_array(v)) /* no filter asks for these */
        return;
    if (out->p[out->n - 1] != '[')
        buf_c(out, ',');
    value(v, out);
}

static void
member(const char *key, const json_t *v, struct buf *out)
{
    buf_key(out, key);
    buf_c(out, '[');
    if (!json_is_array(v))
        fact(v, out);
    for (size_t i = 0; i < json_array_size(v); i++)
        fact(json_array_get(v, i), out);
    buf_c(out, ']');
}

static void
own(const char *key, struct str s, struct buf *out)
{
    buf_key(out, key);
    buf_c(out, '[');
    buf_json(out, s.p ? s : STR(""));
    buf_c(out, ']');
}

void
facts_write(const struct index_doc *d, const struct passage *p, struct buf *out)
{
    const char *key;
    json_t *v;

    buf_z(out, "{\"m\":{");
    json_object_foreach (d->metadata, key, v)
        member(key, v, out);
    buf_z(out, "},\"d\":[");
    buf_json(out, str_of(d->id_text));
    buf_c(out, ',');
    buf_json(out, d->external_id.p ? d->external_id : STR(""));
    buf_c(out, ']');
    own("t", d->title, out);
    own("u", d->url, out);
    own("c", p->chapter, out);
    own("s", p->section, out);
    buf_c(out, '}');
}

/* ---- of a question */

static void
place(const struct filter_condition *c, struct buf *out)
{
    static const char *const names[] = {
        [FILTER_DOCUMENT] = "$.d", [FILTER_TITLE] = "$.t",   [FILTER_URL] = "$.u",
        [FILTER_CHAPTER] = "$.c",  [FILTER_SECTION] = "$.s", [FILTER_META] = "$.m."
    };

    buf_z(out, names[c->field]);
    if (c->field == FILTER_META)
        buf_json_z(out, c->key);
}

/* An own field that is not there is the empty string; a member that is not there counts as null. */
static void
equal(const struct filter_condition *c, const json_t *v, struct buf *out)
{
    if (json_is_null(v) && c->field != FILTER_META) {
        place(c, out);
        buf_z(out, "[*] == \"\"");
        return;
    }
    place(c, out);
    buf_z(out, "[*] == ");
    value(v, out);
}

static void
condition(const struct filter_condition *c, struct buf *out)
{
    const char *name;
    json_t *v;
    size_t n = 0;

    if (json_is_object(c->want)) { /* one and the same value of a list has to keep all bounds */
        buf_z(out, "exists(");
        place(c, out);
        buf_z(out, "[*] ? (");
        json_object_foreach ((json_t *)(uintptr_t)c->want, name, v) {
            buf_printf(out, "%s@ %s%s ", n++ ? " && " : "", name[0] == 'g' ? ">" : "<",
                       name[2] == 'e' ? "=" : "");
            value(v, out);
        }
        buf_z(out, "))");
    } else if (json_is_array(c->want)) {
        for (; n < json_array_size(c->want); n++) {
            buf_z(out, n ? " || " : "");
            equal(c, json_array_get(c->want, n), out);
        }
        buf_z(out, n ? "" : "1 == 0");
    } else {
        equal(c, c->want, out);
        if (json_is_null(c->want) && c->field == FILTER_META) {
            buf_z(out, " || !exists(");
            place(c, out);
            buf_c(out, ')');
        }
    }
}

void
filter_path(const struct filter *f, struct buf *out)
{
    const struct filter_condition *c;

    for (size_t i = 0; (c = filter_at(f, i)); i++) {
        buf_z(out, i ? " && (" : "(");
        condition(c, out);
        buf_c(out, ')');
    }
}
