/* A question's vector. It is compared with vectors of one model only: the one in use in its collection, which
 * is asked for by its name. It is the embedder's own, but for the time in which the vectors are made anew by
 * another one (retriever/reembed/).
 *
 *   EMBED by name ─▶ of its length ─▶ searched
 *        │    └─▶ of another length ─▶ EMBED by name and length
 *        └ nobody has it ─▶ EMBED as before there were names (an embedder of then) ─▶ another model: by words only, degraded, until the switch
 *
 * The switch comes with the settings, over the change feed. The index that is asked must have reached it (search_req.after). */
#include "gateway/ask/embed.h"

#include <pthread.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/admit/budget.h"
#include "gateway/ask/begin.h"

#define AWAY_MS 60000

static struct { /* what is known of models, by what they said last */
    pthread_mutex_t lock;
    char bare
        [129]; /* a model whose vectors are of another length than its collection's, unless that is asked for */
    int64_t bare_dims;       /* of them */
    char own[129];           /* the embedder's own, that is not the collection's */
    int64_t own_ms;          /* when it said so */
    _Atomic int64_t away_ms; /* when a collection's model could not be asked last; 0: never */
    _Atomic int64_t old_ms;  /* when an embedder did not know EMBED_FREE last; 0: never */
} known = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct asking {
    struct question *q; /* NULL: not for a turn */
    struct request *r;
    struct held *held;
    const struct collection *settings; /* NULL, or without a model: the embedder's own is asked */
    struct str text;
    int64_t deadline_ms;
    struct search_req *req;
    struct outcome *a;
};

static bool
is_named(const struct collection *c)
{
    return c && c->space.n > 0 && c->space.n <= 128 && c->space_dims > 0;
}

static bool
lately(int64_t at)
{
    return at && clock_ms() - at < AWAY_MS;
}

/* Beside the begin: from the cache, or by a model that costs nothing. False: it would be paid for. */
static bool
ask_free(const struct asking *q, const struct embed_req *req, enum err *e)
{
    const struct embed_rep *rep;

    if (lately(atomic_load(&known.old_ms)))
        return false;
    *e = begin_beside(q->q, KIND_EMBED_FREE, req, q->deadline_ms, q->a);
    if (*e ==
        ERR_UNSUPPORTED) { /* of the release before, or another's: it would pay for whatever it is asked */
        atomic_store(&known.old_ms, clock_ms());
        return false;
    }
    rep = q->a->msg;
    return *e != ERR_OK || rep->dims > 0;
}

static enum err
ask(const struct asking *q, struct str model, int64_t dims)
{
    static const struct outcome moot = { .err = ERR_BUSY, .text = "" };
    struct embed_req req = { .texts = { (struct str[]){ q->text }, 1 }, .model = model, .dims = dims };
    enum err e;

    if (q->q && begin_runs(q->q)) {
        if (ask_free(q, &req, &e))
            return e;
        if (begin_known(q->q, INT64_MAX) != ASKED_ANSWERED) {
            *q->a = moot; /* nobody will want it */
            return moot.err;
        }
    }
    return budget_call(q->r, q->held, KIND_EMBED, &req, q->deadline_ms, q->a);
}

/* True: these are what the collection's vectors can be compared with. */
static bool
take(const struct asking *q)
{
    const struct collection *c = q->settings;
    const struct embed_rep *rep = q->a->msg;
    bool named = is_named(c);

    if (named && (!str_eq(c->space, rep->model) || c->space_dims != rep->dims))
        return false;
    q->req->vector = rep->vectors;
    q->req->model = rep->model;
    q->req->after = named ? c->space_seq : 0;
    return true;
}

/* The length that is to be asked for; 0: none. */
static int64_t
dims_to_ask(const struct collection *c)
{
    int64_t dims;

    pthread_mutex_lock(&known.lock);
    dims = str_is(c->space, known.bare) && known.bare_dims != c->space_dims ? c->space_dims : 0;
    pthread_mutex_unlock(&known.lock);
    return dims;
}

static void
heard(char name[129], int64_t *fact, struct str model, int64_t value)
{
    pthread_mutex_lock(&known.lock);
    if (model.n <= 128) {
        memcpy(name, model.p, model.n);
        name[model.n] = '\0';
        *fact = value;
    }
    pthread_mutex_unlock(&known.lock);
}

/* The embedder's own was another one a moment ago: it need not be paid for again. */
static bool
own_is_other(const struct collection *c)
{
    bool is;

    pthread_mutex_lock(&known.lock);
    is = lately(known.own_ms) && !str_is(c->space, known.own);
    pthread_mutex_unlock(&known.lock);
    return is;
}

static enum err
nobody_has(const struct asking *q, enum err why, bool *by_words)
{
    const struct collection *c = q->settings;
    static struct log_gate gate;

    if (!own_is_other(c) && ask(q, STR_NONE, 0) == ERR_OK) {
        const struct embed_rep *rep = q->a->msg;

        if (take(q))
            return ERR_OK;
        heard(known.own, &known.own_ms, rep->model, clock_ms());
    }
    ask_model_away();
    atomic_store(&known.away_ms, clock_ms());
    if (log_gate(&gate))
        LOG(WARN, q->r->id,
            M("the model of a collection's vectors cannot be asked: searched by words only until they are of another one"),
            KN("collection", c->name), KN("model", c->space), KS("code", err_name(why)));
    *by_words = true;
    return ERR_OK;
}

/* A fault that passes is one like any; a model that is not there is not waited for. */
static enum err
by_name(const struct asking *q, bool *by_words)
{
    const struct collection *c = q->settings;
    int64_t dims = dims_to_ask(c);
    enum err e = ask(q, c->space, dims);

    if (e == ERR_OK && take(q))
        return ERR_OK;
    if (e == ERR_OK && dims == 0) {
        const struct embed_rep *rep = q->a->msg;

        if (str_eq(rep->model, c->space))
            heard(known.bare, &known.bare_dims, rep->model, rep->dims);
        e = ask(q, c->space, c->space_dims);
        if (e == ERR_OK && take(q))
            return ERR_OK;
    }
    if (e != ERR_OK && (err_retryable(e) || e == ERR_DEADLINE || e == ERR_BUDGET || e == ERR_UNPRICED))
        return e;
    return nobody_has(q, e, by_words);
}

static enum err
embed(const struct asking *q, bool *by_words)
{
    enum err e;

    *by_words = false;
    if (is_named(q->settings))
        return by_name(q, by_words);
    e = ask(q, STR_NONE, 0);
    if (e == ERR_OK)
        (void)take(q);
    return e;
}

enum err
embed_question(struct request *r, struct held *held, const struct collection *settings, struct str text,
               int64_t deadline_ms, struct search_req *req, struct outcome *a, bool *by_words)
{
    return embed(&(struct asking){ NULL, r, held, settings, text, deadline_ms, req, a }, by_words);
}

enum err
embed_asked(struct question *q, struct str text, int64_t deadline_ms, struct search_req *req,
            struct outcome *a, bool *by_words)
{
    return embed(&(struct asking){ q, q->r, &q->held, q->settings, text, deadline_ms, req, a }, by_words);
}

bool
embed_model_away(void)
{
    return lately(atomic_load(&known.away_ms));
}
