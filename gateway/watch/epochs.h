/* What changed in the collections (epochs.c). Thread-safe. */
#ifndef GATEWAY_EPOCHS_H
#define GATEWAY_EPOCHS_H

#include "gateway/request/request.h"

struct feed;
struct feed *feed_start(struct gateway *gw);
void feed_stop(struct feed **f);
double feed_age_s(struct feed *f);
int64_t feed_seq(struct feed *f);
/* Epochs from the change feed: false: no news for 1 s; do not use the cache. Absent collection: 0. */
bool epoch_of(struct gateway *gw, const char *tenant, struct str collection, int64_t *epoch);
/* A change that this gateway made: its epoch counts from now on, before the feed tells. */
void feed_moved(struct gateway *gw, const char *tenant, struct str collection, int64_t seq);
/* The settings of a collection changed through this gateway. */
void feed_settings_changed(struct gateway *gw, const char *tenant, struct str collection);
/* A collection's settings, copied into the arena; the store is asked when they are not known. ERR_NOT_FOUND: it does not exist. */
enum err collection_of(struct request *r, struct str name, const struct collection **out);
/* The same without asking; false: not known here, if there are any. */
bool collection_known(struct request *r, struct str name, const struct collection **out);

#endif
