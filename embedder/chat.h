/* Answers in the making: the event stream of a model server, its chunks, thoughts, and what the providers share. */
#ifndef EMBEDDER_CHAT_H
#define EMBEDDER_CHAT_H

#include "embedder/embedder.h"

/* ---- sse.c: server-sent events (WHATWG HTML, section 9.2), pushed in pieces of any size */
struct sse {
    struct buf line;         /* the line that is not complete yet */
    struct buf data;         /* data lines of the event so far */
    bool cr;                 /* the last byte was CR: a LF belongs to it */
    bool begun;              /* the first line was seen (a byte order mark is dropped before it) */
    bool has_data;           /* the event has a data line */
    bool stopped;            /* fn said stop, or something was too large */
    void (*fn)(void *arg, struct str data);   /* one event with data */
    void *arg;               /* for fn */
};
void sse_init(struct sse *s, size_t max_event, void (*fn)(void *arg, struct str data), void *arg);
void sse_push(struct sse *s, const char *p, size_t n);
/* The stream came to a clean end: an event that lacks its blank line counts, too. */
void sse_end(struct sse *s);
bool sse_overflow(const struct sse *s);                     /* a line or an event was over max_event */
void sse_fini(struct sse *s);

/* ---- chunk.c: one event of a chat completion stream, or a whole completion. Slices point into json or joined. */
enum chat_event { CHAT_EV_JUNK, CHAT_EV_SKIP, CHAT_EV_CHUNK, CHAT_EV_ERROR, CHAT_EV_DONE };
struct chat_chunk {
    struct str text;             /* new text; may be empty */
    bool message;                /* text stood in a message, not in a delta: all so far, or a piece of it */
    bool thought;                /* the model thinks: a sign of life */
    bool tool;                   /* the model calls a tool that it does not have */
    struct str finish;           /* finish_reason; absent while it goes on */
    struct str code;             /* of an error object, else its type */
    long status;                 /* of an error object that has a number of HTTP; 0: none */
    int64_t prompt_tokens;       /* -1: no usage in this chunk */
    int64_t completion_tokens;
    struct buf joined;           /* the text of several parts */
    void *json;                  /* owner; chat_chunk_free */
};
enum chat_event chat_chunk_parse(struct str data, struct chat_chunk *out);
void chat_chunk_free(struct chat_chunk *c);
/* A list of such objects: each of them. False: it is no list. */
bool chat_chunk_each(struct str data, void (*fn)(void *arg, struct str data), void *arg);
const char *chat_finish_name(struct str reason);            /* stop, length, content_filter or error, whatever servers call it */

/* ---- think.c: leaves out thoughts between tags */
struct think_place {
    bool border;                 /* the answer, a line or what follows a thought begins here: a tag counts */
    bool ticks;                  /* in a code span of this line */
    bool fence;                  /* in a block of code */
    unsigned run;                /* backticks that the line begins with */
};
struct think {
    struct buf hold;             /* what may be the beginning of a tag, or of a closing one */
    size_t in;                   /* 1 + tag of the thought that is open; 0: none */
    struct think_place at;       /* where the text stands that comes next */
    bool begun;                  /* something but blanks was given */
    bool thought;                /* a thought was there */
    bool full;                   /* emit took no more */
    bool (*emit)(void *arg, struct str text);   /* text of the answer; false: no more of it */
    void (*forget)(void *arg);   /* what was given was thought */
    void *arg;                   /* for both */
};
void think_init(struct think *k, bool (*emit)(void *arg, struct str text), void (*forget)(void *arg), void *arg);
bool think_push(struct think *k, struct str text);          /* false: no more is taken */
bool think_end(struct think *k);                            /* the text is over */
void think_fini(struct think *k);

/* ---- chat.c, openai/chat.c, builtin/chat.c */
#define BUILTIN_CHAT_MODEL "builtin-extractive-v1"
/* Where the marks of an answer stand: whoever writes it knows, and nobody has to guess. */
struct chat_marks {
    struct mark_place v[64];
    size_t n;
};
/* Append " [n]" to out and note it. False: no room for one more, nothing was written. */
bool chat_mark(struct buf *out, struct chat_marks *m, size_t n);
/* The best sentences of the hits, verbatim, each with its mark; or the refusal text with *refused. */
void builtin_answer(const struct chat_req *req, struct buf *out, struct chat_marks *marks, bool *refused);

/* One answer in the making: chat.c owns it, the provider fills it. */
struct chat_run {
    struct embedder *e;              /* context */
    struct call *call;               /* the request */
    struct buf answer;               /* text so far; at most what chat_rep holds */
    size_t shown;                    /* bytes of it that went out as parts */
    int64_t begun_us;                /* for the time to the first token */
    int64_t part_ms;                 /* when the last part went out */
    uint64_t timer;                  /* of the next sign of life */
    int64_t prompt_tokens;           /* as counted upstream */
    int64_t completion_tokens;
    int64_t upstream_us;             /* what of the time the model server took */
    int64_t prompt_bytes;            /* of the messages that it was sent */
    char finish[32];                 /* finish_reason */
    bool cancelled;                  /* the caller went away */
    bool degraded;                   /* the built-in answer for a failed upstream */
    bool refused, leaked;            /* the built-in answer found nothing; a model server's gave the prompt away */
    struct leak *leak;               /* watches a model server's answer; owned; NULL: none */
    bool marked;                     /* marks says where the marks stand */
    struct chat_marks marks;         /* of the built-in answer */
    size_t passages;                 /* how many hits it was written from */
    void *impl;                      /* the provider's own */
};
bool chat_emit(struct chat_run *r, struct str text);         /* append; false when the answer is full */
void chat_forget(struct chat_run *r);                        /* what was appended was no answer */
void chat_wait(struct chat_run *r);                          /* the provider waits: until the end, those who read along hear that it lives */
void chat_flush(struct chat_run *r);                         /* stream what was appended, unless nobody reads along */
void chat_finish(struct chat_run *r, const char *model);     /* reply and free r */
/* Fail and free r; before the first token and with CHAT_FALLBACK=builtin: answer from the passages instead. */
void chat_fail(struct chat_run *r, enum err err, int64_t retry_after_ms, const char *text);
void chat_openai_run(struct chat_run *r);
void chat_openai_cancel(struct chat_run *r);                 /* drops the transfer; r stays */
void chat_builtin_run(struct chat_run *r);

#endif
