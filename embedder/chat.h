/* Answers in the making: what a provider fills, and what it is called by. */
#ifndef EMBEDDER_CHAT_H
#define EMBEDDER_CHAT_H

#include "embedder/embedder.h"

/* The places of an answer's marks: its writer knows them, and nobody has to guess. */
struct chat_marks {
    struct mark_place v[64];
    size_t n;
};
/* Append " [n]" to out and note it. False: no room for one more, nothing was written. */
bool chat_mark(struct buf *out, struct chat_marks *m, size_t n);
/* A provider writes answers. run: fill r by chat_emit and chat_flush, and end it exactly once by chat_finish or chat_fail, now or
 * later, in the loop's thread; r is gone then. */
struct chat_run;
struct chat_provider {
    const char *model; /* its default model */
    long capacity;     /* answers at once, unless CHAT_CAPACITY says */
    bool local;        /* its answers come from no model server */
    void (*run)(struct chat_run *r);
    /* The caller went away: let go of r at once, r stays. False, or NULL: it cannot, and ends r as ever, at once or soon. */
    bool (*cancel)(struct chat_run *r);
    /* The most tokens that this question may cost; the model's name is filled in. NULL: it costs none. */
    void (*quote)(const struct embedder *e, const struct chat_req *req, struct quote_rep *out);
    void (*sample)(struct chat_provider *p); /* its gauges; NULL: none */
    void (*close)(struct chat_provider *p);
    void *impl; /* its own state */
};

/* One answer in the making: chat.c owns it, the provider fills it. */
struct chat_run {
    struct embedder *e;      /* context */
    struct chat_provider *p; /* who fills it now */
    struct delivery *call;   /* the request */
    struct buf answer;       /* text so far; at most what chat_rep holds */
    size_t shown;            /* bytes of it that went out as parts */
    int64_t begun_us;        /* for the time to the first token */
    int64_t part_ms;         /* when the last part went out */
    uint64_t timer;          /* of the next sign of life */
    int64_t prompt_tokens;   /* as counted upstream */
    int64_t completion_tokens;
    int64_t upstream_us;     /* the model server's part of the time */
    int64_t prompt_bytes;    /* of the messages that it was sent */
    char finish[32];         /* finish_reason */
    bool cancelled;          /* the caller went away */
    bool degraded;           /* the built-in answer for a failed upstream */
    bool unsure;             /* more may have been paid than the tokens say */
    bool refused, leaked;    /* the built-in answer found nothing; a model server's gave the prompt away */
    struct leak *leak;       /* watches a model server's answer; owned; NULL: none */
    bool marked;             /* marks says where the marks stand */
    struct chat_marks marks; /* of the built-in answer */
    size_t passages;         /* how many hits it was written from */
    struct frames_log *log;  /* of a resumable stream: its text in Redis; NULL: none */
    size_t logged;           /* bytes of the answer that went there */
    void *impl;              /* the provider's own */
};
bool chat_emit(struct chat_run *r, struct str text); /* append; false when the answer is full */
void chat_forget(struct chat_run *r);                /* the appended text was no answer */
/* The provider waits: until the end, those who read along hear that it lives. */
void chat_wait(struct chat_run *r);
void chat_flush(struct chat_run *r); /* stream what was appended, unless nobody reads along */
void chat_finish(struct chat_run *r, const char *model); /* reply and free r */
/* Fail and free r; before the first token, and with CHAT_FALLBACK: the other provider answers instead. */
void chat_fail(struct chat_run *r, enum err err, int64_t retry_after_ms, const char *text);

/* ---- chat.c */
struct chat_service *chat_new(struct embedder *e, struct chat_provider *p); /* consumes p */
/* Who answers when p failed before its first word; consumed. */
void chat_fall_back(struct chat_service *c, struct chat_provider *other);
void chat_free(struct chat_service **c);
void chat_sample(struct chat_service *c);
void chat_on_call(struct delivery *c);       /* handler of KIND_CHAT */
void chat_quote_on_call(struct delivery *c); /* handler of KIND_CHAT_QUOTE */
void chat_unlogged(void *run); /* its text is not kept any more: nobody waits for one whose gateway is gone */

#endif
