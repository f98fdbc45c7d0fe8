/* The statuses that this gateway answers with: their reason phrases and their closed list of metric labels. */
#include "gateway/edge/status.h"

#define STATUSES(X) \
    X(200, "OK") X(201, "Created") X(202, "Accepted") X(204, "No Content") X(304, "Not Modified") \
    X(400, "Bad Request") X(401, "Unauthorized") X(403, "Forbidden") X(404, "Not Found") \
    X(405, "Method Not Allowed") X(408, "Request Timeout") X(409, "Conflict") X(413, "Content Too Large") \
    X(415, "Unsupported Media Type") X(422, "Unprocessable Content") X(429, "Too Many Requests") \
    X(431, "Request Header Fields Too Large") X(499, "Client Closed Request") X(500, "Internal Server Error") \
    X(501, "Not Implemented") X(502, "Bad Gateway") X(503, "Service Unavailable") X(504, "Gateway Timeout") \
    X(507, "Insufficient Storage")

#define LABEL(n, text) #n,
const char *const status_labels[] = { STATUSES(LABEL) "other", NULL };

static const struct {
    int status;
    const char *text;
} rows[] = {
#define ROW(n, text) { n, text },
    STATUSES(ROW)
};
#define ROWS (sizeof rows / sizeof rows[0])

size_t
status_label(int status)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].status == status)
            return i;
    return ROWS;
}

const char *
status_text(int status)
{
    size_t i = status_label(status);

    return i < ROWS ? rows[i].text : "Error";
}
