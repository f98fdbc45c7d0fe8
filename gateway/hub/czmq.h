/* czmq as the hub uses it: actors, pollers and monitors beside the sockets of the bus, in one context. Its
 * traps are fenced here. */
#ifndef GATEWAY_HUB_CZMQ_H
#define GATEWAY_HUB_CZMQ_H

#include <czmq.h>
/* czmq brings syslog's names, which are our levels' (common/log.h). */
#undef LOG_DEBUG
#undef LOG_INFO

/* Makes czmq's context the bus's one. Before the first socket; once more after bus_context_end is fine. */
void czmq_begin(void);

#endif
