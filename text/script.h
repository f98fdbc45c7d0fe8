/* Scripts: which one a letter belongs to. Pure. */
#ifndef TEXT_SCRIPT_H
#define TEXT_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

enum script {
    SCRIPT_NONE, /* signs, digits, and letters of scripts that no language here is written in */
    SCRIPT_LATIN,
    SCRIPT_GREEK,
    SCRIPT_CYRILLIC,
    SCRIPT_ARMENIAN,
    SCRIPT_HEBREW,
    SCRIPT_ARABIC,
    SCRIPT_DEVANAGARI,
    SCRIPT_BENGALI,
    SCRIPT_TAMIL,
    SCRIPT_GEORGIAN,
    SCRIPT_HANGUL,
    SCRIPT_THAI,
    SCRIPT_LAO,
    SCRIPT_KHMER,
    SCRIPT_BURMESE,
    SCRIPT_HAN,
    SCRIPT_KANA /* from Thai on: no spaces between words */
};

enum script script_of(int32_t cp);   /* of a code point */
bool script_is_dense(enum script s); /* its words stand without spaces */

#endif
