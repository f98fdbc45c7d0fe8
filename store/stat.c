/* The store's statistics, from stat.tbl, and the labels of their series. Below the pool, which counts in them. */
#include "store/stat.h"

struct stat_set store_stats;

static const char *const tx_kinds[] = { /* kinds, then "internal" */
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

static const char *const sql_classes[] = {
#define CLASS(id, label) label,
#include "store/pool/class.tbl"
#undef CLASS
    NULL
};

static const char *const conn_reasons[] = {
#define CLOSE(id, label) label,
#include "store/pool/close.tbl"
#undef CLOSE
    NULL
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
