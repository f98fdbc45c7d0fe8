/* How footnote-convert ends, for the retriever that started it. With CONVERT_DONE its standard output is HTML, with the others but
 * CONVERT_USAGE the reason, in words for the document's owner. */
#ifndef PROTO_CONVERTED_H
#define PROTO_CONVERTED_H

enum convert_end {
    CONVERT_DONE = 0,
    CONVERT_USAGE = 2,
    CONVERT_REFUSED = 3, /* the server cannot read this document, now or later */
    CONVERT_FAILED = 4,  /* it failed at this document: maybe of itself, maybe of the document */
    CONVERT_AWAY = 5     /* it takes no documents now */
};
enum { CONVERTED_BYTES = 67108864, CONVERTED_REASON = 200 };

#endif
