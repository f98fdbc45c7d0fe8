/* The gateway's statistics, derived from stat.tbl, and the values of their labels. */
#include "gateway/edge/stat.h"

#include "gateway/edge/status.h"

static const char *const cut_labels[] = { "slow_header", "slow_body",   "idle",   "address", "descriptors",
                                          "saturated",   "slow_reader", "scarce", NULL };
const char *const cache_labels[] = { "hit",    "miss",   "stale",        "collision", "bad",
                                     "bypass", "stored", "store_failed", NULL };
static const char *const near_labels[] = { "hit",     "miss",   "late",    "stored", "refused", "replaced",
                                           "evicted", "erased", "expired", "stale",  "deaf",    NULL };
static const char *const advance_labels[] = { "taken", "spent", "returned", "lost", NULL };
static const char *const policy_labels[] = { "session", "key",  "hour",        "day",
                                             "address", "auth", "concurrency", NULL };
static const char *const budget_labels[] = { "key", "tenant", "unpriced", NULL };
static const char *const budget_owner_labels[] = { "key", "tenant", NULL };
static const char *const turn_labels[] = { "queued", "full", "failed", NULL };
static const char *const idem_labels[] = { "unclaimed",   "lost",     "stored", "freed", "replayed",
                                           "in_progress", "mismatch", "failed", NULL };
const char *const route_labels[] = {
#define ROUTE(id, method, path, who, body, flags, handler, summary) #method " " path,
#include "gateway/route.tbl"
#undef ROUTE
    "none", NULL
};

struct stat_set gateway_stats;

static const struct stat_def rows[] = {
#define STAT_TBL "gateway/edge/stat.tbl"
#include "common/process/stat_rows.h"
#undef STAT_TBL
};

void
gateway_stats_register(void)
{
    stat_register(&gateway_stats, rows, GW_STATS);
}
