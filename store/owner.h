/* Two roles: the owner of the schema, which migrates, and the plain one that serves. */
#ifndef STORE_OWNER_H
#define STORE_OWNER_H

#include "store/store.h"

/* A pool of one connection for the owner (DATABASE_OWNER_URL). NULL: DATABASE_URL's role does both. */
struct pool *owner_pool(struct store *s);
/* Is the owner another role than the one that serves? */
bool owner_is_another(const struct store *s);
/* The script that lets DATABASE_URL's role serve: makes it when it is missing, and gives it the rows of every table that is
 * there or will be, but none of the schema. */
void owner_grants(const struct store *s, struct buf *script);

#endif
