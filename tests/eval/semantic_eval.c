/* `make eval-semantic`: how many questions that ask the same are taken for the same (gateway/ask/semantic.c), and how many that do not.
 * Reads tests/eval/semantic/pairs.txt (its README says what it is). Each pair is judged as the gateway judges it: vectors at least as
 * like as the model's threshold, then the two wordings. Each question is compared with those of all other families, too.
 *
 * usage: semantic_eval PAIRS [--model FILE] [--tell]
 * --tell: each pair of the first half that came out otherwise than it should have. A line per bar at the end. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/eval/eval_embed.h"
#include "text/alike.h"

enum { ASKED_MAX = 2000, DIMS_MAX = 4096, KIND_MAX = 16, NGRAM_DIMS = 384 };

static const struct {
    const char *model;
    double least;
} thresholds[] = {
#define SEMANTIC(model, least) { model, least },
#include "gateway/ask/semantic.tbl"
#undef SEMANTIC
};
static const char *const fates[] = {
#define ALIKE_FATE(id, name) name,
    ALIKE_FATES
#undef ALIKE_FATE
};

struct asked {
    char kind[KIND_MAX]; /* "=": the family's first; "+": asks the same; else what differs */
    char *text;
    int family;
    float *vector;
    struct alike_text *read;
};

struct counts {
    int same, hits, differ, wrong;
};

static struct asked asked[ASKED_MAX];
static size_t n_asked, dims = NGRAM_DIMS;
static double least = 2;

static void
add(char *line, int *family)
{
    struct asked *q = &asked[n_asked];
    char *text = line + 2;

    if (n_asked == ASKED_MAX || strlen(line) < 3)
        return;
    *family += line[0] == '=';
    snprintf(q->kind, sizeof q->kind, "%.1s", line);
    if (line[0] == '-') {
        text = strstr(line, ": ");
        if (!text)
            return;
        snprintf(q->kind, sizeof q->kind, "%.*s", (int)(text - line - 2), line + 2);
        text += 2;
    }
    text[strcspn(text, "\n")] = '\0';
    q->family = *family;
    q->text = mem_dup(text);
    q->read = alike_new(str_of(q->text), LANG_ENGLISH);
    q->vector = mem_new(dims * sizeof *q->vector);
    eval_embed(q->text, strlen(q->text), q->vector, dims);
    n_asked++;
}

static bool
read_pairs(const char *path)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    int family = 0;

    if (!f) {
        perror(path);
        return false;
    }
    while (getline(&line, &cap, f) > 0)
        if (line[0] == '=' || line[0] == '+' || line[0] == '-')
            add(line, &family);
    free(line);
    (void)fclose(f);
    return true;
}

static double
cosine(const struct asked *a, const struct asked *b)
{
    double dot = 0, x = 0, y = 0;

    for (size_t i = 0; i < dims; i++) {
        dot += (double)a->vector[i] * (double)b->vector[i];
        x += (double)a->vector[i] * (double)a->vector[i];
        y += (double)b->vector[i] * (double)b->vector[i];
    }
    return x > 0 && y > 0 ? dot / sqrt(x * y) : 0;
}

static bool
is_hit(const struct asked *a, const struct asked *b)
{
    return cosine(a, b) >= least && alike_judge(a->read, b->read) == ALIKE_SAME;
}

/* half 0: families that the gate was tuned on; 1: those it never saw. */
static void
count(struct counts c[2], bool tell)
{
    const struct asked *first = NULL;

    for (size_t i = 0; i < n_asked; i++) {
        const struct asked *q = &asked[i];
        int half = q->family % 2 == 0;
        bool same = q->kind[0] == '+', hit;

        if (q->kind[0] == '=') {
            first = q;
            continue;
        }
        hit = is_hit(q, first);
        *(same ? &c[half].same : &c[half].differ) += 1;
        *(same ? &c[half].hits : &c[half].wrong) += hit;
        if (tell && half == 0 && hit != same)
            printf("%-8s %.2f %-8s %s | %s\n", q->kind, cosine(q, first),
                   fates[alike_judge(q->read, first->read)], first->text, q->text);
    }
}

/* Questions of different families that are taken for the same. */
static int
strangers(bool tell)
{
    int wrong = 0;

    for (size_t i = 0; i < n_asked; i++)
        for (size_t j = i + 1; j < n_asked; j++)
            if (asked[i].family != asked[j].family && is_hit(&asked[i], &asked[j])) {
                wrong++;
                if (tell)
                    printf("stranger %s | %s\n", asked[i].text, asked[j].text);
            }
    return wrong;
}

static void
bar(const char *name, double measured, const char *limit, bool ok)
{
    printf("%-64s %7.2f %%  bar %-10s %s\n", name, measured, limit, ok ? "ok" : "SHORT");
}

static int
report(const struct counts *c, const char *of)
{
    double hits = 100. * c->hits / (c->same ? c->same : 1),
           wrong = 100. * c->wrong / (c->differ ? c->differ : 1);
    char name[128];

    snprintf(name, sizeof name, "%s, %s: true hits (%d of %d)", eval_model_name(), of, c->hits, c->same);
    bar(name, hits, ">= 50 %", hits >= 50);
    snprintf(name, sizeof name, "%s, %s: false hits (%d of %d)", eval_model_name(), of, c->wrong, c->differ);
    bar(name, wrong, "<= 0.5 %", wrong <= .5);
    return hits < 50 || wrong > .5;
}

int
main(int argc, char **argv)
{
    struct counts c[2] = { { 0 } }, all;
    const char *pairs = NULL;
    bool tell = false;
    int bad, wrong;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--tell") == 0)
            tell = true;
        else if (strcmp(argv[i], "--model") == 0 && i + 1 < argc) {
            if ((dims = eval_model(argv[++i], NULL)) == 0)
                return 2;
        } else
            pairs = argv[i];
    for (size_t i = 0; i < sizeof thresholds / sizeof *thresholds; i++)
        if (strcmp(thresholds[i].model, eval_model_name()) == 0)
            least = thresholds[i].least;
    if (!pairs || !read_pairs(pairs))
        return 2;
    count(c, tell);
    wrong = strangers(tell);
    all = (struct counts){ c[0].same + c[1].same, c[0].hits + c[1].hits, c[0].differ + c[1].differ,
                           c[0].wrong + c[1].wrong };
    bad = report(&all, "all") | report(&c[0], "tuned on") | report(&c[1], "held out");
    printf("%s: of all %zu questions %d pairs of different families are taken for the same\n",
           eval_model_name(), n_asked, wrong);
    return bad;
}
