/* Prices of tokens. A built-in table (price.tbl) under the deployment's own figures (MODEL_PRICES). Nothing
 * is guessed: a model without a row has no price, and its tokens are counted as unpriced. The price of a
 * cached embedding stands in its cache entry. It stands here because the embedder, which pays, and the
 * gateway, which saves, need the same prices. */
#ifndef PROTO_PRICE_H
#define PROTO_PRICE_H

#include "common/process/stat.h"
#include "common/str.h"

struct price {
    double input, output; /* dollars for a million tokens */
};

/* "model=input[/output], …": reports what is wrong, one a line. */
void price_check(const char *spec, struct buf *err);
/* Put the deployment's figures over the table. Once, at start, before threads exist; spec was checked. */
void price_init(const char *spec);
void price_fini(void);
bool price_find(struct str model, struct price *out); /* false: it has no price */
/* Of so many tokens, in billionths of a dollar. */
uint64_t price_cost(double per_million, int64_t tokens);

/* Three rows that count together, with the same labels: tokens, dollars (FINE), tokens whose price is not known. */
struct price_rows {
    struct stat_set *set;
    int tokens, dollars, unpriced;
};
/* Count tokens of a model in the cell (i, j) of the rows, and their price (output or input) or that they have none. */
void price_count(const struct price_rows *r, size_t i, size_t j, struct str model, bool output,
                 int64_t tokens);

#endif
