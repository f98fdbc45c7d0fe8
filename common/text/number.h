/* Whole numbers in decimal digits, as headers, options, addresses and columns carry them. */
#ifndef COMMON_TEXT_NUMBER_H
#define COMMON_TEXT_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/str.h"

#define NUMBER_DIGITS \
    18 /* most of one: what has more is refused, leading zeros included, and nothing overflows */
#define NUMBER_MOST INT64_C(999999999999999999) /* what so many digits can say */

/* The whole of s is a number of min to max: digits only, 1 to NUMBER_DIGITS of them; no sign, no blank,
 * nothing behind them. False, and *out as it was: it is not. */
bool number_parse(struct str s, int64_t min, int64_t max, int64_t *out);
/* The number that s begins with: how many digits, 0 where there is none. max: at most NUMBER_MOST; what
 * is larger counts as max + 1. */
size_t number_first(struct str s, int64_t max, int64_t *out);

#endif
