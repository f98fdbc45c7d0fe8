/* A model's file: mapped read-only, checked in full before anything reads it. Written by convert.py beside this.
 *
 *     0  "FNMODEL\n"
 *     8  version (1), bytes of the head (512): u32
 *    16  bytes of the file: u64
 *    24  SHA-256 of everything from 64 on
 *    56  0
 *    64  u32: vocabulary, positions, hidden, layers, heads, inner, window, pooling (0 mean, 1 [CLS]), lower case (0, 1),
 *        ids of [UNK], [CLS], [SEP], slots of the hash table, bytes of all pieces, bytes of the longest piece; f32: the norms' epsilon
 *   128  name, 192 licence: 64 bytes each, NUL behind it
 *   512  sections, each on a multiple of 64, little-endian:
 *          pieces of the vocabulary: where each begins u32[vocabulary + 1], their bytes, slots u32 (FNV-1a of 64 bits, h ^ h >> 32, linear
 *            probing; id + 1, or 0)
 *          word rows: scales f32[vocabulary], int8[vocabulary][hidden]
 *          positions f32[positions][hidden]; norm: weights, biases f32[hidden]
 *          each layer: matrix qkv (3 hidden × hidden), matrix out, norm, matrix up (inner × hidden), matrix down (hidden × inner), norm
 *        a matrix: scales f32[rows], biases f32[rows], sums i32[rows], int8 by panels of 16 rows: [columns / 4][16][4]
 *
 * A damaged file fails its checksum; one that was made to do harm has every size and every index in bounds, or is refused. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/digest.h"
#include "embedder/minilm/bert.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is little-endian and used as it is");

enum { HEAD = 512, SUMMED_FROM = 64, ALIGN = 64 };

/* Sections, one after the other. After one that does not fit, all are NULL. */
struct cursor {
    const uint8_t *map;
    size_t at, end;
    bool bad;
};

static const void *
take(struct cursor *c, size_t count, size_t size)
{
    size_t n = count * size;
    const void *p = c->map + c->at;

    if (c->bad || (size > 0 && n / size != count) || n > c->end - c->at) {
        c->bad = true;
        return NULL;
    }
    n = (n + ALIGN - 1) / ALIGN * ALIGN;
    c->at = n > c->end - c->at ? c->end : c->at + n;
    return p;
}

static struct bert_matrix
take_matrix(struct cursor *c, size_t rows, size_t cols)
{
    struct bert_matrix m = { .rows = rows, .cols = cols };

    m.scale = take(c, rows, sizeof *m.scale);
    m.bias = take(c, rows, sizeof *m.bias);
    m.sum = take(c, rows, sizeof *m.sum);
    m.w = take(c, rows, cols);
    return m;
}

static struct bert_norm
take_norm(struct cursor *c, size_t n)
{
    struct bert_norm m;

    m.weight = take(c, n, sizeof *m.weight);
    m.bias = take(c, n, sizeof *m.bias);
    return m;
}

/* Every size within what the arithmetic takes, so that no product of them overflows. */
static const char *
read_sizes(struct bert_file *f)
{
    uint32_t v[15];

    memcpy(v, f->map + 64, sizeof v);
    memcpy(&f->eps, f->map + 64 + sizeof v, sizeof f->eps);
    f->vocab = v[0];
    f->positions = v[1];
    f->hidden = v[2];
    f->layers = v[3];
    f->heads = v[4];
    f->inner = v[5];
    f->window = v[6];
    f->cls = v[7] == 1;
    f->lower = v[8] == 1;
    f->unknown = v[9];
    f->begin = v[10];
    f->end = v[11];
    f->slots = v[12];
    f->piece_bytes = v[13];
    f->longest = v[14];
    memcpy(f->name, f->map + 128, sizeof f->name);
    memcpy(f->licence, f->map + 192, sizeof f->licence);
    if (f->vocab < 4 || f->vocab > 1000000 || f->positions < 8 || f->positions > 8192 || f->window < 8 ||
        f->window > f->positions)
        return "its vocabulary or its window is of no size that is known";
    if (f->hidden < 16 || f->hidden > 4096 || f->hidden % 16 != 0 || f->inner < 16 || f->inner > 16384 ||
        f->inner % 16 != 0)
        return "its layers are of no size that is known";
    if (f->layers < 1 || f->layers > 48 || f->heads < 1 || f->hidden % f->heads != 0 ||
        f->hidden / f->heads % 16 != 0)
        return "its heads or layers are of no number that is known";
    if (v[7] > 1 || v[8] > 1 || !(f->eps > 0 && f->eps < 1))
        return "it has a setting that is not known";
    if (f->unknown >= f->vocab || f->begin >= f->vocab || f->end >= f->vocab)
        return "its special tokens are not in its vocabulary";
    if (f->slots <= f->vocab || (f->slots & (f->slots - 1)) != 0 || f->slots > (1u << 24) || f->longest < 1 ||
        f->longest > BERT_PIECE_BYTES)
        return "its vocabulary's table is of no size that is known";
    if (f->name[0] == 0 || f->name[63] != 0 || f->licence[63] != 0)
        return "its name is missing or does not end";
    return NULL;
}

