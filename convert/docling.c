/* docling-serve's form and reply (docling.h). */
#include "convert/docling.h"

#include <stdio.h>

#include "common/text/json.h"
#include "proto/format.h"

bool
docling_is(const char *url)
{
    const char *at = strstr(url, "/convert/file");

    return at && (at[13] == 0 || at[13] == '?' || (at[13] == '/' && at[14] == 0));
}

void
docling_name(const char *type, char *out, size_t room)
{
    enum format f = format_of_type(str_of(type));
    const char *ending = f == FORMAT_NONE ? "" : formats[f].endings;

    (void)snprintf(out, room, "document%.*s", (int)strcspn(ending, " "), ending);
}

enum docling_end
docling_html(struct str reply, struct buf *html)
{
    enum json_fault fault;
    const char *detail;
    json_t *o = json_read(reply, &fault, &detail);
    struct str status = o ? json_str(o, "status") : STR_NONE;
    struct str text = o ? json_str(json_object_get(o, "document"), "html_content") : STR_NONE;
    enum docling_end end = DOCLING_OTHER;

    if (str_is(status, "success") || str_is(status, "partial_success"))
        end = text.n == 0 ? DOCLING_EMPTY : DOCLING_DONE;
    else if (status.n > 0)
        end = DOCLING_FAILED;
    if (end == DOCLING_DONE)
        buf_str(html, text);
    json_decref(o);
    return end;
}
