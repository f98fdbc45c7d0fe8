/* The sentence model without the service, for `make bench-minilm`.
 *
 *   minilm_run MODEL tokens   a text a line in; the ids of its pieces out, a line each
 *   minilm_run MODEL embed    a text a line in; the float32s of its vector out
 *   minilm_run MODEL time     a line "REPEAT text" in, out the least seconds of that many times, in processor time */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "embedder/minilm/kernel.h"
#include "embedder/minilm/pool.h"

static double
processor_seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
print_tokens(const struct bert_file *f, struct str text)
{
    size_t most = 2 * text.n + 1;
    uint32_t *ids = mem_new(most * sizeof *ids);
    size_t n = bert_tokens(f, text, ids, most);

    for (size_t i = 0; i < n; i++)
        (void)printf("%u ", ids[i]);
    (void)puts("");
    mem_free(&ids);
}

static void
embed(struct bert_packer *p, struct str text, float *out, size_t dims)
{
    memset(out, 0, dims * sizeof *out);
    bert_embed(p, &text, &out, 1, NULL, NULL);
}

static void
print_time(struct bert_packer *p, struct str line, float *out, size_t dims)
{
    char *text = NULL;
    long n = strtol(line.p, &text, 10);
    double best = 1e9;
    struct str t = { text + 1, line.n - (size_t)(text + 1 - line.p) };

    for (long i = 0; i < n; i++) {
        double begun = processor_seconds();

        embed(p, t, out, dims);
        begun = processor_seconds() - begun;
        best = begun < best ? begun : best;
    }
    (void)printf("%.9f\n", best);
    (void)fflush(stdout);
}

int
main(int argc, char **argv)
{
    struct buf why = BUF_MAX(4096);
    struct bert_file *f = argc == 3 ? bert_open(argv[1], &why) : NULL;
    char *line = NULL;
    size_t cap = 0;

    if (!f)
        return (void)fprintf(stderr, "minilm_run: %s\n", why.p ? why.p : "MODEL tokens|embed|time"), 2;
    struct bert_packer *p = bert_packer_new(f);
    float *out = mem_new(f->hidden * sizeof *out);

    (void)fprintf(stderr, "%s\n", bert_kernel()->name);
    for (ssize_t n; (n = getline(&line, &cap, stdin)) > 0;) {
        struct str text = { line, line[n - 1] == '\n' ? (size_t)n - 1 : (size_t)n };

        if (argv[2][0] == 't' && argv[2][1] == 'o') {
            print_tokens(f, text);
        } else if (argv[2][0] == 't') {
            print_time(p, text, out, f->hidden);
        } else {
            embed(p, text, out, f->hidden);
            (void)fwrite(out, sizeof *out, f->hidden, stdout);
        }
    }
    free(line);
    mem_free(&out);
    bert_packer_free(&p);
    bert_close(&f);
    return 0;
}
