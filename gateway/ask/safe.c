/* The part of an answer that its reader may get (ask.h): the sanitizer between what the model wrote and the
 * stream, the reply, the history and the cache. The rules are the deployment's (ANSWER_LINK_HOSTS,
 * PUBLIC_URL) and the addresses of the passages at hand. */
#include "gateway/ask/safe.h"

#include "gateway/ask/ask.h"

static void
rules_of(struct question *q)
{
    answer_rules(q->r, &q->rules);
    for (size_t i = 0; q->found && i < q->found->hits.n; i++)
        link_rules_add(&q->rules, q->found->hits.v[i].url);
}

bool
ask_show(struct question *q, const struct ask_sink *sink, struct str piece)
{
    struct buf out = BUF_MAX(1048576);
    bool good;

    if (!q->shows) {
        rules_of(q);
        sanitizer_init(&q->safe, &q->rules);
        q->shows = true;
    }
    sanitizer_feed(&q->safe, piece, &out);
    good = out.n == 0 || sink->text(sink->arg, buf_slice(&out));
    buf_free(&out);
    return good;
}

bool
ask_show_rest(struct question *q, const struct ask_sink *sink)
{
    struct buf out = BUF_MAX(1048576);
    bool good;

    if (!q->shows)
        return true;
    q->shows = false;
    sanitizer_end(&q->safe, &out);
    good = out.n == 0 || !sink || sink->text(sink->arg, buf_slice(&out));
    buf_free(&out);
    return good;
}

static struct str
safe_text(struct arena *a, const struct link_rules *rules, struct str text, size_t n[REMOVED_KINDS])
{
    struct buf out = BUF_MAX(8u << 20);
    struct str clean = STR("");

    sanitize(rules, text, &out, n);
    if (!out.failed)
        clean = str_eq(buf_slice(&out), text) ? text : arena_str(a, buf_slice(&out));
    buf_free(&out);
    return clean.p ? clean : STR("");
}

struct str
ask_safe(struct question *q, struct str text)
{
    size_t n[REMOVED_KINDS] = { 0 };
    struct str clean;

    rules_of(q);
    clean = safe_text(q->r->arena, &q->rules, text, n);
    ask_removed(n);
    return clean;
}

void
safe_message(struct request *r, struct message *m)
{
    struct link_rules rules;

    if (!str_is(m->role, "assistant") || !m->content.p)
        return;
    answer_rules(r, &rules);
    for (size_t i = 0; i < m->citations.n; i++)
        link_rules_add(&rules, m->citations.v[i].url);
    m->content = safe_text(r->arena, &rules, m->content, NULL);
}
