/* One thread's event loop: descriptors (epoll), timers, work posted from other threads.
 * Nothing called by it may block. All calls but loop_post and loop_stop belong to the loop's own thread. */
#ifndef COMMON_PROCESS_LOOP_H
#define COMMON_PROCESS_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
typedef void (*loop_fd_fn)(void *arg, int fd,
                           uint32_t events); /* events: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP */
typedef void (*loop_fn)(void *arg);
typedef bool (*loop_hook_fn)(void *arg);

struct loop *loop_new(void);
void loop_free(struct loop **l);
/* Watch fd (level-triggered), or change what is watched; events 0 forgets it. One handler a descriptor. */
void loop_fd(struct loop *l, int fd, uint32_t events, loop_fd_fn fn, void *arg);
/* Call fn once after delay_ms. Returns a handle (> 0) that loop_cancel takes; a handle that fired is harmless. */
uint64_t loop_after(struct loop *l, int64_t delay_ms, loop_fn fn, void *arg);
void loop_cancel(struct loop *l, uint64_t *handle); /* sets *handle to 0 */
/* Called before every sleep (for libraries with edge-triggered descriptors); true: it did work, ask again. */
void loop_hook(struct loop *l, loop_hook_fn fn, void *arg);
void loop_unhook(struct loop *l, loop_hook_fn fn, void *arg);
/* Thread-safe: run fn(arg) soon in the loop's thread. */
void loop_post(struct loop *l, loop_fn fn, void *arg);
void loop_run(struct loop *l);          /* until loop_stop */
void loop_stop(struct loop *l);         /* thread-safe */
int64_t loop_now(const struct loop *l); /* clock_ms() as of this turn */

#endif
