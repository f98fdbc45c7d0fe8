/* Texts → vectors on a bounded set of threads. */
#ifndef EMBEDDER_MINILM_POOL_H
#define EMBEDDER_MINILM_POOL_H

#include "common/process/loop.h"
#include "embedder/minilm/bert.h"

/* One order: its texts are computed each by itself, in any order. The caller owns it until done. */
struct bert_text;
struct bert_order {
    const struct str *texts;
    size_t n;
    float *vectors; /* n × hidden, zeroed; becomes their unit vectors */
    bool question;  /* somebody waits for it: before passages */
    loop_fn done;   /* in the loop's thread, exactly once */
    void *arg;      /* of done */
    /* the pool's own */
    size_t left;  /* not computed yet */
    bool dropped; /* some of it was not computed: it was cancelled */
    bool damaged; /* none of it can be: the model's file is damaged */
    struct bert_text *items;
};
struct bert_pool;
/* f: checked, or mapped only: then the first text waits until a thread has checked it. NULL after logging why: there
 * is not one thread to be had. The pool's owner frees it, and f after it. */
struct bert_pool *bert_pool_new(struct loop *l, struct bert_file *f, unsigned n_threads, size_t max_texts);
/* 0, or -1 when too many texts wait. */
int bert_pool_run(struct bert_pool *p, struct bert_order *o);
/* Texts that nobody began are not computed; done still comes. */
void bert_pool_cancel(struct bert_pool *p, struct bert_order *o);
/* Threads end after what they compute; what waits is dropped without its done. Until free, orders may still be cancelled. */
void bert_pool_stop(struct bert_pool *p);
void bert_pool_free(struct bert_pool **p); /* stops it, unless it is */

/* ---- window.c: texts of any length through passes of limited ones */
struct bert_packer;
struct bert_packer *bert_packer_new(const struct bert_file *f);
void bert_packer_free(struct bert_packer **p);
/* Embed texts, several in a pass where they fit; a text longer than the window by equal windows, averaged by their tokens.
 * out[i]: hidden floats, zeroed before. between and arg: as bert_pass has them. */
void bert_embed(struct bert_packer *p, const struct str *texts, float *const *out, size_t n,
                void (*between)(void *), void *arg);

#endif
