/* Replies of Postgres: a transaction's results as libpq holds them. */
#include <libpq-fe.h>

#include "common/text/number.h"
#include "store/pool/conn.h"

static void
clear_results(struct tx *t)
{
    for (int i = 0; i < TX_STATEMENTS; i++) {
        PQclear(t->result[i]);
        t->result[i] = NULL;
    }
}

void
tx_free(struct tx **t)
{
    if (!*t)
        return;
    clear_results(*t);
    for (int i = 0; i < (*t)->n_bufs; i++)
        buf_free(&(*t)->buf[i]);
    mem_free(t);
}

void
tx_forget(struct tx *t)
{
    clear_results(t);
    t->sqlstate[0] = '\0';
    t->conn = NULL;
}

size_t
tx_rows(const struct tx *t, int i)
{
    return t->result[i] ? (size_t)PQntuples(t->result[i]) : 0;
}

int64_t
tx_touched(const struct tx *t, int i)
{
    int64_t n;

    (void)number_first(str_of(t->result[i] ? PQcmdTuples(t->result[i]) : ""), NUMBER_MOST, &n);
    return n;
}

struct str
col_str(const struct tx *t, int i, size_t row, int col)
{
    PGresult *r = t->result[i];

    if (!r || row >= (size_t)PQntuples(r) || col >= PQnfields(r) || PQgetisnull(r, (int)row, col))
        return STR_NONE;
    return (struct str){ PQgetvalue(r, (int)row, col), (size_t)PQgetlength(r, (int)row, col) };
}
