/* The paraphrase set (tests/eval/paraphrase) is what it says: by the product's own reading of words no question shares
 * one with its passage or the title of it, function words excepted; and each passage is of 40 to 120 words. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "text/words.h"
#include "common/text/json.h"

enum { PASSAGES = 400, PAIRS = 100, WORDS = 200, LEAST = 40, MOST = 120 };
#define FOLDER "tests/eval/paraphrase/"

struct said { /* hashes of a text's words */
    uint64_t h[WORDS];
    size_t n, all; /* those that are no function words; all */
};
struct passage {
    char *id;
    struct said said;
};

static void
take(void *arg, const struct word *w)
{
    struct said *s = arg;

    s->all++;
    if (w->cls == WORD_STOP)
        return;
    assert_true(s->n < WORDS);
    s->h[s->n++] = w->h;
}

static json_t *
next(FILE *f)
{
    enum json_fault fault;
    const char *detail = "";
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = getline(&line, &cap, f);
    json_t *o = n > 0 ? json_read((struct str){ line, (size_t)n }, &fault, &detail) : NULL;

    assert_true(n <= 0 || o);
    free(line);
    return o;
}

static FILE *
must_open(const char *path)
{
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    return f;
}

static size_t
read_passages(struct words *w, struct passage *out)
{
    FILE *f = must_open(FOLDER "corpus.jsonl");
    size_t n = 0;

    for (json_t *o; (o = next(f)) != NULL; n++) {
        assert_true(n < PASSAGES);
        out[n].id = mem_dup_str(json_str(o, "id"));
        words_each(w, json_str(o, "text"), take, &out[n].said);
        assert_in_range(out[n].said.all, LEAST, MOST);
        words_each(w, json_str(o, "title"), take, &out[n].said);
        json_decref(o);
    }
    (void)fclose(f);
    return n;
}

/* The passage that qrels.tsv names for a question. */
static const struct said *
passage_of(struct str question, const struct passage *v, size_t n)
{
    FILE *f = must_open(FOLDER "qrels.tsv");
    const struct said *found = NULL;
    char q[64], id[64];
    int relevance;

    while (fscanf(f, "%63s %63s %d", q, id, &relevance) == 3)
        for (size_t i = 0; str_is(question, q) && i < n; i++)
            if (strcmp(v[i].id, id) == 0)
                found = &v[i].said;
    (void)fclose(f);
    return found;
}

static void
no_question_shares_a_word_with_its_passage(void **state)
{
    static struct passage v[PASSAGES];
    struct words *w = words_new();
    size_t n = read_passages(w, v), pairs = 0;
    FILE *f = must_open(FOLDER "queries.jsonl");

    (void)state;
    for (json_t *o; (o = next(f)) != NULL; pairs++) {
        struct said q = { .n = 0 };
        const struct said *p = passage_of(json_str(o, "id"), v, n);

        words_each(w, json_str(o, "text"), take, &q);
        assert_non_null(p);
        assert_true(q.n > 0);
        for (size_t i = 0; i < q.n; i++)
            for (size_t k = 0; k < p->n; k++)
                if (q.h[i] == p->h[k])
                    fail_msg("\"%.*s\" shares a word with its passage", (int)json_str(o, "text").n,
                             json_str(o, "text").p);
        json_decref(o);
    }
    assert_int_equal(pairs, PAIRS);
    for (size_t i = 0; i < n; i++)
        mem_free(&v[i].id);
    (void)fclose(f);
    words_free(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_question_shares_a_word_with_its_passage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
