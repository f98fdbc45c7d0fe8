/* Errors that cross process borders: one enum, derived from err.tbl. */
#ifndef PROTO_ERR_H
#define PROTO_ERR_H

#include <stdbool.h>

enum err {
#define ERR(id, code, http, retry, name, text) ERR_##id = (code),
#include "proto/err.tbl"
#undef ERR
};

int err_http(enum err e);       /* HTTP status; 500 for an unknown code */
bool err_retryable(enum err e); /* may the hub send it to another worker */
/* May a call of a model that failed so have been billed? It was sent, and nothing says that it was refused. */
bool err_maybe_paid(enum err e);
const char *err_name(enum err e); /* "store_unavailable" */
const char *err_text(enum err e); /* a sentence without a capital or a full stop */
bool err_known(int code);         /* is this code in the table */

#endif
