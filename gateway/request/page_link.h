/* The link of a source: its document's url, with the anchor of the heading that the cited bytes stand under. */
#ifndef GATEWAY_PAGE_LINK_H
#define GATEWAY_PAGE_LINK_H

#include "common/mem.h"

/* Append the key "link". A url that ends in '#' gets the anchor that GitHub, Docusaurus and mdBook make of the section's last heading;
 * one that ends in "#-" that of MkDocs (Python-Markdown: ASCII, runs of blanks and hyphens are one hyphen). Without a section, and for
 * any other url, the link is the url. */
void page_link(struct buf *b, struct str url, struct str section);

#endif
