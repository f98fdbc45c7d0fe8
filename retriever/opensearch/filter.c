/* Filters as the cluster understands them. Each value that a filter may ask for is a word of the keyword field f:
 *
 *   which field, the member's name, 01, kind, value        kinds: s text (its beginning), n number, b flag, z null, e: it is there
 *
 * Numbers are written so that they sort as they count; so a range of numbers, or of texts, is a range of words. */
#include "common/text/json.h"
#include "retriever/opensearch/opensearch.h"

enum { TEXT_CUT = 256, KEY_CUT = 128 };

static const char letters[] = { [FILTER_META] = 'm', [FILTER_DOCUMENT] = 'd', [FILTER_TITLE] = 't',
                                [FILTER_URL] = 'u',  [FILTER_CHAPTER] = 'c',  [FILTER_SECTION] = 's' };

struct token { /* a word that is being written */
    char p[KEY_CUT + TEXT_CUT + 32];
    size_t n;
};

static void
token_begin(struct token *t, enum filter_field field, const char *key, char kind)
{
    struct str k = field == FILTER_META ? utf8_cut(str_of(key), KEY_CUT) : STR("");

    t->p[0] = letters[field];
    memcpy(t->p + 1, k.p, k.n);
    t->p[1 + k.n] = 1;
    t->p[2 + k.n] = kind;
    t->n = 3 + k.n;
}

static void
token_text(struct token *t, struct str s)
{
    s = utf8_cut(s, TEXT_CUT);
    if (s.n > 0)
        memcpy(t->p + t->n, s.p, s.n);
    t->n += s.n;
}

static void
token_number(struct token *t, double d)
{
    uint64_t bits;

    d += 0.0; /* both zeros are one */
    memcpy(&bits, &d, sizeof bits);
    bits = bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
    for (int i = 60; i >= 0; i -= 4)
        t->p[t->n++] = "0123456789abcdef"[bits >> i & 15];
}

/* False: a value of a kind that no filter asks for. */
static bool
token_of(struct token *t, enum filter_field field, const char *key, const json_t *v)
{
    token_begin(t, field, key,
                json_is_string(v)    ? 's'
                : json_is_number(v)  ? 'n'
                : json_is_boolean(v) ? 'b'
                                     : 'z');
    if (json_is_string(v))
        token_text(t, (struct str){ json_string_value(v), json_string_length(v) });
    else if (json_is_number(v))
        token_number(t, json_number_value(v));
    else if (json_is_boolean(v))
        t->p[t->n++] = json_is_true(v) ? '1' : '0';
    return !json_is_object(v) && !json_is_array(v);
}

static void
token_write(const struct token *t, struct buf *out)
{
    if (out->n > 0 && out->p[out->n - 1] != '[' && out->p[out->n - 1] != ':')
        buf_c(out, ',');
    buf_json(out, (struct str){ t->p, t->n });
}

/* ---- of a passage */

static void
there(enum filter_field field, const char *key, struct buf *out)
{
    struct token t;

    token_begin(&t, field, key, 'e');
    token_write(&t, out);
}

static void
own(enum filter_field field, struct str s, bool tell, struct buf *out)
{
    struct token t;

    if (s.n == 0)
        return;
    if (tell)
        there(field, NULL, out);
    token_begin(&t, field, NULL, 's');
    token_text(&t, s);
    token_write(&t, out);
}

static void
member(const char *key, const json_t *v, struct buf *out)
{
    struct token t;

    there(FILTER_META, key, out);
    if (!json_is_array(v) && token_of(&t, FILTER_META, key, v))
        token_write(&t, out);
    for (size_t i = 0; i < json_array_size(v); i++)
        if (token_of(&t, FILTER_META, key, json_array_get(v, i)))
            token_write(&t, out);
}

void
filter_tokens(const struct index_doc *d, const struct passage *p, struct buf *out)
{
    const char *key;
    json_t *v;

    buf_c(out, '[');
    own(FILTER_DOCUMENT, str_of(d->id_text), false, out);
    own(FILTER_DOCUMENT, d->external_id, true, out);
    own(FILTER_TITLE, d->title, true, out);
    own(FILTER_URL, d->url, true, out);
    own(FILTER_CHAPTER, p->chapter, true, out);
    own(FILTER_SECTION, p->section, true, out);
    json_object_foreach (d->metadata, key, v)
        member(key, v, out);
    buf_c(out, ']');
}

/* ---- of a question */

static void
one_of(const struct filter_condition *c, struct buf *out)
{
    struct token t;

    buf_z(out, "{\"terms\":{\"f\":[");
    for (size_t i = 0; i < json_array_size(c->want); i++)
        if (token_of(&t, c->field, c->key, json_array_get(c->want, i)))
            token_write(&t, out);
    buf_z(out, "]}}");
}

static void
equal(const struct filter_condition *c, struct buf *out)
{
    struct token t;
    bool null = json_is_null(c->want);

    if (null)
        buf_z(out, "{\"bool\":{\"should\":[");
    buf_z(out, "{\"term\":{\"f\":");
    (void)token_of(&t, c->field, c->key, c->want);
    token_write(&t, out);
    buf_z(out, "}}");
    if (null) {
        buf_z(out, ",{\"bool\":{\"must_not\":{\"term\":{\"f\":");
        token_begin(&t, c->field, c->key, 'e');
        token_write(&t, out);
        buf_z(out, "}}}}]}}");
    }
}

/* The narrower one of what there was and this bound, which lets itself through: hits are checked again. */
static void
bound(const struct filter_condition *c, const json_t *v, bool low, struct token *t)
{
    struct token b;
    int d;

    (void)token_of(&b, c->field, c->key, v);
    d = memcmp(b.p, t->p, b.n < t->n ? b.n : t->n);
    d = d ? d : (b.n > t->n) - (b.n < t->n);
    if (low ? d > 0 : d < 0)
        *t = b;
}

/* Both bounds in one query: one and the same value of a list has to keep them. */
static void
range(const struct filter_condition *c, struct buf *out)
{
    bool numbers = false, texts = false;
    const char *name;
    json_t *v;
    struct token low, high;

    json_object_foreach ((json_t *)(uintptr_t)c->want, name, v) {
        numbers |= json_is_number(v);
        texts |= !json_is_number(v);
    }
    if (numbers == texts) {
        buf_z(out, "{\"match_none\":{}}");
        return;
    }
    token_begin(&low, c->field, c->key, numbers ? 'n' : 's');
    token_begin(&high, c->field, c->key, numbers ? 'o' : 't'); /* behind all of that kind */
    buf_z(out, "{\"range\":{\"f\":{\"gte\":");
    json_object_foreach ((json_t *)(uintptr_t)c->want, name, v)
        if (name[0] == 'g')
            bound(c, v, true, &low);
        else
            bound(c, v, false, &high);
    buf_json(out, (struct str){ low.p, low.n });
    buf_z(out, ",\"lte\":");
    buf_json(out, (struct str){ high.p, high.n });
    buf_z(out, "}}}");
}

void
filter_query(const struct filter *f, struct buf *out)
{
    const struct filter_condition *c;

    for (size_t i = 0; (c = filter_at(f, i)); i++) {
        buf_c(out, ',');
        if (json_is_object(c->want))
            range(c, out);
        else if (json_is_array(c->want))
            one_of(c, out);
        else
            equal(c, out);
    }
}
