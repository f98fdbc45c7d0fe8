/* Inflections that the stemmers do not know: irregular forms, and languages whose words bend more than their
 * stemmer's rules. Pure. */
#ifndef TEXT_INFLECT_H
#define TEXT_INFLECT_H

#include "text/fold.h"
#include "text/language.h"

/* The form of a folded word that goes to its stemmer: "fed" as "feed", "children" as "child". Into z, or the word itself. */
struct str inflect_before(enum language l, struct str folded, char z[FOLD_MAX]);
/* The rest of a stem: its beginning in languages that bend at the end, without what a stemmer overlooked. */
struct str inflect_after(enum language l, struct str stem);

#endif
