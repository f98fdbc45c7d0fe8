/* A passage as the cluster shows it → a document of one passage, as the ranking wants it. All of it is checked: it comes from
 * outside. Strings stay where they are, in the answer. */
#include "common/text/json.h"
#include "common/text/text.h"
#include "retriever/index/shown.h"
#include "retriever/opensearch/opensearch.h"

static bool
read_words(struct index_doc *d, struct str text)
{
    size_t most = text.n / (HASH_TEXT + 1) + 1;
    uint64_t h, last = 0;

    d->hash = mem_new(most * sizeof *d->hash);
    d->tf = mem_new(most * sizeof *d->tf);
    for (size_t at = 0; at + HASH_TEXT < text.n; at += HASH_TEXT + 1) {
        if (!hash_read((struct str){ text.p + at, HASH_TEXT }, &h) || (d->n_words > 0 && h < last))
            return false;
        if (d->n_words > 0 && h == last)
            d->tf[d->n_words - 1]++;
        else {
            d->hash[d->n_words] = last = h;
            d->tf[d->n_words++] = 1;
        }
    }
    return true;
}

bool
hit_read(const json_t *hit, struct found *out)
{
    const json_t *source = json_object_get(hit, "_source"), *shown = json_object_get(source, "s");
    struct index_doc *d = mem_new(sizeof *d);

    d->tenant = json_str(source, "t");
    d->collection = json_str(source, "c");
    out->doc = d;
    out->version = json_int(source, "ver", -1);
    if (uuid_parse(json_str(source, "d"), &d->id) && language_parse(json_str(source, "l"), &d->language) &&
        read_words(d, json_str(source, "w")) && shown_read(shown, json_int(source, "n", -1), d)) {
        uuid_text(&d->id, d->id_text);
        return true;
    }
    hit_free(&out->doc);
    return false;
}

void
hit_free(struct index_doc **d)
{
    index_doc_free(d);
}

bool
hit_vector(const json_t *hit, const struct space_id *s, float *out)
{
    char key[SPACE_NAME + 2] = "b_";
    struct buf b = BUF_MAX(1 << 20);
    bool good;

    memcpy(key + 2, s->name, SPACE_NAME);
    good = base64_decode(json_str(json_object_get(hit, "_source"), key), &b) &&
           b.n == s->dims * sizeof(float);
    if (good)
        memcpy(out, b.p, b.n);
    buf_free(&b);
    return good;
}
