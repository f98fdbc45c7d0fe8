/* libcurl, opened when it is needed (curl_lib.h). */
#include "common/process/curl_lib.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

static struct curl_lib lib;
static bool usable;

static void
open_lib(void)
{
    const struct {
        const char *name;
        void *at; /* of the pointer to it */
    } functions[] = {
        { "curl_global_init", &lib.global_init },       { "curl_easy_init", &lib.easy_init },
        { "curl_easy_setopt", &lib.easy_setopt },       { "curl_easy_getinfo", &lib.easy_getinfo },
        { "curl_easy_perform", &lib.easy_perform },     { "curl_easy_strerror", &lib.easy_strerror },
        { "curl_easy_cleanup", &lib.easy_cleanup },     { "curl_slist_append", &lib.slist_append },
        { "curl_slist_free_all", &lib.slist_free_all },
    };
    void *so = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);

    if (!so)
        return;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *f = dlsym(so, functions[i].name);

        if (!f)
            return;
        memcpy(functions[i].at, &f, sizeof f);
    }
    usable = lib.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

const struct curl_lib *
curl_lib(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, open_lib);
    return usable ? &lib : NULL;
}
