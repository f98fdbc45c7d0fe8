/* A job: what the gateway has taken and not yet made searchable (tally.h). */
#include "common/text/text.h"
#include "client/tally.h"

enum job
job_state(const json_t *job, struct str *why)
{
    struct str status = json_str(job, "status");

    if (str_is(status, "failed")) {
        *why = json_str(job, "error").n > 0 ? json_str(job, "error") : STR("the server gave no reason");
        return JOB_FAILED;
    }
    return str_is(status, "done") && json_flag(job, "searchable", true) ? JOB_DONE : JOB_RUNS;
}

enum job
job_look(const struct cli *c, const char *path, int64_t *chunks, struct buf *why, bool *hopeless)
{
    enum job is = JOB_FAILED;
    struct fetch f;

    if (fetch_patiently(&f, c, "GET", path, STR_NONE, NULL, why, hopeless)) {
        json_t *job = fetch_reply(&f);
        struct str error;

        is = job_state(job, &error);
        if (is == JOB_FAILED)
            buf_str(why, error);
        if (is == JOB_DONE && chunks)
            *chunks = json_int(job, "chunks", 0);
        json_decref(job);
    }
    fetch_fini(&f);
    return is;
}

/* In Location it stands at the end of a path or of a whole URL. */
bool
job_path(const struct fetch *k, const json_t *reply, char path[64])
{
    static const char folder[] = "/api/v1/jobs/";
    const char *at = strstr(fetch_header(k, "Location"), folder);
    struct str id = at ? str_of(at + strlen(folder)) : json_str(reply, "job_id");
    char text[37];
    struct uuid u;

    if (!uuid_parse(id, &u))
        return false;
    snprintf(path, 64, "%s%s", folder, uuid_text(&u, text));
    return true;
}
