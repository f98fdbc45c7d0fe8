/* Text in any charset → UTF-8. */
#ifndef EXTRACT_CHARSET_H
#define EXTRACT_CHARSET_H

#include "common/mem.h"

/* Before the filter of system calls: iconv loads code and tables for each charset. Nothing, when the bytes are UTF-8:
 * neither they nor what is packed in them is in another charset then. */
void charset_prepare(struct str body);
/* The text in UTF-8: as it is, by its byte order mark, by what it says of itself near its beginning
 * (charset=, encoding=, coding:), or by what its bytes look like (uchardet). Refuses what is none of it. */
struct str charset_utf8(struct str body);
/* By the numbers that Windows has for code pages (1252, 932, …): likewise prepared before the filter; append s in UTF-8, without the
 * bytes that are none of it. A page that was not prepared is read as 1252. */
void codepage_prepare(int page);
void codepage_utf8(int page, struct str s, struct buf *out);

#endif
