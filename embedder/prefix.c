/* The words in front of a text that is embedded. Many models were trained with other words before questions
 * than before passages, and find half as well without. By the models' own cards; EMBEDDING_QUERY_PREFIX and
 * EMBEDDING_DOCUMENT_PREFIX come first. */
#include <strings.h>

#include "common/digest.h"
#include "embedder/embed.h"

#define INSTRUCT \
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
#define BGE "Represent this sentence for searching relevant passages: "

static const struct {
    const char *part, *query, *document;
} known[] = {
    /* the first that the name holds */
    { "e5-mistral", INSTRUCT, "" },
    { "e5-large-instruct", INSTRUCT, "" },
    { "multilingual-e5", "query: ", "passage: " },
    { "e5-small", "query: ", "passage: " },
    { "e5-base", "query: ", "passage: " },
    { "e5-large", "query: ", "passage: " },
    { "bge-m3", "", "" },
    { "bge-small-en", BGE, "" },
    { "bge-base-en", BGE, "" },
    { "bge-large-en", BGE, "" },
    { "bge-small-zh",
      "\xe4\xb8\xba\xe8\xbf\x99\xe4\xb8\xaa\xe5\x8f\xa5\xe5\xad\x90\xe7\x94\x9f\xe6\x88\x90\xe8\xa1\xa8\xe7\xa4\xba\xe4\xbb\xa5\xe7\x94\xa8\xe4\xba\x8e\xe6\xa3\x80\xe7\xb4\xa2\xe7\x9b\xb8\xe5\x85\xb3\xe6\x96\x87\xe7\xab\xa0\xef\xbc\x9a",
      "" },
    { "bge-base-zh",
      "\xe4\xb8\xba\xe8\xbf\x99\xe4\xb8\xaa\xe5\x8f\xa5\xe5\xad\x90\xe7\x94\x9f\xe6\x88\x90\xe8\xa1\xa8\xe7\xa4\xba\xe4\xbb\xa5\xe7\x94\xa8\xe4\xba\x8e\xe6\xa3\x80\xe7\xb4\xa2\xe7\x9b\xb8\xe5\x85\xb3\xe6\x96\x87\xe7\xab\xa0\xef\xbc\x9a",
      "" },
    { "bge-large-zh",
      "\xe4\xb8\xba\xe8\xbf\x99\xe4\xb8\xaa\xe5\x8f\xa5\xe5\xad\x90\xe7\x94\x9f\xe6\x88\x90\xe8\xa1\xa8\xe7\xa4\xba\xe4\xbb\xa5\xe7\x94\xa8\xe4\xba\x8e\xe6\xa3\x80\xe7\xb4\xa2\xe7\x9b\xb8\xe5\x85\xb3\xe6\x96\x87\xe7\xab\xa0\xef\xbc\x9a",
      "" },
    { "nomic-embed", "search_query: ", "search_document: " },
    { "modernbert-embed", "search_query: ", "search_document: " },
    { "mxbai-embed", BGE, "" },
    { "snowflake-arctic-embed-m-v2", "query: ", "" },
    { "snowflake-arctic-embed-l-v2", "query: ", "" },
    { "snowflake-arctic-embed2", "query: ", "" },
    { "snowflake-arctic-embed", BGE, "" },
    { "embeddinggemma", "task: search result | query: ", "title: none | text: " },
    { "qwen3-embedding", INSTRUCT, "" },
};

static bool
holds(const char *model, const char *part)
{
    size_t n = strlen(part);

    for (; *model != 0; model++)
        if (strncasecmp(model, part, n) == 0)
            return true;
    return false;
}

const char *
embed_prefix(const struct embedder_opt *o, const char *model, bool document)
{
    const char *own = document ? o->document_prefix : o->query_prefix;

    if (strcmp(own, "auto") != 0)
        return own;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (holds(model, known[i].part))
            return document ? known[i].document : known[i].query;
    return "";
}

void
embed_space_name(const struct embedder_opt *o, const char *model, char out[129])
{
    const char *query = embed_prefix(o, model, false), *document = embed_prefix(o, model, true);
    const struct str parts[] = { { query, strlen(query) + 1 }, { document, strlen(document) } };
    uint8_t digest[32];
    char hex[9];
    size_t n = strlen(model);

    n = n < 119 ? n : 119;
    memcpy(out, model, n);
    out[n] = 0;
    if (query[0] == 0 && document[0] == 0)
        return;
    sha256(parts, 2, digest);
    hex_text(digest, 4, hex);
    out[n++] = '#';
    memcpy(out + n, hex, sizeof hex);
}
