/* Statistics of the embedder: storage and label values; the rows are stat.tbl. */
#include "embedder/embedder.h"

static const char *const embed_sources[] = { "cache", "model", "shared", NULL };
static const char *const embed_results[] = { "ok", "failed", NULL };
static const char *const upstream_routes[] = { "embed", "chat", "rerank", NULL };
static const char *const upstream_outcomes[] = { "ok",    "error",   "bad_reply", "refused", "limited",
                                                 "quota", "timeout", "cancelled", "blocked", NULL };
static const char *const token_kinds[] = { "embedding", "prompt", "completion", NULL };
static const char *const saving_caches[] = { "embedding", NULL };
static const char *const saved_kinds[] = { "embedding", NULL };
static const char *const chat_sources[] = { "upstream", "builtin", "degraded", NULL };

static const struct stat_def defs[] = {
#define STAT_TBL "embedder/stat.tbl"
#include "common/process/stat_rows.h"
#undef STAT_TBL
};

struct stat_set embedder_stats;
const struct price_rows upstream_spent = { &embedder_stats, UPSTREAM_TOKENS, UPSTREAM_DOLLARS,
                                           UPSTREAM_UNPRICED };
const struct price_rows cache_saved = { &embedder_stats, SAVED_TOKENS, SAVED_DOLLARS, SAVED_UNPRICED };

void
embedder_stats_init(void)
{
    stat_register(&embedder_stats, defs, sizeof defs / sizeof defs[0]);
}
