/* GET /report: what the documents lack, for who keeps them: questions of the last days that were not
 * answered, or whose answer was rated badly, counted by collection. Questions with the same content words are
 * one, in whatever order and form: "How do I reset the pump?" and "resetting pumps?". */
#include <stdlib.h>

#include "gateway/admit/auth.h"
#include "common/digest.h"
#include "gateway/api/api.h"
#include "gateway/request/render.h"
#include "text/words.h"

#define DAYS 7
#define DAYS_MAX 366
#define LIMIT 50
#define LIMIT_MAX 1000
#define KEY_WORDS 48
#define WORDINGS 3 /* shown beside the example */

struct group {
    const struct report_row *row; /* its most frequent wording */
    uint8_t key[32];              /* of collection and words */
    int64_t unanswered, down, last_ms;
    struct uuid last_id;
    struct str comment, other[WORDINGS];
    size_t wordings;
    size_t place; /* among the rows: the most frequent first */
};

struct key_words {
    uint64_t h[KEY_WORDS];
    size_t n;
    bool any; /* words of every class */
};

static void
take_word(void *arg, const struct word *w)
{
    struct key_words *k = arg;

    if ((w->cls != WORD_CONTENT && !k->any) || k->n == KEY_WORDS)
        return;
    for (size_t i = 0; i < k->n; i++)
        if (k->h[i] == w->h)
            return;
    k->h[k->n++] = w->h;
}

