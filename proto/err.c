/* The error table as functions. */
#include "proto/err.h"

#include <stddef.h>

#define FINAL false
#define RETRY true

struct err_row {
    int code;
    int http;
    bool retry;
    const char *name;
    const char *text;
};

static const struct err_row rows[] = {
#define ERR(id, code, http, retry, name, text) { code, http, retry, name, text },
#include "proto/err.tbl"
#undef ERR
};

static const struct err_row *
row_of(int code)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == code)
            return &rows[i];
    return NULL;
}

static const struct err_row *
row_or_internal(int code)
{
    const struct err_row *r = row_of(code);

    return r ? r : row_of(ERR_INTERNAL);
}

int
err_http(enum err e)
{
    return row_or_internal((int)e)->http;
}

bool
err_retryable(enum err e)
{
    return row_or_internal((int)e)->retry;
}

bool
err_maybe_paid(enum err e)
{
    static const enum err sent[] = { ERR_UPSTREAM_REPLY,   ERR_UPSTREAM_CUT, ERR_UPSTREAM_LOST,
                                     ERR_UPSTREAM_TIMEOUT, ERR_WORKER_LOST,  ERR_DEADLINE,
                                     ERR_POISON,           ERR_CANCELLED,    ERR_BAD_FRAME,
                                     ERR_INTERNAL };

    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++)
        if (sent[i] == e)
            return true;
    return false;
}

const char *
err_name(enum err e)
{
    return row_or_internal((int)e)->name;
}

const char *
err_text(enum err e)
{
    return row_or_internal((int)e)->text;
}

bool
err_known(int code)
{
    return row_of(code) != NULL;
}
