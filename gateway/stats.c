/* The edge's statistics, derived from stat.tbl. */
#include "gateway/ask/ask.h"
#include "gateway/request/reply.h"

extern const char *const cut_labels[], *const cache_labels[], *const policy_labels[], *const turn_labels[], *const idem_labels[];

struct stat_set gateway_stats;

static const struct stat_def rows[] = {
#define STAT_TBL "gateway/stat.tbl"
#include "common/process/stat_rows.h"
#undef STAT_TBL
};

void
gateway_stats_register(void)
{
    stat_register(&gateway_stats, rows, GW_STATS);
    ask_stats_register();
}
