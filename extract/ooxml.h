/* Parts that Word, PowerPoint and Excel files have in common (ECMA-376, Office Open XML): parts, and relationships between them. */
#ifndef EXTRACT_OOXML_H
#define EXTRACT_OOXML_H

#include "extract/names.h"
#include "extract/out.h"
#include "extract/xml.h"
#include "extract/zip.h"

struct relation {
    char *target; /* a member's path, or the URL of what is outside */
    char *type;   /* last part of its type, such as "slide" */
    bool outside;
};
struct relations {
    struct relation *v;
    size_t n, cap;
    struct names ids; /* → v */
};
/* A member that is XML, in pieces; false: there is none. */
bool zip_xml(struct zip *z, const char *name, const struct xml_events *on, void *arg, const char *what);
/* Of a part; none: it has none. */
struct relations ooxml_relations(struct zip *z, const char *part);
const struct relation *relation_of(const struct relations *r, const char *id);
/* First of a type; NULL: there is none. */
const struct relation *relation_like(const struct relations *r, const char *type);
/* The title that the file's properties name, unless it has one by now. */
void ooxml_title(struct zip *z, struct out *o);
/* Of the member that has them. */
void zip_title(struct zip *z, const char *name, struct out *o);
/* The main part of a document, "word/document.xml"; refuses what has none. */
char *ooxml_main(struct zip *z, const char *usual);

#endif
