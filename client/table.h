/* The client's commands and options, as its two tables declare them. */
#ifndef CLIENT_TABLE_H
#define CLIENT_TABLE_H

#include "client/client.h"

#define CLI_BIT(id) (1ULL << CLI_##id)
#define CLI_EVERY \
    (CLI_BIT(URL) | CLI_BIT(KEY) | CLI_BIT(KEY_FILE) | CLI_BIT(HELP)) /* what every command takes */

struct option {
    const char *flag, *env, *arg, *def, *help; /* env, arg, def: NULL where there is none */
};
struct command {
    const char *name;
    int (*run)(struct cli *c);
    const char *args;        /* for people: "DIR|FILE..." */
    size_t least, most;      /* how many */
    unsigned long long opts; /* bits by enum cli_opt */
    const char *summary, *manual;
};
extern const struct option options[CLI_OPTS];
extern const struct command commands[];
extern const size_t command_count;

void man_client(struct buf *out); /* man.c: the manual page */

#endif
