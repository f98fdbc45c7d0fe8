/* The stream of a model server, event by event (text/sse.h): chunks of an answer, thoughts. Pure: bytes in, text out. */
#ifndef EMBEDDER_OPENAI_STREAM_H
#define EMBEDDER_OPENAI_STREAM_H

#include "embedder/openai/upstream.h"

/* ---- chunk.c: one event of a chat completion stream, or a whole completion. Slices point into json or joined. */
enum chat_event { CHAT_EV_JUNK, CHAT_EV_SKIP, CHAT_EV_CHUNK, CHAT_EV_ERROR, CHAT_EV_DONE };
struct chat_chunk {
    struct str text;       /* new text; may be empty */
    int64_t index;         /* of the choice */
    bool several;          /* other choices stand beside it: only the index 0 is the answer */
    bool message;          /* text stood in a message, not in a delta: all so far, or a piece of it */
    bool thought;          /* the model thinks: a sign of life */
    bool tool;             /* the model calls a tool that it does not have */
    struct str finish;     /* finish_reason; absent while it goes on */
    int64_t prompt_tokens; /* -1: no usage in this chunk */
    int64_t completion_tokens;
    struct upstream_told told; /* of an error */
    struct buf joined;         /* the text of several parts */
    void *json;                /* owner; chat_chunk_free */
};
enum chat_event chat_chunk_parse(struct str data, struct chat_chunk *out);
void chat_chunk_free(struct chat_chunk *c);
/* A list of such objects: each of them. False: it is no list. */
bool chat_chunk_each(struct str data, void (*fn)(void *arg, struct str data), void *arg);
const char *
chat_finish_name(struct str reason); /* stop, length, content_filter or error, whatever servers call it */

/* ---- think.c: leaves out thoughts between tags */
struct think_place {
    bool begun;   /* something but blanks stands before it */
    bool border;  /* the answer, a line or what follows a thought begins here: a tag counts */
    bool ticks;   /* in a code span of this line */
    bool fence;   /* in a block of code */
    unsigned run; /* backticks that the line begins with */
};
struct think {
    struct buf hold;                          /* text that may begin a tag, or a closing one */
    size_t in;                                /* 1 + tag of the thought that is open; 0: none */
    struct think_place at;                    /* where the text stands that comes next */
    size_t wrapped;                           /* 1 + tag that the answer stands in; 0: none */
    bool expects;                             /* the text begins inside of a thought, as far as is known */
    size_t scanned;                           /* bytes of hold without the end of that */
    bool thought;                             /* a thought was there */
    bool full;                                /* emit took no more */
    bool (*emit)(void *arg, struct str text); /* text of the answer; false: no more of it */
    void (*forget)(void *arg);                /* the text given so far was thought */
    void *arg;                                /* for both */
};
void think_init(struct think *k, bool (*emit)(void *arg, struct str text), void (*forget)(void *arg),
                void *arg);
bool think_push(struct think *k, struct str text); /* false: no more is taken */
void think_cut(struct think *k);                   /* the text is cut off: what is held back was thought */
bool think_end(struct think *k);                   /* the text is over */
void think_fini(struct think *k);

#endif
