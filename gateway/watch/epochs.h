/* Changes of the collections (epochs.c). Thread-safe. */
#ifndef GATEWAY_WATCH_EPOCHS_H
#define GATEWAY_WATCH_EPOCHS_H

#include "gateway/request/request.h"

struct epochs;
struct epochs *epochs_start(struct gateway *gw);
void epochs_stop(struct epochs **f);
int64_t
epochs_heard_ms(struct gateway *gw); /* clock_ms() of when the last complete answer was asked for; 0: never */
double epochs_age_s(struct epochs *f);
int64_t epochs_seq(struct epochs *f);
/* Epochs from the change feed: false: no news for 1 s; do not use the cache. Absent collection: 0. */
bool epoch_of(struct gateway *gw, const char *tenant, struct str collection, int64_t *epoch);
/* A change that this gateway made: its epoch counts from now on, before the feed tells. */
void epochs_moved(struct gateway *gw, const char *tenant, struct str collection, int64_t seq);
/* The settings of a collection changed through this gateway. */
void epochs_settings_changed(struct gateway *gw, const char *tenant, struct str collection);
/* A collection's settings, copied into the arena; the store is asked when they are not known.
 * ERR_NOT_FOUND: it does not exist. */
enum err collection_of(struct request *r, struct str name, const struct collection **out);
enum err collection_within(struct request *r, struct str name, int64_t deadline_ms,
                           const struct collection **out); /* by then */
/* The same without asking; false: not known here, if there are any. */
bool collection_known(struct request *r, struct str name, const struct collection **out);

#endif
