/* Sleep of a thread that does something now and then: until the next time, or until it is told to end. */
#ifndef GATEWAY_NAP_H
#define GATEWAY_NAP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct nap {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool over;                    /* under lock: the thread should end */
};

void nap_init(struct nap *n);
void nap_fini(struct nap *n);     /* after its thread has ended */
/* Sleep ms milliseconds. false, at once: nap_end was called. */
bool nap_for(struct nap *n, int64_t ms);
void nap_end(struct nap *n);      /* from another thread */

#endif
