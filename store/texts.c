/* Old texts → plain ones. A document's text is read in slices, which a compressed one does not have; up to
 * release 6 of the schema texts were stored compressed. Once after its start a store walks over all
 * documents, a few at a time, and stores compressed texts anew. Nobody waits for it: it rests three times as
 * long as a batch took, rows in use come in a later walk, and whatever was done stays done, so that a store
 * that is stopped loses nothing and two of them do not disturb each other. */
#include "store/texts.h"

#include "common/clock.h"
#include "common/log.h"
#include "store/stat.h"

#define ROWS 500       /* looked at in a batch; mostly there is nothing to do */
#define BYTES 8388608  /* of texts stored anew in a batch; one is done whatever its size */
#define BATCH_MS 60000 /* for the largest of all on a slow disk */
#define FIRST_MS 500
#define REST_MS 20     /* at least */
#define AGAIN_MS 60000 /* after rows that were in use, or a failure */

struct texts {
    struct store *s;
    struct uuid after;  /* walked up to here */
    int64_t done, left; /* texts stored anew in all, and passed over in this walk */
    int64_t begun_ms;   /* of the batch */
    uint64_t timer;
};

static void batch(void *arg);

static void
walked(struct texts *x)
{
    if (!x->done)
        LOG(DEBUG, NULL, M("no text of a document is compressed"), KI("in_use", x->left));
    else
        LOG(INFO, NULL, M("compressed texts of documents were stored plain"), KI("documents", x->done),
            KI("in_use", x->left));
    if (!x->left)
        return;
    x->after = (struct uuid){ { 0 } };
    x->left = 0;
    x->timer = loop_after(x->s->proc->loop, AGAIN_MS, batch, x);
}

static void
on_batch(struct tx *t)
{
    struct texts *x = t->arg;
    int64_t rest = 3 * (clock_ms() - x->begun_ms), done;
    static struct log_gate gate;

    if (t->err) {
        if (log_gate(&gate))
            LOG(WARN, NULL, M("compressed texts could not be stored plain yet"), KS("why", err_name(t->err)),
                KS("sqlstate", t->sqlstate));
        x->timer = loop_after(x->s->proc->loop, AGAIN_MS, batch, x);
        return;
    }
    done = col_i64(t, 0, 0, 1);
    x->done += done;
    x->left += col_i64(t, 0, 0, 2) - done;
    stat_add(&store_stats, STAT_TEXTS_PLAIN, (uint64_t)done);
    x->after = col_id(t, 0, 0, 0);
    if (uuid_is_nil(&x->after))
        walked(x);
    else
        x->timer = loop_after(x->s->proc->loop, rest > REST_MS ? rest : REST_MS, batch, x);
}

static void
batch(void *arg)
{
    struct texts *x = arg;
    struct tx *t = tx_own(x->s->pool, BATCH_MS, on_batch, x);

    x->timer = 0;
    x->begun_ms = clock_ms();
    TX(t, TEXTS_PLAIN, p_id(&x->after), p_i64(ROWS), p_i64(BYTES));
    tx_run(t);
}

struct texts *
texts_new(struct store *s)
{
    struct texts *x = mem_new(sizeof *x);

    x->s = s;
    x->timer = loop_after(s->proc->loop, FIRST_MS, batch, x);
    return x;
}

void
texts_stop(struct texts *x)
{
    if (x)
        loop_cancel(x->s->proc->loop, &x->timer);
}

void
texts_free(struct texts **x)
{
    texts_stop(*x);
    mem_free(x);
}
