/* The link of a source: its document's url, with the anchor of the heading that the cited bytes stand under. */
#ifndef GATEWAY_REQUEST_PAGE_LINK_H
#define GATEWAY_REQUEST_PAGE_LINK_H

#include "common/mem.h"

/* Append the key "link"; null when the url is neither a web address nor a path. A url that still asks for an anchor (text/anchor.h) gets the usual one of the
 * section's last heading: where the usual one does not do, the retriever has put the right one there. Without
 * a section, and for any other url, the link is the url.
 * number: the page, from 1, which such a url of a document with pages gets instead (page=N); 0: it has none. */
void page_link(struct buf *b, struct str url, struct str section, int64_t number);

/* The same for who reads it elsewhere than on a page of this site: a whole address, below site (PUBLIC_URL, with or without a
 * slash at its end; "": unknown) when the url is a path. False, and nothing is appended: readers cannot open it. */
bool page_open(struct buf *out, const char *site, struct str url, struct str section, int64_t number);
bool page_opens(const char *site, struct str url); /* would it? */

#endif
