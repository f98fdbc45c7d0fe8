/* JSON Lines, one line after the other (jsonl.h). A byte order mark at the beginning is passed over. */
#include "gateway/upload/jsonl.h"

static bool
is_blank(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ' ' && s.p[i] != '\t')
            return false;
    return true;
}

bool
jsonl_next(struct jsonl *j, struct str *line)
{
    if (j->line == 0 && str_starts(j->left, "\xEF\xBB\xBF"))
        j->left = (struct str){ j->left.p + 3, j->left.n - 3 };
    while (j->left.n > 0) {
        const char *nl = memchr(j->left.p, '\n', j->left.n);
        size_t n = nl ? (size_t)(nl - j->left.p) : j->left.n, step = nl ? n + 1 : n;

        *line = (struct str){ j->left.p, n };
        j->left = (struct str){ j->left.p + step, j->left.n - step };
        j->line++;
        if (line->n > 0 && line->p[line->n - 1] == '\r')
            line->n--;
        if (!is_blank(*line))
            return true;
    }
    return false;
}
