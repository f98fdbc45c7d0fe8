/* BERT's rules for characters, as its authors' tokenizer and the Rust one have them: control characters fall;
 * with lower case letters decompose, their accents fall and they become small; punctuation and letters of Han
 * are words of their own. */
#include <utf8proc.h>

#include "embedder/minilm/bert.h"

bool
bert_is_space(int32_t c)
{
    if (c < 128)
        return c == ' ' || (c >= '\t' && c <= '\r');
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static bool
is_han(int32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) ||
           (c >= 0x2b920 && c <= 0x2ceaf) || (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static bool
is_punctuation(int32_t c)
{
    if (c < 128)
        return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO: return true;
    default: return false;
    }
}

bool
bert_is_alone(int32_t c)
{
    return is_punctuation(c) || (c >= 0x3400 && is_han(c));
}

static bool
falls(int32_t c)
{
    utf8proc_category_t k;

    if (c == '\t' || c == '\n' || c == '\r')
        return false;
    if (c < 128)
        return c < 32 || c == 127;
    k = utf8proc_category(c);
    return c == 0xfffd || k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF ||
           k == UTF8PROC_CATEGORY_CO || k == UTF8PROC_CATEGORY_CS;
}

size_t
bert_fold(int32_t c, bool lower, int32_t out[8])
{
    size_t n = 0;

    if (falls(c))
        return 0;
    if (!lower || c < 128) {
        out[0] = lower && c >= 'A' && c <= 'Z' ? c + 32 : c;
        return 1;
    }
    utf8proc_int32_t parts[8];
    int last = 0;
    utf8proc_ssize_t m = utf8proc_decompose_char(c, parts, 8, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &last);

    for (utf8proc_ssize_t i = 0; i < m && i < 8; i++)
        if (utf8proc_category(parts[i]) != UTF8PROC_CATEGORY_MN)
            out[n++] = utf8proc_tolower(parts[i]);
    return n;
}
