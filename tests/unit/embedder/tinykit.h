/* A sentence model of some kilobytes with weights by chance, as convert.py would write it: for tests that need no download. */
#ifndef TESTS_UNIT_EMBEDDER_TINYKIT_H
#define TESTS_UNIT_EMBEDDER_TINYKIT_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/digest.h"
#include "embedder/minilm/bert.h"

enum {
    TINY_HIDDEN = 32,
    TINY_INNER = 64,
    TINY_LAYERS = 2,
    TINY_WINDOW = 12,
    TINY_SLOTS = 64,
    TINY_HEAD = 512
};

static const char *const tiny_pieces[] = { "[PAD]",        "[UNK]", "[CLS]",  "[SEP]",
                                           "un",           "##aff", "##able", "hello",
                                           "the",          ",",     "!",      "##s",
                                           "\xe4\xb8\x96", "caf",   "##e",    "\xd0\xbc\xd0\xb8\xd1\x80" };
enum { TINY_VOCAB = sizeof tiny_pieces / sizeof *tiny_pieces };

static uint64_t tiny_seed;

static float
tiny_chance(void)
{
    tiny_seed = tiny_seed * 6364136223846793005ull + 1442695040888963407ull;
    return (float)(int32_t)(tiny_seed >> 32) / 2147483648.0f;
}

static void
tiny_end(struct buf *b)
{
    while (b->n % 64 != 0)
        buf_c(b, 0);
}

static void
tiny_floats(struct buf *b, size_t n, float base, float by)
{
    for (size_t i = 0; i < n; i++) {
        float v = base + by * tiny_chance();

        buf_add(b, &v, sizeof v);
    }
    tiny_end(b);
}

static void
tiny_matrix(struct buf *b, size_t rows, size_t cols)
{
    int8_t *w = mem_new(rows * cols);
    int32_t *sums = mem_new(rows * sizeof *sums);

    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++) {
            int8_t q = (int8_t)(63 * tiny_chance());

            w[r / 16 * 16 * cols + c / 4 * 64 + r % 16 * 4 + c % 4] = q;
            sums[r] += q;
        }
    tiny_floats(b, rows, 0.01f, 0.005f);
    tiny_floats(b, rows, 0, 0.1f);
    buf_add(b, sums, rows * sizeof *sums);
    tiny_end(b);
    buf_add(b, w, rows * cols);
    tiny_end(b);
    mem_free(&w);
    mem_free(&sums);
}

static void
tiny_vocabulary(struct buf *b, uint32_t *bytes)
{
    uint32_t at[TINY_VOCAB + 1] = { 0 }, slots[TINY_SLOTS] = { 0 };

    for (uint32_t i = 0; i < TINY_VOCAB; i++) {
        uint64_t h = 0xcbf29ce484222325ull;
        size_t slot;

        for (const char *c = tiny_pieces[i]; *c != 0; c++)
            h = (h ^ (unsigned char)*c) * 0x100000001b3ull;
        for (slot = (h ^ (h >> 32)) % TINY_SLOTS; slots[slot] != 0; slot = (slot + 1) % TINY_SLOTS)
            ;
        slots[slot] = i + 1;
        at[i + 1] = at[i] + (uint32_t)strlen(tiny_pieces[i]);
    }
    *bytes = at[TINY_VOCAB];
    buf_add(b, at, sizeof at);
    tiny_end(b);
    for (size_t i = 0; i < TINY_VOCAB; i++)
        buf_z(b, tiny_pieces[i]);
    tiny_end(b);
    buf_add(b, slots, sizeof slots);
    tiny_end(b);
}

/* The checksum that fits what stands there. */
static void
tiny_seal(struct buf *b)
{
    struct str rest = { b->p + 64, b->n - 64 };

    sha256(&rest, 1, (uint8_t *)b->p + 24);
}

static struct buf
tiny_model(void)
{
    struct buf b = BUF_MAX(0);
    uint32_t sizes[15] = { TINY_VOCAB, 16, TINY_HIDDEN, TINY_LAYERS, 2, TINY_INNER, TINY_WINDOW, 0, 1,
                           1,          2,  3,           TINY_SLOTS,  0, 6 };
    uint32_t head[2] = { 1, TINY_HEAD };
    uint64_t bytes;
    float eps = 1e-12f;

    tiny_seed = 7;
    while (b.n < TINY_HEAD)
        buf_c(&b, 0);
    tiny_vocabulary(&b, &sizes[13]);
    tiny_floats(&b, TINY_VOCAB, 0.01f, 0);
    for (size_t i = 0; i < TINY_VOCAB * TINY_HIDDEN; i++)
        buf_c(&b, (char)(127 * tiny_chance()));
    tiny_end(&b);
    tiny_floats(&b, 16 * TINY_HIDDEN, 0, 0.5f);
    tiny_floats(&b, TINY_HIDDEN, 1, 0.1f);
    tiny_floats(&b, TINY_HIDDEN, 0, 0.1f);
    for (size_t i = 0; i < TINY_LAYERS; i++) {
        tiny_matrix(&b, 3 * TINY_HIDDEN, TINY_HIDDEN);
        tiny_matrix(&b, TINY_HIDDEN, TINY_HIDDEN);
        tiny_floats(&b, TINY_HIDDEN, 1, 0.1f);
        tiny_floats(&b, TINY_HIDDEN, 0, 0.1f);
        tiny_matrix(&b, TINY_INNER, TINY_HIDDEN);
        tiny_matrix(&b, TINY_HIDDEN, TINY_INNER);
        tiny_floats(&b, TINY_HIDDEN, 1, 0.1f);
        tiny_floats(&b, TINY_HIDDEN, 0, 0.1f);
    }
    bytes = b.n;
    memcpy(b.p, "FNMODEL\n", 8);
    memcpy(b.p + 8, head, sizeof head);
    memcpy(b.p + 16, &bytes, sizeof bytes);
    memcpy(b.p + 64, sizes, sizeof sizes);
    memcpy(b.p + 124, &eps, sizeof eps);
    memcpy(b.p + 128, "tiny", 4);
    memcpy(b.p + 192, "CC0-1.0", 7);
    tiny_seal(&b);
    return b;
}

/* Those bytes as a file that is opened by bert_open or bert_map; NULL: why has the reason. */
static struct bert_file *
tiny_open_by(const struct buf *b, struct buf *why,
             struct bert_file *(*open)(const char *path, struct buf *why))
{
    char path[] = "/tmp/footnote-tiny-XXXXXX";
    int fd = mkstemp(path);
    struct bert_file *f;

    if (fd < 0 || write(fd, b->p, b->n) != (ssize_t)b->n)
        abort();
    close(fd);
    f = open(path, why);
    unlink(path);
    return f;
}

static struct bert_file *
tiny_open(const struct buf *b, struct buf *why)
{
    return tiny_open_by(b, why, bert_open);
}

#endif
