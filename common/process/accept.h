/* Which form of /metrics a request wants, by its Accept headers (RFC 9110, section 12.5.1). */
#ifndef COMMON_PROCESS_ACCEPT_H
#define COMMON_PROCESS_ACCEPT_H

#include <stdbool.h>

#include "common/str.h"

/* Whether application/openmetrics-text of version 1.0.0 (or of any) is named there, and not less wanted than text/plain.
 * head: request line and headers, each with its end. */
bool accept_openmetrics(struct str head);

#endif
