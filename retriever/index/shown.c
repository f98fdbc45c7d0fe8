/* A passage as JSON, there and back. All of it is checked when it comes: it is from outside. See shown.h. */
#include "retriever/index/shown.h"

#include "common/hash.h"
#include "common/text/json.h"
#include "common/text/text.h"

struct index_doc *
shown_page(struct words *w, const struct chunks_get_rep *page, struct doc_language *l)
{
    struct index_doc *d = index_doc_new(page);

    if (!d)
        return NULL;
    d->language = l->is;
    d->language_known = l->known;
    d->language_set = l->set;
    if (!index_doc_add(d, w, page))
        index_doc_free(&d);
    else
        *l = (struct doc_language){ d->language, true, d->language_set };
    return d;
}

struct space_id
space_id_of(struct str model, size_t dims)
{
    struct space_id s = { .dims = dims };
    uint64_t h = hash_more(hash_str(model), (struct str){ (const char *)&dims, sizeof dims });

    for (int i = 0; i < SPACE_NAME - 1; i++, h >>= 4)
        s.name[i] = "0123456789abcdef"[h & 15];
    return s;
}

static void
put_some(struct buf *b, const char *key, struct str s)
{
    if (s.n > 0)
        buf_key_str(b, key, s);
}

void
shown_write(const struct index_doc *d, const struct passage *p, struct str metadata, struct buf *b)
{
    char id[37];

    buf_c(b, '{');
    buf_key_str(b, "id", str_of(uuid_text(&p->id, id)));
    put_some(b, "ex", d->external_id);
    put_some(b, "ti", d->title);
    put_some(b, "ur", d->url);
    put_some(b, "ch", p->chapter);
    put_some(b, "se", p->section);
    put_some(b, "an", p->anchor);
    put_some(b, "le", p->lead);
    put_some(b, "me", metadata);
    buf_key_str(b, "tx", p->text);
    buf_key_int(b, "st", p->start);
    buf_key_int(b, "en", p->end);
    if (p->page)
        buf_key_int(b, "pa", p->page);
    if (d->language_set)
        buf_key_bool(b, "ls", true);
    buf_c(b, '}');
}

static bool
read_passage(struct index_doc *d, const json_t *shown, int64_t words)
{
    struct passage *p = d->v = mem_new(sizeof *p);

    d->n = d->cap = 1;
    p->start = json_int(shown, "st", -1);
    p->end = json_int(shown, "en", -1);
    p->page = json_int(shown, "pa", 0);
    p->chapter = json_str(shown, "ch");
    p->section = json_str(shown, "se");
    p->text = json_str(shown, "tx");
    p->anchor = json_str(shown, "an");
    p->lead = json_str(shown, "le");
    p->n = d->n_words;
    p->len = (uint32_t)words;
    return uuid_parse(json_str(shown, "id"), &p->id) && p->start >= 0 &&
           p->end - p->start == (int64_t)p->text.n && words >= 0 && words < UINT32_MAX;
}

bool
shown_read(const json_t *shown, int64_t words, struct index_doc *d)
{
    struct str metadata = json_str(shown, "me");
    enum json_fault fault;
    const char *detail;

    d->external_id = json_str(shown, "ex");
    d->title = json_str(shown, "ti");
    d->url = json_str(shown, "ur");
    d->language_set = json_flag(shown, "ls", false);
    d->metadata = metadata.n ? json_read(metadata, &fault, &detail) : NULL;
    return read_passage(d, shown, words);
}
