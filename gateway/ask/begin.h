/* The begin of a question's turn, and what runs beside it (begin.c; docs/decisions/045). */
#ifndef GATEWAY_ASK_BEGIN_H
#define GATEWAY_ASK_BEGIN_H

#include "gateway/ask/ask.h"

void begin_start(struct question *q);
/* May the search go on before the turn is begun? Then sink, which may be NULL, hears of it as soon as it is. */
bool begin_aside(struct question *q, const struct ask_sink *sink);
/* Is it not known yet what becomes of the begin? */
bool begin_runs(const struct question *q);
/* The begin as far as it has come by wake_ms; INT64_MAX: to its end. ASKED_ANSWERED: the question is stored and q->begin.rep stands, or it still
 * runs. ASKED_FAILED: q->failure; the question has come to its end, whatever else there is, and this is said again. */
enum asked begin_known(struct question *q, int64_t wake_ms);
/* api_call for a call that costs nothing: it does not wait for the begin, and is given up when that fails. ERR_BUSY then, and begin_known
 * says why. */
enum err begin_beside(struct question *q, enum kind kind, const void *req, int64_t deadline_ms,
                      struct outcome *out);
void begin_let_go(struct question *q); /* its reply is not looked at any more */

#endif
