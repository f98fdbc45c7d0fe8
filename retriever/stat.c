/* Statistics of the retriever: storage and label values; the rows are stat.tbl. */
#include "retriever/retriever.h"

static const char *const job_results[] = { "done", "failed", "again", "lost", NULL };
static const char *const conversion_results[] = { "ok", "refused", "failed", "away", NULL };

static const struct stat_def defs[] = {
#define STAT_TBL "retriever/stat.tbl"
#include "common/process/stat_rows.h"
#undef STAT_TBL
};

struct stat_set retriever_stats;

void
retriever_stats_init(void)
{
    stat_register(&retriever_stats, defs, sizeof defs / sizeof defs[0]);
}
