/* The OpenAI dialect: /v1, for clients that speak to a model server and get answers from documents. A request
 * becomes a question of the one question path (ask/); its answer is told as a completion or a response.
 *
 *   body ─▶ wish_read: model.c (whose documents), message.c (question and history), option.c ─▶ struct given ─▶ ask_given …
 *   … ─▶ completion.c, completion_stream.c or response.c, response_stream.c, with the citations of note.c
 *
 * Nobody names a session here: a client with a key has one for each conversation, which is known by its first question. */
#ifndef GATEWAY_OPENAI_OPENAI_H
#define GATEWAY_OPENAI_OPENAI_H

#include "gateway/api/api.h"
#include "gateway/ask/ask.h"
#include "gateway/request/viewer.h"

#define QUESTION_CHARS 32000  /* of a question; the chat API's is 500 */
#define BODY_VALUES 65536     /* JSON values of a body */
#define LIST_RULE "\n\n---\n" /* before the sources at the end of a text */
#define LIST_ROW "- ["        /* begins each of them; a number follows */
#define TOKENS_REFUSED "token numbers are of one model's tokenizer: send the text itself"

/* A request for a completion or a response. Slices point into body or the arena. */
struct wish {
    struct request *r;
    json_t *body; /* owned; wish_fini */
    struct given given;
    struct str model; /* as it was named */
    struct str first; /* the conversation's first question: it names the session */
    bool stream;
    bool usage;          /* a stream ends with what it used */
    bool text;           /* of a prompt instead of messages */
    bool sources;        /* sources as the chat API shows them, too */
    bool listed;         /* the text ends with its sources */
    bool kept;           /* a response that others may follow */
    bool results;        /* the passages that were found, too */
    struct str previous; /* id of the response that this one follows, or absent */
    const char *id;      /* of the response; NULL: not made yet */
    struct str list;     /* of the sources, behind the text; absent: not made yet */
    const char *base;    /* URL of this gateway, without a slash; "" when it is not known */
    int64_t created_s;   /* wall clock */
};

/* The body, whole, and the members that both kinds of requests have. False: answered. */
bool wish_read(struct request *r, struct wish *w);
void wish_fini(struct wish *w);
void value_render(const json_t *v, struct buf *b); /* a JSON value as it came */
/* The session that X-Session-ID names, else that of the conversation. False: answered. */
bool wish_settle(struct wish *w);

/* model.c: whose documents answer. False: 404 was sent. */
bool model_take(struct wish *w, struct str name);
bool model_aliases_fine(const char *list); /* MODEL_ALIASES: name=model, comma separated */

/* message.c: messages or items → question, history, instructions. False: *f says why. */
bool messages_take(struct wish *w, const json_t *list, const char *key, struct fault *f);
bool instructions_add(struct wish *w, struct str text, const char *key, struct fault *f);

/* option.c: what of option.tbl the body has, as an object for the model server. False: *f says why. */
bool options_take(struct wish *w, struct fault *f);

/* note.c: the citations of a text, as annotations: a list of objects, in order of n. */
enum note_style { NOTE_CHAT, NOTE_RESPONSE };
void notes_render(const struct question *q, struct str text, enum note_style style, struct buf *b);
/* source.c: the page of a passage that has no page of its own, and who links to it. */
struct viewer source_viewer(const struct question *q);
void source_url(const struct question *q, const struct citation *c, struct buf *url);
struct str source_title(const struct citation *c);
/* list.c: the cited sources as Markdown behind the answer's text, where the model's name asks for it; "" elsewhere. Slices live as
 * long as the request. */
struct str sources_list(const struct question *q);
struct str said_of(const struct question *q); /* the answer, and that list */

/* completion.c */
void completion_render(const struct question *q, struct buf *b);
void completion_head(const struct question *q, bool chunk, struct buf *b); /* up to the model, open */
void rag_render(const struct question *q, struct buf *b);                  /* the member rag */
void usage_render(const struct question *q, struct buf *b);                /* the object */
const char *finish_name(const struct question *q);
void completion_stream(struct question *q); /* after ask_admit */

/* response.c: the whole object, or one that is only begun or failed. item: the file search or the message of its output. */
enum response_state { RESPONSE_BEGUN, RESPONSE_WHOLE, RESPONSE_FAILED };
void response_object(const struct question *q, enum response_state state, struct buf *b);
void response_search(const struct question *q, bool done, struct buf *b);
void response_message(const struct question *q, struct str notes, bool done, struct buf *b);
void response_part(struct str text, struct str notes, struct buf *b);
void response_stream(struct question *q); /* after ask_admit */

#endif
