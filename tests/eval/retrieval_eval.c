/* Measures the retriever's index on a folder of evaluation sets (corpus, queries, qrels): nDCG@10 beside its floor,
 * how many of a set's own questions get passages, and how many of those that it cannot answer are refused.
 *
 *   retrieval_eval [-w vector weight] [-n questions a set] [-s signals.tsv] [-h] [-m MODEL [-c CACHE]] FOLDER SET…
 *
 * -s writes the evidence behind each question's score (label, coverage, z, cosine, words, depth, head, lift,
 * named, passages, score), to calibrate rank.c with. -h gives follow-up questions the previous exchange as
 * context. -m takes the vectors of a sentence model (make model) instead of the n-gram model's; -c keeps them
 * from run to run. Questions of the other sets are asked too: all must be refused. One passage is one record
 * of corpus.jsonl; each question is searched alone. Run by tests/eval/retrieval.sh. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/text/json.h"
#include "common/text/text.h"
#include "retriever/extract/chunk.h"
#include "retriever/index/index.h"
#include "tests/eval/eval_embed.h"

enum { DIMS = 4096, TOP = 10, SETS = 16, RELEVANT = 64, CROSS = 200 };

static const struct {
    const char *set;
    double floor;
} floors[] = {
    { "squad", .900 },   { "hotpot500", .771 }, { "scifact", .688 },
    { "mtragun", .787 }, { "chunkeval", .788 }, { "clauddocs", .708 },
};

struct lines {
    char **v;
    size_t n;
}; /* JSON texts of a file */
struct question {
    char *id, *text, *context;
};
struct questions {
    struct question *v;
    size_t n;
};
struct set {
    const char *name;
    struct questions own, other; /* answerable; not answerable */
    struct lines qrels;
};
struct eval {
    const char *folder;
    struct index *index;
    struct words *words;
    struct filter *all;
    long limit;
    bool history;
    FILE *signals;
    size_t dims;
    struct set sets[SETS];
    size_t n_sets;
};

static struct lines
read_lines(const char *folder, const char *set, const char *file)
{
    struct lines out = { 0 };
    char path[512], *line = NULL;
    size_t cap = 0;

    (void)snprintf(path, sizeof path, "%s/%s/%s", folder, set, file);
    FILE *f = fopen(path, "r");

    if (!f)
        return out;
    for (ssize_t n; (n = getline(&line, &cap, f)) > 0;) {
        if (line[n - 1] == '\n')
            line[n - 1] = '\0';
        out.v = mem_resize(out.v, (out.n + 1) * sizeof *out.v);
        out.v[out.n++] = mem_dup(line);
    }
    free(line);
    (void)fclose(f);
    return out;
}

static json_t *
parse(const char *z)
{
    enum json_fault fault;
    const char *detail = "";
    json_t *o = json_read(str_of(z), &fault, &detail);

    if (!o)
        (void)fprintf(stderr, "not JSON (%s): %.60s\n", detail, z);
    return o;
}

static void
add_turns(struct buf *b, const json_t *history)
{
    size_t n = json_array_size(history), from = n > 2 ? n - 2 : 0;

    for (size_t i = from; i < n; i++) {
        struct str t = utf8_cut(json_str(json_array_get(history, i), "text"), 300);

        buf_str(b, t);
        buf_c(b, '\n');
    }
}

static struct questions
read_questions(const struct eval *e, const char *set, const char *file)
{
    struct lines l = read_lines(e->folder, set, file);
    struct questions q = { 0 };

    q.v = mem_new((l.n + 1) * sizeof *q.v);
    for (size_t i = 0; i < l.n && (e->limit == 0 || q.n < (size_t)e->limit); i++) {
        json_t *o = parse(l.v[i]);
        struct buf context = { 0 };

        if (!o)
            continue;
        if (e->history)
            add_turns(&context, json_object_get(o, "history"));
        q.v[q.n++] = (struct question){ mem_dup_str(json_str(o, "id")), mem_dup_str(json_str(o, "text")),
                                        mem_dup_str(buf_slice(&context)) };
        buf_free(&context);
        json_decref(o);
    }
    return q;
}

