/* Text → ids of pieces (WordPiece): characters by normal.c's rules, words between spaces, punctuation alone,
 * then each word as the longest pieces that the vocabulary has, from its beginning; a word that has none
 * somewhere is one [UNK].
 *
 * Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", 2018; Wu et al., "Google's Neural
 * Machine Translation System", 2016. The same ids as Hugging Face's tokenizers, except that names of special
 * tokens in a text are text. */
#include <utf8proc.h>

#include "common/hash.h"
#include "embedder/minilm/bert.h"

enum { WORD_BYTES = 4 * BERT_WORD_CHARS };

struct reader {
    const struct bert_file *f;
    uint32_t *ids;
    size_t n, max;
    char word[WORD_BYTES]; /* the word that is being read, in UTF-8 */
    size_t bytes, chars;   /* chars counts on when the word is too long */
    uint64_t middle;       /* hash state behind "##" */
};

static void
emit(struct reader *r, uint32_t id)
{
    if (r->n < r->max)
        r->ids[r->n++] = id;
}

/* The piece with that hash that is these bytes, behind "##" unless it begins a word. */
static bool
find(const struct bert_file *f, uint64_t h, const char *p, size_t n, bool begins, uint32_t *id)
{
    size_t mark = begins ? 0 : 2;

    for (size_t at = (h ^ (h >> 32)) & (f->slots - 1); f->slot[at] != 0; at = (at + 1) & (f->slots - 1)) {
        uint32_t i = f->slot[at] - 1;
        const char *piece = f->pieces + f->piece_at[i];
        size_t size = f->piece_at[i + 1] - f->piece_at[i];

        if (size == n + mark && memcmp(piece, "##", mark) == 0 && memcmp(piece + mark, p, n) == 0) {
            *id = i;
            return true;
        }
    }
    return false;
}

/* The longest piece that the rest of the word begins with: its bytes, or 0. */
static size_t
longest(const struct reader *r, size_t from, uint32_t *id)
{
    uint64_t h[BERT_PIECE_BYTES + 1];
    const char *p = r->word + from;
    size_t most = r->bytes - from < r->f->longest ? r->bytes - from : r->f->longest;

    h[0] = from == 0 ? HASH_START : r->middle;
    for (size_t i = 0; i < most; i++)
        h[i + 1] = hash_more(h[i], (struct str){ p + i, 1 });
    for (size_t n = most; n > 0; n--) {
        bool cut = n < r->bytes - from &&
                   ((unsigned char)p[n] & 0xc0) == 0x80; /* in the middle of a character */

        if (!cut && find(r->f, h[n], p, n, from == 0, id))
            return n;
    }
    return 0;
}

static void
end_word(struct reader *r)
{
    size_t before = r->n, at = 0;

    while (r->chars <= BERT_WORD_CHARS && at < r->bytes) {
        uint32_t id = 0;
        size_t n = longest(r, at, &id);

        if (n == 0)
            break;
        emit(r, id);
        at += n;
    }
    if (at < r->bytes) {
        r->n = before;
        emit(r, r->f->unknown);
    }
    r->bytes = r->chars = 0;
}

static void
add_char(struct reader *r, int32_t c)
{
    if (r->chars++ < BERT_WORD_CHARS)
        r->bytes += (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)r->word + r->bytes);
}

static void
read_char(struct reader *r, int32_t c)
{
    int32_t parts[8];
    size_t n = bert_fold(c, r->f->lower, parts);

    for (size_t i = 0; i < n; i++) {
        bool alone = bert_is_alone(parts[i]);

        if (alone || bert_is_space(parts[i]))
            end_word(r);
        if (bert_is_space(parts[i]))
            continue;
        add_char(r, parts[i]);
        if (alone)
            end_word(r);
    }
}

size_t
bert_tokens(const struct bert_file *f, struct str text, uint32_t *ids, size_t max)
{
    struct reader r = { .f = f, .ids = ids, .max = max };
    size_t at = 0;

    r.middle = hash_str(STR("##"));
    while (at < text.n && r.n < max) {
        utf8proc_int32_t c = 0;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text.p + at,
                                              (utf8proc_ssize_t)(text.n - at), &c);

        at += n > 0 ? (size_t)n : 1;
        if (n > 0)
            read_char(&r, c);
    }
    end_word(&r);
    return r.n;
}
