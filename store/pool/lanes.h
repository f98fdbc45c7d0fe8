/* Lists of waiting transactions, and the lanes: group commit for the small writes that come in great number.
 *
 * A lane is one transaction of a kind that groups, on its way. While all lanes are taken, others of the kind are held; the
 * next lane takes up to GROUP_MAX of them along in one pipeline, one commit and one answer from the server. Alone, none waits
 * for company. Each is answered by itself, after the commit; when a group fails, each of it runs again by itself, so that one
 * that is refused fails alone. A group that waits 50 ms for a lock falls apart, too. Alone each turn had its own commit, and the
 * store made about half the turns of a bare program; with lanes it makes 0.8 to 0.9 of them. */
#ifndef STORE_POOL_LANES_H
#define STORE_POOL_LANES_H

#include "store/pool/pool.h"

#define LANES 2    /* one executes while the other commits */
#define HELD_MS 20 /* none is held longer: a lane may wait for a lock */

struct tx_list {
    struct tx *first, *last;
    long n;
};
void tx_list_add(struct tx_list *l, struct tx *t, bool front);
void tx_list_cut(struct tx *t); /* out of the list that it is in */

struct lanes {
    struct tx_list held;
    int taken;
};
/* Takes a lane; false: all are taken, and t is held. Always true for what does not group. */
bool lanes_take(struct lanes *l, struct tx *t);
void lanes_leave(struct lanes *l, struct tx *t); /* of any transaction, any number of times */
/* The first that is held, with a lane of its own, or NULL: none is, or (not forced) all lanes are taken. */
struct tx *lanes_next(struct lanes *l, bool force);
/* Takes those that are held along with t, which has a lane and begins: first of the group in the order of their locks. */
struct tx *lanes_group(struct lanes *l, struct tx *t);

#endif
