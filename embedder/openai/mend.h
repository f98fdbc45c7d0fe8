/* JSON of model servers that is nearly JSON, and letters that a server has cut in two. Pure. */
#ifndef EMBEDDER_OPENAI_MEND_H
#define EMBEDDER_OPENAI_MEND_H

#include "common/text/json.h"

/* Parse an object or a list as model servers send them. Besides what json_read takes: a byte order mark, bytes that are no UTF-8,
 * halves of surrogate pairs, NUL and control characters in strings, unknown escapes, NaN and infinity (null), whole numbers of any
 * length, members that are there twice (the last one counts). Letters that are not whole stand in the strings as marks, which
 * mend_join takes out. NULL: it is no JSON. The caller json_decref()s it. */
json_t *server_json(struct str s);

/* Letters of which one piece of text has the beginning and the next one the rest. */
struct mend {
    char held[20]; /* marks at the end of the last piece, which may begin a letter */
    size_t n;
};
/* Append a piece to out: marks of one letter become the letter, all others U+FFFD. Marks that may begin a letter are held back. */
void mend_join(struct mend *m, struct str piece, struct buf *out);
/* The text is over: what is held back is no letter. */
void mend_end(struct mend *m, struct buf *out);

#endif
