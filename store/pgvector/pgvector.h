/* The tables of INDEX_ENGINE=pgvector, and of INDEX_FALLBACK=words, which has no vectors: made here; filled and asked by calls.c. */
#ifndef STORE_PGVECTOR_PGVECTOR_H
#define STORE_PGVECTOR_PGVECTOR_H

#include "store/store.h"

bool pgvector_wanted(const struct store *s); /* does the option say so */
void pgvector_script(const struct store *s,
                     struct buf *script);                  /* makes them, where that is possible and needed */
void pgvector_looked(struct store *s, const struct tx *t); /* that script has run */
/* NULL: they are there. Else why not (index_state_rep); it is looked again. */
const char *pgvector_missing(struct store *s);

#endif
