/* Accept headers of the internal port. Properties: OpenMetrics only for who names it; other headers change nothing; who
 * wants text more never gets it. */
#include <strings.h>

#include "common/process/accept.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char before[] = "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n";
    static const char after[] = "\r\nAccept: application/openmetrics-text;q=0.5,*/*\r\n";
    struct str in = { (const char *)data, n < 4096 ? n : 4096 };
    char *head = exact(in);
    struct str s = { head, in.n };
    struct buf b = { 0 };
    bool open = accept_openmetrics(s), named = false;

    for (size_t i = 0; i + 16 <= s.n; i++)
        named = named || strncasecmp(s.p + i, "openmetrics-text", 16) == 0;
    require(!open || named);
    buf_z(&b, before);
    buf_str(&b, s);
    require(accept_openmetrics(buf_slice(&b)) == open);
    if (!open) {
        buf_z(&b, after);
        require(!accept_openmetrics(buf_slice(&b)) || named);
    }
    buf_free(&b);
    mem_free(&head);
    return 0;
}
