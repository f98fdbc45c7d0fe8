/* The Model Context Protocol at /mcp, streamable HTTP without sessions: each POST is a message of JSON-RPC
 * 2.0 and gets its answer as JSON. Revisions 2025-03-26, 2025-06-18 and 2025-11-25; a batch only in the
 * first of them, as it says.
 *
 *   rpc.c: one message after the other ─▶ method.tbl ─▶ tool.c ─▶ search.c, fetch.c, ask.c      resource.c: documents
 *
 * Keys, limits, collections and the question path are those of every other route. */
#ifndef GATEWAY_MCP_MCP_H
#define GATEWAY_MCP_MCP_H

#include "gateway/request/handler.h"

enum {
    RPC_PARSE = -32700,
    RPC_REQUEST = -32600,
    RPC_METHOD = -32601,
    RPC_PARAMS = -32602,
    RPC_INTERNAL = -32603,
    RPC_MISSING = -32002 /* no such resource */
};

/* One message. A handler appends its result, an object, to out; or it calls rpc_fail and returns. Or it has
 * answered the HTTP request itself (r->conn->sent): then nothing more is said. */
struct rpc {
    struct request *r;
    const json_t *params; /* or NULL */
    struct buf *out;
    struct held held; /* calls whose replies are in use; freed after the handler */
    bool charged;     /* the limits were taken */
    int code;         /* RPC_ of a failure; 0: none */
    const char *text; /* of it */
};
void rpc_fail(struct rpc *c, int code, const char *text);   /* text is kept, not copied */
void rpc_fail_call(struct rpc *c, const struct outcome *a); /* a service's failure */
/* Where a list goes on; absent: at its beginning. False: the cursor is none of that list's. paged: it has more than one page. */
bool rpc_cursor(struct rpc *c, bool paged, struct str *cursor);
/* The limits, once a message: before its handler, unless that sees to them. False: answered. */
bool rpc_admit(struct rpc *c);

#define METHOD(name, handler, admits) void handler(struct rpc *c);
#include "gateway/mcp/method.tbl"
#undef METHOD

/* A tool appends its result to out as a JSON object; tool.c wraps it. text: what people are shown, absent:
 * the object itself. A failure that the model may mend is the tool's (tool_fail_…), not the protocol's. */
struct tool {
    struct rpc *c;
    const char *name;   /* of the tool */
    const json_t *args; /* an object, whose members the tool knows */
    struct buf out;     /* structuredContent */
    struct str text;    /* in the arena */
    bool failed;        /* text says why */
};
void tool_fail_call(struct tool *t, const struct outcome *a); /* a service's failure, for the model */
/* An argument by the rules of its row; absent: *out stays as it was. False: it failed. */
bool tool_text(struct tool *t, const char *arg, struct str *out);
bool tool_number(struct tool *t, const char *arg, int64_t *out);
/* The collection that the arguments name, if the caller may use it; absent: they name none. False: it failed. The store is
 * not asked whether it is there: tool_settle says what that came to, false after a failure. */
bool tool_collection(struct tool *t, struct str *name);
bool tool_settle(struct tool *t, enum err e);

#define TOOL(name, handler, admits, title, description) void handler(struct tool *t);
#define ARG(tool, name, type, need, least, most, words)
#include "gateway/mcp/tool.tbl"
#undef TOOL
#undef ARG

/* fetch.c: a document that the caller may read: its id, or its address of a resource. ERR_NOT_FOUND: none. */
#define DOCUMENT_URI "footnote://documents/"
enum err document_find(struct rpc *c, struct str id, const struct document **doc, struct outcome *a);
/* Its text from part->start on, which moves to where a letter begins. Text that is no UTF-8 is a failure. */
struct text_part {
    int64_t start, most; /* most: bytes */
    struct str text;
    int64_t bytes; /* of the whole text */
};
enum err document_read(struct rpc *c, const struct document *doc, struct text_part *part, struct outcome *a);
/* page: of the cited words, 0: none. */
struct str document_url(struct request *r, struct str url, struct str section, int64_t page,
                        const struct uuid *id);
/* The name that people see: title, or the client's own id. */
struct str document_title(struct str title, struct str external_id);

#endif
