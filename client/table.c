/* The client's commands and options (cmd.tbl, opt.tbl). */
#include "client/table.h"

#define BIT(id) CLI_BIT(id)

const struct option options[CLI_OPTS] = {
#define CLI_OPT(id, flag, env, arg, def, help) { flag, env, arg, def, help },
#include "client/opt.tbl"
#undef CLI_OPT
};

const struct command commands[] = {
#define CLI_CMD(name, fn, args, least, most, opts, summary, manual) \
    { name, fn, args, least, most, opts, summary, manual },
#include "client/cmd.tbl"
#undef CLI_CMD
};
const size_t command_count = sizeof commands / sizeof *commands;
