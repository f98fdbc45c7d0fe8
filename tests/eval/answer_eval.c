/* The way of a question without the suite around it: the retriever's, the embedder's and the citing libraries in one process.
 * tests/eval/answers.py drives it, so that a set of thousands of questions takes seconds.
 *
 * In, a JSON object a line: {"doc": id, "collection": …, "title": …, "text": …, "markdown": bool}, then
 * {"ask": id, "collection": …, "text": …}. Out, for each question a line: refused, answer, confidence,
 * hits and citations. With -m MODEL the vectors are those of a sentence model (make model), which -c FILE
 * keeps from run to run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cite/cite.h"
#include "text/support.h"
#include "common/text/json.h"
#include "common/text/text.h"
#include "retriever/extract/chunk.h"
#include "retriever/index/index.h"
#include "tests/eval/eval_embed.h"

enum { BUILTIN_DIMS = 384, TARGET = 1100 };

struct program {
    struct index *index;
    struct words *words;
    struct filter *all;
    size_t dims;
    const char *model;
};

/* The text as it is stored, which offsets count in. */
static void
write_stored(struct str collection, struct str id, struct str text)
{
    struct buf out = BUF_MAX((size_t)1 << 27);

    buf_c(&out, '{');
    buf_key_str(&out, "stored", id);
    buf_key_str(&out, "collection", collection);
    buf_key_str(&out, "text", text);
    (void)printf("%.*s}\n", (int)out.n, out.p);
    buf_free(&out);
}

static void
add_document(struct program *p, const json_t *o)
{
    struct arena *a = arena_new((size_t)1 << 26);
    struct str raw = json_str(o, "text"), name = json_str(o, "collection"), id = json_str(o, "doc"),
               title = json_str(o, "title");
    struct buf passage = BUF_MAX(1 << 20);
    struct chunk_rules rules = { .target = TARGET };
    struct pieces pieces;
    struct extracted source;
    const char *why = extract(json_flag(o, "markdown", false) ? STR("text/markdown") : STR("text/plain"), raw,
                              a, (size_t)1 << 26, &source);

    if (why || !chunk_text(&source, &rules, a, &pieces)) {
        (void)fprintf(stderr, STR_FMT ": %s\n", STR_ARG(id), why ? why : "too many parts");
        exit(1);
    }
    write_stored(name, id, buf_slice(&source.text));
    if (title.n == 0)
        title = source.title;
    struct document d = { .id = uuid_named((struct str[]){ name, id }, 2),
                          .external_id = id,
                          .collection = name,
                          .title = title,
                          .status = STR("ready") };
    struct chunk *c = mem_new((pieces.n + 1) * sizeof *c);
    float *v = mem_new((pieces.n + 1) * p->dims * sizeof *v);

    for (size_t i = 0; i < pieces.n; i++) {
        const struct piece *x = &pieces.v[i];
        struct str slice = { source.text.p + x->start, x->end - x->start };

        buf_reset(&passage);
        chunk_passage(&passage, title, x->chapter, x->section, x->lead, slice);
        c[i] = (struct chunk){ .id = uuid_v7(),
                               .ord = (int64_t)i,
                               .start = (int64_t)x->start,
                               .end = (int64_t)x->end,
                               .chapter = x->chapter,
                               .section = x->section,
                               .text = slice };
        eval_embed(passage.p, passage.n, v + i * p->dims, p->dims);
        c[i].vector = (struct str){ (const char *)(v + i * p->dims), p->dims * sizeof(float) };
    }
    struct chunks_get_rep rep = {
        .tenant = STR("t"), .document = { &d, 1 }, .model = str_of(p->model), .chunks = { c, pieces.n }
    };
    struct index_doc *doc = index_doc_new(&rep);

    if (doc && index_doc_add(doc, p->words, &rep))
        (void)index_put(p->index, &doc);
    index_doc_free(&doc);
    mem_free(&c);
    mem_free(&v);
    extract_fini(&source);
    buf_free(&passage);
    arena_free(&a);
}

static void
write_place(struct buf *b, struct str doc, int64_t start, int64_t end, double score, struct str section)
{
    if (b->p[b->n - 1] != '[')
        buf_c(b, ',');
    buf_c(b, '{');
    buf_key_str(b, "doc", doc);
    buf_key_int(b, "start", start);
    buf_key_int(b, "end", end);
    buf_key_num(b, "score", score);
    buf_key_str(b, "section", section);
}

static void
write_answer(struct buf *b, const json_t *o, const struct search_rep *found, const struct cite_rep *said,
             bool refused)
{
    buf_c(b, '{');
    buf_key_str(b, "id", json_str(o, "ask"));
    buf_key_bool(b, "refused", refused);
    buf_key_str(b, "answer", said->answer.p ? said->answer : STR(""));
    buf_key_num(b, "confidence", refused ? 0 : said->confidence);
    buf_key(b, "hits");
    buf_c(b, '[');
    for (size_t i = 0; i < found->hits.n; i++) {
        const struct hit *h = &found->hits.v[i];

        write_place(b, h->external_id, h->start, h->end, h->score, h->section);
        buf_c(b, '}');
    }
    buf_z(b, "]");
    buf_key(b, "citations");
    buf_c(b, '[');
    for (size_t i = 0; i < said->citations.n && !refused; i++) {
        const struct citation *c = &said->citations.v[i];

        write_place(b, c->external_id, c->start, c->end, c->score, c->section);
        buf_key_str(b, "excerpt", c->excerpt);
        buf_c(b, '}');
    }
    buf_z(b, "]");
}

