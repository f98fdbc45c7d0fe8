/* Statuses of answers (status.c): reason phrases, and their closed list of metric labels. */
#ifndef GATEWAY_EDGE_STATUS_H
#define GATEWAY_EDGE_STATUS_H

#include <stddef.h>

const char *status_text(int status);
size_t status_label(int status); /* index into status_labels */
extern const char *const status_labels[];

#endif
