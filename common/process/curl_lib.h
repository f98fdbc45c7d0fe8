/* libcurl for processes that seldom need it: opened by the first who asks for it. Linked, it would cost each of them 4 MB from its start
 * on. Debian 12 and 13 both call it libcurl.so.4. */
#ifndef COMMON_PROCESS_CURL_LIB_H
#define COMMON_PROCESS_CURL_LIB_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

struct curl_lib {
    CURLcode (*global_init)(long flags);
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *easy, CURLoption option, ...);
    CURLcode (*easy_getinfo)(CURL *easy, CURLINFO info, ...);
    CURLcode (*easy_perform)(CURL *easy);
    const char *(*easy_strerror)(CURLcode code);
    void (*easy_cleanup)(CURL *easy);
    struct curl_slist *(*slist_append)(struct curl_slist *list, const char *line);
    void (*slist_free_all)(struct curl_slist *list);
};

#define CURL_LIB_MISSING "libcurl.so.4 cannot be opened: install libcurl4"
/* Its functions, ready for use; NULL: it is not there (CURL_LIB_MISSING). Thread-safe; it stays open. */
const struct curl_lib *curl_lib(void);

#endif
