/* XML that a stranger packed: streamed through expat, without DTDs, so that there are no entities to expand or to fetch. */
#ifndef EXTRACT_XML_H
#define EXTRACT_XML_H

#include "common/mem.h"

struct xml_events {
    /* name: without its namespace's prefix. atts: name, value, …, NULL; use xml_att. */
    void (*open)(void *arg, const char *name, const char **atts);
    void (*close)(void *arg, const char *name);
    void (*text)(void *arg, struct str s); /* UTF-8; in pieces */
};
struct xml;
/* what: for a refusal, "the document's styles". dtd: allowed, since a program of ours wrote it. */
struct xml *xml_new(const struct xml_events *on, void *arg, const char *what, bool dtd);
void xml_feed(struct xml *x, struct str s);
void xml_end(struct xml **x); /* it must be complete */
/* All at once. s: UTF-8, whatever charset it names. */
void xml_parse(struct str s, const struct xml_events *on, void *arg, const char *what);
/* An attribute by its name without prefix; "": it has none. */
const char *xml_att(const char **atts, const char *name);
/* By its whole name with prefix, such as "r:id". */
const char *xml_att_full(const char **atts, const char *name);

#endif
