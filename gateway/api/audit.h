/* The audit trail: who made or revoked a key, erased a session or a user, changed or deleted a collection or a document, and what
 * was refused to an admin. A line in the log, always; a row that the tenant's admins can read, when the store can be reached. */
#ifndef GATEWAY_API_AUDIT_H
#define GATEWAY_API_AUDIT_H

#include "gateway/request/request.h"

/* After the answer to a request of a route flagged AUDITED or of an admin's route. */
void audit_note(struct request *r);

#endif