static void
add_record(struct eval *e, const char *set, size_t ord, const char *line)
{
    json_t *o = parse(line);
    struct buf passage = { 0 };
    static float vector[DIMS];

    if (!o)
        return;
    struct str title = json_str(o, "title"), text = json_str(o, "text"), id = json_str(o, "id");

    chunk_passage(&passage, title, STR_NONE, STR_NONE, STR_NONE, text);
    eval_embed(passage.p, passage.n, vector, e->dims);
    struct str parts[] = { str_of(set), id };
    struct document d = { .id = uuid_named(parts, 2),
                          .external_id = id,
                          .collection = str_of(set),
                          .title = title,
                          .status = STR("ready") };
    struct chunk c = { .id = d.id,
                       .ord = (int64_t)ord,
                       .end = (int64_t)text.n,
                       .text = text,
                       .vector = { (const char *)vector, e->dims * sizeof(float) } };
    struct chunks_get_rep rep = {
        .tenant = STR("t"), .document = { &d, 1 }, .model = str_of(eval_model_name()), .chunks = { &c, 1 }
    };
    struct index_doc *doc = index_doc_new(&rep);

    if (doc && index_doc_add(doc, e->words, &rep))
        (void)index_put(e->index, &doc);
    index_doc_free(&doc);
    buf_free(&passage);
    json_decref(o);
}

struct answer {
    size_t n;
    char id[TOP][64];
    double score;
    struct index_signals signals;
};

static void
ask(const struct eval *e, const char *set, const struct question *what, bool all, struct answer *out)
{
    static float vector[DIMS];
    struct arena *a = arena_new((size_t)1 << 24);
    struct str name = str_of(set);
    struct strs collections = { &name, 1 };
    struct search_rep rep;
    struct engine_query q = { .tenant = STR("t"),
                              .collections = &collections,
                              .text = str_of(what->text),
                              .context = str_of(what->context),
                              .vector = vector,
                              .dims = e->dims,
                              .model = str_of(eval_model_name()),
                              .filter = e->all,
                              .top_k = TOP,
                              .all = all };

    eval_embed(what->text, strlen(what->text), vector, e->dims);
    (void)index_search_explained(e->index, e->words, &q, a, &rep, &out->signals);
    out->n = rep.hits.n;
    out->score = rep.hits.n ? rep.hits.v[0].score : 0;
    for (size_t i = 0; i < rep.hits.n; i++)
        (void)snprintf(out->id[i], sizeof out->id[i], STR_FMT, STR_ARG(rep.hits.v[i].external_id));
    arena_free(&a);
}

/* qrels lines of one question: id TAB document TAB relevance, sorted by question. */
static double
ndcg(const struct set *s, const char *qid, const struct answer *got)
{
    double gain = 0, ideal = 0, rel[RELEVANT];
    size_t n = 0, idl = strlen(qid);

    for (size_t i = 0; i < s->qrels.n; i++) {
        const char *l = s->qrels.v[i], *tab = strchr(l, '\t'), *last = strrchr(l, '\t');

        if (!tab || (size_t)(tab - l) != idl || memcmp(l, qid, idl) != 0)
            continue;
        double r = strtod(last + 1, NULL);

        if (n < RELEVANT)
            rel[n++] = r;
        for (size_t k = 0; k < got->n; k++)
            if (strlen(got->id[k]) == (size_t)(last - tab - 1) &&
                memcmp(got->id[k], tab + 1, (size_t)(last - tab - 1)) == 0)
                gain += r / log2((double)k + 2);
    }
    for (size_t k = 0; k < TOP && k < n; k++) {
        size_t best = k;

        for (size_t i = k; i < n; i++)
            best = rel[i] > rel[best] ? i : best;
        ideal += rel[best] / log2((double)k + 2);
        rel[best] = rel[k];
    }
    return ideal > 0 ? gain / ideal : -1;
}

