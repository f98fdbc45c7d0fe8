/* Lists of waiting transactions, and who goes together. Two groups that meet the same sessions take their rows in the same
 * order, so that none waits for the other in a circle. */
#include "store/pool/lanes.h"

void
tx_list_add(struct tx_list *l, struct tx *t, bool front)
{
    t->in = l;
    t->next = front ? l->first : NULL;
    t->prev = front ? NULL : l->last;
    if (t->next)
        t->next->prev = t;
    else
        l->last = t;
    if (t->prev)
        t->prev->next = t;
    else
        l->first = t;
    l->n++;
}

void
tx_list_cut(struct tx *t)
{
    struct tx_list *l = t->in;

    if (t->next)
        t->next->prev = t->prev;
    else
        l->last = t->prev;
    if (t->prev)
        t->prev->next = t->next;
    else
        l->first = t->next;
    t->next = t->prev = NULL;
    t->in = NULL;
    l->n--;
}

bool
lanes_take(struct lanes *l, struct tx *t)
{
    if (!t->groups)
        return true;
    if (l->taken >= LANES) {
        tx_list_add(&l->held, t, false);
        return false;
    }
    t->lane = true;
    l->taken++;
    return true;
}

void
lanes_leave(struct lanes *l, struct tx *t)
{
    l->taken -= t->lane;
    t->lane = false;
}

struct tx *
lanes_next(struct lanes *l, bool force)
{
    struct tx *t = l->held.first;

    if (!t || (l->taken >= LANES && !force))
        return NULL;
    tx_list_cut(t);
    t->lane = true;
    l->taken++;
    return t;
}

struct tx *
lanes_group(struct lanes *l, struct tx *t)
{
    struct tx *first = t, **at;

    for (int n = 1; t->lane && n < GROUP_MAX && l->held.first; n++) {
        struct tx *x = l->held.first;

        tx_list_cut(x);
        for (at = &first; *at && memcmp((*at)->lock.b, x->lock.b, sizeof x->lock.b) <= 0; at = &(*at)->more)
            ;
        x->more = *at;
        *at = x;
    }
    return first;
}
