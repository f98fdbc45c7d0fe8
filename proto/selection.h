/* A text that a reader selected, among the passages of an answer. One that stands in a document is a passage
 * like any other. Any other one is the reader's own: as a hit its text is the selection, its offsets count
 * from there; as a citation it has no offsets. In both it carries this id as the id of document and chunk, so
 * that programs and tables that know nothing of selections keep it. */
#ifndef PROTO_SELECTION_H
#define PROTO_SELECTION_H

#include "common/text/text.h"

/* No document has it: made by hand, version 8 (RFC 9562). */
#define SELECTION_ID ((struct uuid){ { 0x5e, 0x1e, 0xc7, 0xed, 0, 0, 0x80, 0, 0x80, 0, 0, 0, 0, 0, 0, 0 } })

static inline bool
is_selection(const struct uuid *document_id)
{
    return uuid_eq(document_id, &SELECTION_ID);
}

#endif