static double
refused(const struct eval *e, const char *set, const struct questions *q, size_t max, char label,
        double *asked)
{
    size_t n = 0, empty = 0, step = q->n > max ? q->n / max : 1;

    for (size_t i = 0; i < q->n; i += step) {
        struct answer a;

        ask(e, set, &q->v[i], false, &a);
        empty += a.n == 0;
        n++;
        if (e->signals)
            (void)fprintf(e->signals,
                          "%s\t%c\t%.4f\t%.3f\t%.4f\t%.0f\t%.4f\t%.4f\t%.4f\t%.2f\t%.0f\t%.4f\t%s\n", set,
                          label, a.signals.coverage, a.signals.z, a.signals.cosine, a.signals.words,
                          a.signals.depth, a.signals.head, a.signals.lift, a.signals.named,
                          a.signals.passages, a.score, q->v[i].id);
    }
    *asked += (double)n;
    return (double)empty;
}

static void
measure(const struct eval *e, const struct set *s)
{
    double sum = 0, n = 0, three = 0, floor = 0, asked = 0, unasked = 0, crossed = 0, cross = 0;
    int64_t took = 0;

    for (size_t i = 0; i < s->own.n; i++) {
        struct answer a;
        int64_t t = clock_us();

        ask(e, s->name, &s->own.v[i], true, &a);
        took += clock_us() - t;
        double v = ndcg(s, s->own.v[i].id, &a);

        if (v >= 0) {
            sum += v;
            n++;
            a.n = a.n < 3 ? a.n : 3;
            three += ndcg(s, s->own.v[i].id, &a) > 0;
        }
    }
    for (size_t i = 0; i < sizeof floors / sizeof *floors; i++)
        if (strcmp(floors[i].set, s->name) == 0)
            floor = floors[i].floor;
    double own = refused(e, s->name, &s->own, 400, '+', &asked),
           other = refused(e, s->name, &s->other, 400, '?', &unasked);

    for (size_t i = 0; i < e->n_sets; i++)
        if (&e->sets[i] != s)
            cross += refused(e, s->name, &e->sets[i].own, CROSS, '-', &crossed);
    (void)printf(
        "%-10s nDCG@10 %.3f (floor %.3f, %+.3f) of %4.0f | one of the first three %.3f | answered %.3f | unanswerable refused %.3f | "
        "cross-corpus refused %.3f | %.2f ms\n",
        s->name, sum / fmax(n, 1), floor, sum / fmax(n, 1) - floor, n, three / fmax(n, 1),
        1 - own / fmax(asked, 1), unasked > 0 ? other / unasked : 0, crossed > 0 ? cross / crossed : 0,
        (double)took / 1000 / fmax((double)s->own.n, 1));
    (void)fflush(stdout);
}

static void
load(struct eval *e, const char *name)
{
    struct set *s = &e->sets[e->n_sets++];
    struct lines corpus = read_lines(e->folder, name, "corpus.jsonl");

    s->name = name;
    s->own = read_questions(e, name, "queries.jsonl");
    s->other = read_questions(e, name, "queries.unanswerable.jsonl");
    if (s->other.n == 0)
        s->other = read_questions(e, name, "queries.other.jsonl");
    s->qrels = read_lines(e->folder, name, "qrels.tsv");
    for (size_t i = 0; i < corpus.n; i++)
        add_record(e, name, i, corpus.v[i]);
}

int
main(int argc, char **argv)
{
    static struct eval e;
    const char *why, *model = NULL, *cache = NULL;
    double weight = -1;

    for (int c; (c = getopt(argc, argv, "w:n:s:hm:c:")) != -1;) {
        if (c == 'w')
            weight = strtod(optarg, NULL);
        else if (c == 'n')
            e.limit = strtol(optarg, NULL, 10);
        else if (c == 's')
            e.signals = fopen(optarg, "w");
        else if (c == 'h')
            e.history = true;
        else if (c == 'm')
            model = optarg;
        else if (c == 'c')
            cache = optarg;
        else
            return 2;
    }
    e.dims = model != NULL ? eval_model(model, cache) : 384;
    if (argc - optind < 2 || e.dims == 0)
        return 2;
    e.folder = argv[optind];
    e.words = words_new();
    e.all = filter_new(STR_NONE, &why);
    e.index = index_new((size_t)1 << 34);
    index_set_weight(e.index, weight);
    for (int i = optind + 1; i < argc && e.n_sets < SETS; i++)
        load(&e, argv[i]);
    for (size_t i = 0; i < e.n_sets; i++)
        measure(&e, &e.sets[i]);
    if (e.signals)
        (void)fclose(e.signals);
    return 0;
}
