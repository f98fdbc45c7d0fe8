/* A BERT-shaped sentence model: its mapped file, its tokenizer, its arithmetic. Nothing here knows the
 * service; only minilm/ includes this. */
#ifndef EMBEDDER_MINILM_BERT_H
#define EMBEDDER_MINILM_BERT_H

#include "common/mem.h"
#include "common/str.h"

enum {
    BERT_PANEL = 16,       /* rows of a matrix that stand together in the file */
    BERT_WORD_CHARS = 100, /* a longer word is unknown */
    BERT_PIECE_BYTES = 256 /* of one piece of the vocabulary */
};

/* ---- file.c */
/* out = in × rows' × scale + bias. Seven bits a weight. */
struct bert_matrix {
    size_t rows, cols;
    const float *scale, *bias; /* of each row */
    const int32_t *sum;        /* of each row's weights */
    const int8_t *w;           /* panels of 16 rows: [cols / 4][16][4] */
};
struct bert_norm {
    const float *weight, *bias;
};
struct bert_layer {
    struct bert_matrix qkv; /* queries (already divided by the root of a head's size), keys, values */
    struct bert_matrix out; /* of attention */
    struct bert_norm after_attention;
    struct bert_matrix up, down; /* the feed-forward part */
    struct bert_norm after_feed;
};
struct bert_file {
    const uint8_t *map; /* read-only and shared: replicas on one host have it once */
    size_t bytes;
    uint32_t vocab, positions, hidden, layers, heads, inner;
    uint32_t window;              /* most tokens of one pass, [CLS] and [SEP] included */
    bool cls;                     /* the vector is [CLS]'s, not the mean */
    bool lower;                   /* letters become small, accents fall */
    uint32_t unknown, begin, end; /* ids of [UNK], [CLS], [SEP] */
    float eps;
    char name[64], licence[64];
    /* the vocabulary */
    uint32_t slots, longest;  /* of the hash table, a power of 2; bytes of the longest piece */
    const uint32_t *piece_at; /* vocab + 1 offsets into pieces */
    const char *pieces;
    uint32_t piece_bytes; /* of pieces */
    const uint32_t *slot; /* id + 1, or 0 */
    /* what is looked up */
    const float *word_scale;
    const int8_t *word;    /* vocab × hidden */
    const float *position; /* positions × hidden, the first kind of token added */
    struct bert_norm first;
    struct bert_layer *layer;
    bool checked; /* bert_check found nothing */
};
/* Map and check. NULL: why says what is wrong with the file. */
struct bert_file *bert_open(const char *path, struct buf *why);
/* The same without bert_check, which reads all of the file: a thread calls it before anything else reads more than
 * sizes and names. */
struct bert_file *bert_map(const char *path, struct buf *why);
const char *bert_check(struct bert_file *f); /* NULL, or what is wrong with it */
void bert_close(struct bert_file **f);

/* ---- tokenizer.c: WordPiece */
/* Ids of a text's pieces without [CLS] and [SEP], at most max; how many. Bytes that are no UTF-8 are passed over. */
size_t bert_tokens(const struct bert_file *f, struct str text, uint32_t *ids, size_t max);

/* ---- normal.c: BERT's rules for characters */
/* The characters that one becomes: none, itself, or a small letter and what else it decomposes into (at most 8). */
size_t bert_fold(int32_t c, bool lower, int32_t out[8]);
bool bert_is_space(int32_t c);
bool bert_is_alone(int32_t c); /* punctuation, or a letter of Han: a word of its own */

/* ---- model.c */
struct bert_run; /* memory of one pass; for one thread at a time */
struct bert_run *bert_run_new(const struct bert_file *f);
void bert_run_free(struct bert_run **r);
size_t bert_run_rows(const struct bert_run *r); /* most tokens of one pass, over all its texts */
/* Several texts in one pass. ids: theirs behind each other, [CLS] and [SEP] included; at[i]: where text i begins, at[n]: the end.
 * out: n × hidden, not yet of length 1. between: called after each layer with arg; may be NULL. */
void bert_pass(struct bert_run *r, const uint32_t *ids, const size_t *at, size_t n, float *out,
               void (*between)(void *), void *arg);

#endif