static void
write_evidence(const struct program *p, struct str question, const struct search_rep *found, struct buf *b)
{
    struct eval_evidence e;
    struct support s;

    if (!eval_quote(question, found, &e))
        return;
    support_read(p->words, question, &found->hits.v[e.hit], e.text, &s);
    buf_key(b, "evidence");
    buf_c(b, '{');
    buf_key_str(b, "text", e.text);
    buf_key_num(b, "cosine", eval_cosine(question, e.text));
    buf_key_num(b, "direct", e.direct);
    buf_key_num(b, "coverage", e.coverage);
    buf_key_num(b, "wish", e.wish);
    buf_key_num(b, "terms", e.terms);
    buf_key_num(b, "strong", e.strong);
    buf_key_num(b, "missing", e.missing);
    buf_key_num(b, "rank", (double)e.hit);
    buf_key_num(b, "found", s.found);
    buf_key_bool(b, "name", s.name);
    buf_key_bool(b, "number", s.number);
    buf_key_bool(b, "denial", s.denial);
    buf_key_bool(b, "contrary", s.contrary);
    buf_c(b, '}');
}

static void
ask(struct program *p, const json_t *o)
{
    struct arena *a = arena_new((size_t)1 << 24);
    float *v = mem_new(p->dims * sizeof *v);
    struct str name = json_str(o, "collection"), text = json_str(o, "text");
    struct strs collections = { &name, 1 };
    struct index_signals sig;
    struct search_rep found;
    struct cite_rep said = { 0 };
    struct cite_counts counts;
    struct buf answer = BUF_MAX(65536), out = BUF_MAX((size_t)1 << 22);
    bool refused = true;
    struct engine_query q = { .tenant = STR("t"),
                              .collections = &collections,
                              .text = text,
                              .vector = v,
                              .dims = p->dims,
                              .model = str_of(p->model),
                              .filter = p->all,
                              .top_k = 5 };

    eval_embed(text.p, text.n, v, p->dims);
    (void)index_search_explained(p->index, p->words, &q, a, &found, &sig);
    if (found.hits.n) {
        struct cite_req cr = { .question = text };

        eval_answer(text, &found, &answer, &cr);
        cr.answer = buf_slice(&answer);
        refused = cr.refused;
        cr.hits.v = found.hits.v;
        cr.hits.n = found.hits.n;
        if (cite_answer(&cr, p->words, a, &said, &counts) != ERR_OK)
            abort();
        said.confidence = support_confidence(p->words, &cr, &said);
    }
    write_answer(&out, o, &found, &said, refused);
    buf_key_num(&out, "coverage", sig.coverage);
    buf_key_num(&out, "z", sig.z);
    buf_key_num(&out, "cosine", sig.cosine);
    buf_key_num(&out, "words", sig.words);
    buf_key_num(&out, "depth", sig.depth);
    buf_key_num(&out, "head", sig.head);
    buf_key_num(&out, "mass", sig.mass);
    buf_key_num(&out, "matched", sig.matched);
    write_evidence(p, text, &found, &out);
    (void)printf("%.*s}\n", (int)out.n, out.p);
    buf_free(&out);
    buf_free(&answer);
    mem_free(&v);
    arena_free(&a);
}

int
main(int argc, char **argv)
{
    struct program p = { .dims = BUILTIN_DIMS };
    enum json_fault fault;
    const char *why = "", *model = NULL, *cache = NULL;
    char *line = NULL;
    size_t cap = 0;
    double weight = -1;

    for (int c; (c = getopt(argc, argv, "m:c:w:")) != -1;) {
        if (c == 'm')
            model = optarg;
        else if (c == 'c')
            cache = optarg;
        else if (c == 'w')
            weight = strtod(optarg, NULL);
        else
            return 2;
    }
    if (model && (p.dims = eval_model(model, cache)) == 0)
        return 2;
    p.model = eval_model_name();
    p.words = words_new();
    p.all = filter_new(STR_NONE, &why);
    p.index = index_new((size_t)1 << 34);
    index_set_weight(p.index, weight);
    for (ssize_t n; (n = getline(&line, &cap, stdin)) > 0;) {
        json_t *o = json_read((struct str){ line, (size_t)n }, &fault, &why);

        if (!o)
            return (void)fprintf(stderr, "not JSON: %s\n", why), 2;
        if (json_str(o, "doc").p)
            add_document(&p, o);
        else
            ask(&p, o);
        json_decref(o);
    }
    free(line);
    filter_free(&p.all);
    index_free(&p.index);
    words_free(&p.words);
    return 0;
}
