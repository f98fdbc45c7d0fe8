/* Rights of the console's callers. */
#ifndef GATEWAY_CONSOLE_CONSOLE_H
#define GATEWAY_CONSOLE_CONSOLE_H

#include "gateway/request/request.h"

/* May this admin see what concerns all tenants? Answers nothing. */
bool console_sees_all(const struct request *r);

#endif
