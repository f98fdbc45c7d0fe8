/* The mapped sentence model as a row of provider.tbl: chosen by name, or by `auto` where its file is and no server is set. */
#include <stdio.h>
#include <unistd.h>

#include "common/log.h"
#include "common/text/check.h"
#include "embedder/minilm/kernel.h"
#include "embedder/minilm/pool.h"
#include "embedder/provider.h"

enum { TEXTS_WAITING = 8192, PATH_MOST = 2048 };

/* Where `make install` and the image put it, seen from the program's folder. */
#define BESIDE "../share/footnote/embedding.model"

struct minilm {
    struct embed_provider p; /* what others see */
    struct bert_file *f;
    struct bert_pool *pool;
    struct embed_near near; /* the same model for the built-in answers */
};
struct minilm_task {
    struct bert_order order;
    struct embed_task *t;
};

/* The file that is meant: the option's, or the one beside the program. False: there is none. */
static bool
model_path(const struct embedder_opt *o, char out[PATH_MOST])
{
    if (o->model_file[0] != 0)
        return snprintf(out, PATH_MOST, "%s", o->model_file) < PATH_MOST;
    return proc_beside(BESIDE, out, PATH_MOST) && access(out, R_OK) == 0;
}

static bool
wants_minilm(const struct embedder_opt *o)
{
    char path[PATH_MOST];

    return model_path(o, path);
}

static void
check_minilm(const struct embedder_opt *o, struct buf *err)
{
    char path[PATH_MOST];

    check_file("EMBEDDING_MODEL_FILE", o->model_file, err);
    if (strcmp(o->embedding_provider, "minilm") == 0 && !model_path(o, path))
        buf_z(err, "EMBEDDING_MODEL_FILE: provider minilm needs a model: make model makes one\n");
}

static void
computed(void *arg)
{
    struct minilm_task *m = arg;
    struct embed_task *t = m->t;

    if (m->order.dropped) {
        t->err = ERR_CANCELLED;
        t->text = "nobody waits for it";
    } else if (m->order.damaged) {
        t->err = ERR_UNSUPPORTED;
        t->text = "the sentence model's file is damaged";
    }
    mem_free(&m->order.items);
    mem_free(&m);
    t->impl = NULL;
    t->done(t);
}

static void
refused(void *arg)
{
    struct embed_task *t = arg;

    t->done(t);
}

static void
refuse(struct embed_task *t, enum err err, const char *text, int64_t retry_after_ms)
{
    t->err = err;
    t->text = text;
    t->retry_after_ms = retry_after_ms;
    loop_after(t->e->loop, 0, refused, t);
}

static void
run_minilm(struct embed_task *t)
{
    struct minilm *m = t->p->impl;
    struct minilm_task *w;

    t->out_dims = m->f->hidden;
    if (t->dims != 0 && t->dims != (int64_t)t->out_dims) {
        refuse(t, ERR_VALIDATION, "dims: this model has a number of its own", 0);
        return;
    }
    t->vectors = mem_try(t->n * t->out_dims * sizeof *t->vectors);
    if (!t->vectors) {
        refuse(t, ERR_BUSY, "not enough memory", 500);
        return;
    }
    w = mem_new(sizeof *w);
    w->t = t;
    w->order = (struct bert_order){ .texts = t->texts,
                                    .n = t->n,
                                    .vectors = t->vectors,
                                    .question = !t->documents,
                                    .done = computed,
                                    .arg = w };
    t->impl = w;
    if (bert_pool_run(m->pool, &w->order) == 0)
        return;
    t->impl = NULL;
    mem_free(&w);
    refuse(t, ERR_BUSY, "the sentence model has too much to do", 500);
}

static void
cancel_minilm(struct embed_task *t)
{
    struct minilm_task *w = t->impl;
    struct minilm *m = t->p->impl;

    if (w)
        bert_pool_cancel(m->pool, &w->order);
}

static void
stop_minilm(struct embed_provider *p)
{
    struct minilm *m = p->impl;

    bert_pool_stop(m->pool);
}

static void
close_minilm(struct embed_provider *p)
{
    struct minilm *m = p->impl;

    bert_pool_free(&m->pool); /* its threads read f */
    bert_close(&m->f);
    mem_free(&m);
}

static void
embed_now(const struct embed_near *m, const struct str *texts, size_t n, float *out)
{
    struct bert_packer *p = bert_packer_new(m->impl);
    float **rows = mem_new(n * sizeof *rows);

    for (size_t i = 0; i < n; i++)
        rows[i] = out + i * m->dims;
    bert_embed(p, texts, rows, n, NULL, NULL);
    mem_free(&rows);
    bert_packer_free(&p);
}

static struct embed_provider *
embed_minilm_new(struct embedder *e, bool besides)
{
    struct minilm *m = mem_new(sizeof *m);
    struct buf why = BUF_MAX(PATH_MOST + 256);
    char path[PATH_MOST];

    if (model_path(e->opt, path))
        m->f = besides ? bert_map(path, &why) : bert_open(path, &why);
    if (!m->f)
        LOG(ERROR, NULL, M("EMBEDDING_MODEL_FILE cannot be used"), KN("why", buf_slice(&why)));
    else
        m->pool = bert_pool_new(e->loop, m->f, e->n_threads, TEXTS_WAITING);
    buf_free(&why);
    if (!m->pool) {
        bert_close(&m->f);
        mem_free(&m);
        return NULL;
    }
    m->near = (struct embed_near){ .dims = m->f->hidden,
                                   .fitted = str_starts(str_of(m->f->name), "all-MiniLM-L6-v2"),
                                   .embed = embed_now,
                                   .impl = m->f };
    m->p = (struct embed_provider){ .model = m->f->name,
                                    .dims = m->f->hidden,
                                    .prefixes = true,
                                    .capacity = 64L + 4L * (long)e->n_threads,
                                    .max_texts = 64,
                                    .max_bytes = 262144,
                                    .near = besides ? NULL : &m->near,
                                    .run = run_minilm,
                                    .cancel = cancel_minilm,
                                    .stop = stop_minilm,
                                    .close = close_minilm,
                                    .impl = m };
    LOG(INFO, NULL, M("sentence model"), KS("model", m->f->name), KS("licence", m->f->licence),
        KS("path", path), KS("kernel", bert_kernel()->name), KI("threads", e->n_threads));
    return &m->p;
}

const struct provider minilm_provider = {
    .name = "minilm",
    .local = true,
    .check = check_minilm,
    .wants_embed = wants_minilm,
    .embed = embed_minilm_new,
};
