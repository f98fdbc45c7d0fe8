/* Bytes to a descriptor. */
#ifndef COMMON_WRITE_H
#define COMMON_WRITE_H

#include <stdbool.h>

#include "common/str.h"

/* All of them, however many calls it takes; blocks as the descriptor does. False: errno says why not. */
bool write_all(int fd, struct str s);

#endif
