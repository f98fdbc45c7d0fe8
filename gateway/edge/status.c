/* The statuses that this gateway answers with: their reason phrases and their closed list of metric labels. */
#include "gateway/edge/status.h"

const char *const status_labels[] = {
#define STATUS(number, text) #number,
#include "gateway/edge/status.tbl"
#undef STATUS
    "other", NULL
};

static const struct {
    int status;
    const char *text;
} rows[] = {
#define STATUS(number, text) { number, text },
#include "gateway/edge/status.tbl"
#undef STATUS
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
