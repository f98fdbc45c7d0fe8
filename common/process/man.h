/* Manual pages in man(7)'s macros, for groff and mandoc: what --print-options=man of every program is made with. */
#ifndef COMMON_PROCESS_MAN_H
#define COMMON_PROCESS_MAN_H

#include "common/process/proc.h"

/* .TH and NAME. section: 1 or 8. The date is SOURCE_DATE_EPOCH's where that is set, else today. */
void man_head(struct buf *out, const char *name, int section, const char *summary);
void man_section(struct buf *out, const char *title);
/* Running text: lines are filled, an empty line begins a paragraph. */
void man_text(struct buf *out, const char *z);
/* An entry of a list: term in bold, argument (or NULL) in italics; its text follows. */
void man_entry(struct buf *out, const char *term, const char *argument);
/* One line in the program's own font, such as a usage. */
void man_code(struct buf *out, const char *line);
/* Each option as an entry. */
void opt_print_man(const struct opt_set *s, struct buf *out);
/* The whole page of a service, footnote-NAME(8). flags: those that every program has, as pairs of name and text; NULL ends. */
void man_service(const struct service *svc, const char *const *flags, struct buf *out);

#endif
