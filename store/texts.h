/* Compressed texts of documents, which older releases wrote. */
#ifndef STORE_TEXTS_H
#define STORE_TEXTS_H

#include "store/store.h"

/* Stores compressed texts of documents plain, in the background. */
struct texts *texts_new(struct store *s);
void texts_stop(struct texts *x); /* begin no further batch */
void texts_free(struct texts **x);

#endif
