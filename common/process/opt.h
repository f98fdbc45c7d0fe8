/* Options from tables: flag (--database-url), environment (DATABASE_URL), NAME_FILE (first line of that file), default;
 * in this order of precedence. An empty variable or file counts as not set; an unset str or secret is "", never NULL.
 * Only str and secret rows have a NAME_FILE. --help, --check-config, .env.example and docs/configuration.md derive from
 * the table.
 *
 *   // store/opt.tbl: OPT(type, field, "NAME|ALIAS", "default", min, max, "help")
 *   OPT(int, pool_size, "DATABASE_POOL_SIZE", "10", 1, 1000, "Connections that are kept open.")
 */
#ifndef COMMON_PROCESS_OPT_H
#define COMMON_PROCESS_OPT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/mem.h"

enum opt_type { OPT_str, OPT_secret, OPT_int, OPT_bool, OPT_num };

#define OPT_C_str const char *
#define OPT_C_secret const char *
#define OPT_C_int long
#define OPT_C_bool bool
#define OPT_C_num double

#define OPT_FIELD(type, field, name, def, min, max, help) OPT_C_##type field;
#define OPT_ROW(type, field, name, def, min, max, help) \
    { OPT_##type, name, offsetof(OPT_STRUCT, field), def, min, max, help },

struct opt_def {
    enum opt_type type;
    const char *name; /* environment name; aliases after '|', tried in order; "--once" is a flag only */
    size_t offset;    /* of the field in the service's option struct */
    const char *def;  /* default as text; "" means unset */
    double min, max;  /* bounds of numbers; length bounds of strings (0, 0: any) */
    const char *help; /* one sentence, with the unit */
};

enum opt_source { OPT_FROM_DEFAULT, OPT_FROM_FILE, OPT_FROM_ENV, OPT_FROM_FLAG };

struct opt_set {
    const struct opt_def *defs;
    size_t n;
    void *values;          /* the service's option struct */
    enum opt_source *from; /* where each value came from */
    char **text;           /* owned text of each value */
};

/* Fill values from defaults, environment and argv. Unknown flags, bad numbers, values out of bounds and unreadable
 * files are reported one a line in *err (what is wrong, what would be right); returns 0, or -1 when err is not empty.
 * Bool: on/off, true/false, yes/no, 1/0. Flags: --name value, --name=value; a bool flag alone means on. */
int opt_load(struct opt_set *s, const struct opt_def *defs, size_t n, void *values, int argc, char **argv,
             struct buf *err);
void opt_free(struct opt_set *s);
void opt_help(const struct opt_set *s, struct buf *out); /* table for --help */
void opt_print(const struct opt_set *s,
               struct buf *out); /* --check-config: NAME=value  # from; secrets masked */
void opt_print_env(const struct opt_set *s, const char *service, struct buf *out); /* rows for .env.example */
void opt_print_md(const struct opt_set *s, const char *service,
                  struct buf *out); /* rows for docs/configuration.md */
/* The bounds of a row behind `before`: "1 to 1000", of a text with "bytes". False, and nothing written, when it has none. */
bool opt_put_bounds(struct buf *out, const struct opt_def *d, const char *before);
/* Look up by environment name (first name of the row); NULL / -1 when there is no such row. */
const char *opt_find_str(const struct opt_set *s, const char *name);
long opt_find_int(const struct opt_set *s, const char *name); /* of a bool: 0 or 1 */
double opt_find_num(const struct opt_set *s, const char *name, double fallback);

#endif
