/* The store's statistics, from stat.tbl. */
#include "store/stats.h"

#include "store/pool/conn.h"

struct stat_set store_stats;

const char *const tx_kinds[] = {
#define KIND(id, name, ...) name,
#include "proto/kind.tbl"
#undef KIND
    "internal", NULL
};

static const char *const statement_names[] = {
#define SQL(id, params, scope, text) #id,
#include "store_sql.tbl"
#undef SQL
    "COMMIT", NULL
};

static const struct stat_def defs[] = {
#undef STAT_TBL
#define STAT_TBL "store/stat.tbl"
#include "common/process/stat_rows.h"
};

void
stats_init(void)
{
    stat_register(&store_stats, defs, sizeof defs / sizeof defs[0]);
}