static int
by_hash(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* The same for questions with the same words. A question without any of content is known by all its words, else by its bytes. */
static void
key_of(struct words *w, const struct report_row *row, uint8_t key[32])
{
    struct key_words k = { 0 };

    words_language(w, language_of(row->question, 0, LANG_ENGLISH));
    for (int any = 0; any < 2 && k.n == 0; any++) {
        k.any = any;
        words_each(w, row->question, take_word, &k);
    }
    qsort(k.h, k.n, sizeof *k.h, by_hash);
    const struct str parts[] = { row->collection.p ? row->collection : STR(""),
                                 STR("\n"),
                                 { (const char *)k.h, k.n * sizeof *k.h },
                                 k.n ? STR("") : row->question };

    sha256(parts, 4, key);
}

static int
by_key(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    int c = memcmp(x->key, y->key, sizeof x->key);

    return c ? c : (x->place > y->place) - (x->place < y->place);
}

static int
by_count(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    int64_t n = x->unanswered + x->down, m = y->unanswered + y->down;

    if (n != m)
        return n < m ? 1 : -1;
    return x->last_ms != y->last_ms ? (x->last_ms < y->last_ms ? 1 : -1)
                                    : (x->place > y->place) - (x->place < y->place);
}

static void
merge(struct group *to, const struct group *from)
{
    to->unanswered += from->unanswered;
    to->down += from->down;
    if (from->last_ms > to->last_ms) {
        to->last_ms = from->last_ms;
        to->last_id = from->last_id;
    }
    to->comment = to->comment.n ? to->comment : from->comment;
    if (to->wordings < WORDINGS)
        to->other[to->wordings] = from->row->question;
    to->wordings++;
}

/* The rows in groups, the largest first. NULL: no memory for so many. */
static struct group *
group_rows(struct request *r, const struct report_rep *rep, size_t *n)
{
    struct group *v = arena_alloc(r->arena, (rep->items.n + 1) * sizeof *v);
    struct words *w = words_new();

    *n = 0;
    for (size_t i = 0; v && i < rep->items.n; i++) {
        const struct report_row *row = &rep->items.v[i];

        v[i] = (struct group){ .row = row,
                               .unanswered = row->unanswered,
                               .down = row->rated_down,
                               .last_ms = row->last_ms,
                               .last_id = row->message_id,
                               .comment = row->comment,
                               .place = i };
        key_of(w, row, v[i].key);
    }
    words_free(&w);
    if (v && rep->items.n > 0)
        qsort(v, rep->items.n, sizeof *v, by_key);
    for (size_t i = 0; v && i < rep->items.n; i++)
        if (*n > 0 && memcmp(v[*n - 1].key, v[i].key, sizeof v[i].key) == 0)
            merge(&v[*n - 1], &v[i]);
        else
            v[(*n)++] = v[i];
    if (v && *n > 0)
        qsort(v, *n, sizeof *v, by_count);
    return v;
}

static void
group_item(struct buf *b, const void *item, void *arg)
{
    const struct group *g = item;

    (void)arg;
    buf_c(b, '{');
    buf_key_str(b, "collection", g->row->collection);
    buf_key_str(b, "question", g->row->question);
    buf_key_int(b, "unanswered", g->unanswered);
    buf_key_int(b, "rated_down", g->down);
    render_key_time(b, "last_at", g->last_ms);
    render_key_uuid(b, "message_id", &g->last_id);
    buf_key_str(b, "comment", g->comment);
    render_key_strs(b, "wordings", g->other, g->wordings < WORDINGS ? g->wordings : WORDINGS);
    buf_c(b, '}');
}

struct sum {
    struct str collection;
    int64_t questions, unanswered, down;
};

static void
sum_item(struct buf *b, const void *item, void *arg)
{
    const struct sum *s = item;

    (void)arg;
    buf_c(b, '{');
    buf_key_str(b, "collection", s->collection);
    buf_key_int(b, "questions", s->questions);
    buf_key_int(b, "unanswered", s->unanswered);
    buf_key_int(b, "rated_down", s->down);
    buf_c(b, '}');
}

/* The share of each collection, in the order of its largest group. */
static void
render_sums(struct request *r, struct buf *b, const struct group *v, size_t n)
{
    struct sum *s = arena_alloc(r->arena, (n + 1) * sizeof *s);
    size_t m = 0;

    for (size_t i = 0; s && i < n; i++) {
        size_t k = 0;

        while (k < m && !str_eq(s[k].collection, v[i].row->collection))
            k++;
        if (k == m)
            s[m++].collection = v[i].row->collection;
        s[k].questions++;
        s[k].unanswered += v[i].unanswered;
        s[k].down += v[i].down;
    }
    render_list(b, &(struct list){ .v = s, .n = m, .size = sizeof *s, .render = sum_item });
}

static void
reply_report(struct request *r, const struct report_rep *rep, int64_t days, int64_t limit)
{
    struct buf b = BUF_MAX(16777216);
    size_t n, shown;
    struct group *v = group_rows(r, rep, &n);

    if (!v) {
        reply_problem(r, ERR_INTERNAL, NULL);
        return;
    }
    shown = n < (size_t)limit ? n : (size_t)limit;
    buf_c(&b, '{');
    buf_key_int(&b, "days", days);
    buf_key(&b, "collections");
    render_sums(r, &b, v, n);
    buf_key(&b, "items");
    render_list(&b, &(struct list){ .v = v, .n = shown, .size = sizeof *v, .render = group_item });
    buf_key_int(&b, "limit", limit);
    buf_key_bool(&b, "has_more", n > shown || rep->more);
    buf_c(&b, '}');
    api_reply(r, 200, &b);
}

void
route_report(struct request *r)
{
    struct report_req req = { .days = DAYS };
    struct str collection = request_param(r, "collection");
    int64_t limit = LIMIT;
    struct held held = { 0 };
    struct outcome a;

    if (!api_number(r, "days", 1, DAYS_MAX, &req.days) || !api_number(r, "limit", 1, LIMIT_MAX, &limit))
        return;
    if (collection.p && !name_ok(collection)) {
        reply_invalid(r, "/collection", "must be the name of a collection");
        return;
    }
    if (!api_whole_tenant(r))
        return;
    req.collection = collection;
    if (api_get(r, &held, KIND_REPORT, &req, &a))
        reply_report(r, a.msg, req.days, limit);
    held_free(&held);
}