/* Offsets that never fall and slots that point into the vocabulary; one slot at least is empty, where a search ends. */
static const char *
check_vocabulary(const struct bert_file *f)
{
    size_t empty = 0;

    if (f->piece_at[0] != 0 || f->piece_at[f->vocab] != f->piece_bytes)
        return "its vocabulary does not end where it should";
    for (size_t i = 0; i < f->vocab; i++)
        if (f->piece_at[i] > f->piece_at[i + 1] || f->piece_at[i + 1] - f->piece_at[i] > f->longest)
            return "a piece of its vocabulary is out of bounds";
    for (size_t i = 0; i < f->slots; i++) {
        empty += f->slot[i] == 0;
        if (f->slot[i] > f->vocab)
            return "its vocabulary's table points nowhere";
    }
    return empty > 0 ? NULL : "its vocabulary's table is full";
}

static const char *
read_sections(struct bert_file *f)
{
    struct cursor c = { .map = f->map, .at = HEAD, .end = f->bytes };

    f->piece_at = take(&c, f->vocab + 1, sizeof *f->piece_at);
    f->pieces = take(&c, f->piece_bytes, 1);
    f->slot = take(&c, f->slots, sizeof *f->slot);
    f->word_scale = take(&c, f->vocab, sizeof *f->word_scale);
    f->word = take(&c, f->vocab, f->hidden);
    f->position = take(&c, f->positions, f->hidden * sizeof *f->position);
    f->first = take_norm(&c, f->hidden);
    f->layer = mem_new(f->layers * sizeof *f->layer);
    for (size_t i = 0; i < f->layers; i++) {
        struct bert_layer *l = &f->layer[i];

        l->qkv = take_matrix(&c, 3 * (size_t)f->hidden, f->hidden);
        l->out = take_matrix(&c, f->hidden, f->hidden);
        l->after_attention = take_norm(&c, f->hidden);
        l->up = take_matrix(&c, f->inner, f->hidden);
        l->down = take_matrix(&c, f->hidden, f->inner);
        l->after_feed = take_norm(&c, f->hidden);
    }
    return c.bad || c.at != f->bytes ? "it is not as long as its sizes say" : NULL;
}

static const char *
check_head(const struct bert_file *f)
{
    uint32_t version, head;
    uint64_t bytes;

    memcpy(&version, f->map + 8, sizeof version);
    memcpy(&head, f->map + 12, sizeof head);
    memcpy(&bytes, f->map + 16, sizeof bytes);
    if (memcmp(f->map, "FNMODEL\n", 8) != 0)
        return "it is no model file of Footnote";
    if (version != 1 || head != HEAD)
        return "it is of a version that this program does not know: convert it anew (make model)";
    return bytes != f->bytes ? "it is not as long as it says: the rest is missing" : NULL;
}

static const char *
check_sum(const struct bert_file *f)
{
    struct str summed = { (const char *)f->map + SUMMED_FROM, f->bytes - SUMMED_FROM };
    uint8_t sum[32];

    sha256(&summed, 1, sum);
    return memcmp(sum, f->map + 24, sizeof sum) == 0 ? NULL : "its checksum does not fit: it is damaged";
}

/* The file's bytes, or NULL and the reason. */
static const char *
map_file(struct bert_file *f, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    const char *why = NULL;

    if (fd < 0)
        return "it cannot be opened";
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < HEAD || st.st_size > (off_t)1 << 32) {
        why = "it is no file of a model's size";
    } else {
        void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);

        if (map == MAP_FAILED)
            why = "it cannot be mapped";
        else
            f->map = map;
        f->bytes = (size_t)st.st_size;
    }
    close(fd);
    return why;
}

/* whole: its contents are checked, too, and before anything that they say. */
static struct bert_file *
open_file(const char *path, bool whole, struct buf *why)
{
    struct bert_file *f = mem_new(sizeof *f);
    const char *bad = map_file(f, path);

    if (!bad)
        bad = check_head(f);
    if (!bad && whole)
        bad = check_sum(f);
    if (!bad)
        bad = read_sizes(f);
    if (!bad)
        bad = read_sections(f);
    if (!bad && whole)
        bad = check_vocabulary(f);
    f->checked = whole;
    if (!bad)
        return f;
    buf_printf(why, "%s: %s", path, bad);
    bert_close(&f);
    return NULL;
}

struct bert_file *
bert_open(const char *path, struct buf *why)
{
    return open_file(path, true, why);
}

struct bert_file *
bert_map(const char *path, struct buf *why)
{
    return open_file(path, false, why);
}

const char *
bert_check(struct bert_file *f)
{
    const char *bad = check_sum(f);

    if (!bad)
        bad = check_vocabulary(f);
    f->checked = !bad;
    return bad;
}

void
bert_close(struct bert_file **fp)
{
    struct bert_file *f = *fp;

    if (!f)
        return;
    if (f->map)
        munmap((void *)(uintptr_t)f->map, f->bytes);
    mem_free(&f->layer);
    mem_free(fp);
}
