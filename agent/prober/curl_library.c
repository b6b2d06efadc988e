/* Why dlopen and not a program of its own for HTTP: a question would then cross one more process, and its age with it. The
 * library is never unloaded (it cannot be, cleanly); main.c starts the whole program anew after a time without questions. */
#include "agent/prober/curl_library.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool take(void *handle, const char *name, void *member, size_t size) {
    void *symbol = dlsym(handle, name);
    memcpy(member, &symbol, size);
    return symbol != NULL;
}

const struct curl_library *curl_library_load(void) {
    static struct curl_library library;
    static bool is_loaded;
    if (is_loaded)
        return &library;
    void *handle = dlopen("libcurl.so.4", RTLD_LAZY | RTLD_LOCAL);
    if (!handle)
        return NULL;
    bool all = true;
#define TAKE_FUNCTION(function)                                                                              \
    all = take(handle, #function, &library.function, sizeof(library.function)) && all;
    CURL_FUNCTIONS(TAKE_FUNCTION)
#undef TAKE_FUNCTION
    is_loaded = all;
    return all ? &library : NULL;
}
