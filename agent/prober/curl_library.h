/* libcurl, loaded by the first question that needs it: it and the twenty libraries behind it take 4 MiB of private memory
 * in a process that only waits, more than all the rest of an idle agent. The functions that the prober uses, by their own
 * names, in one table. */
#ifndef KEDGE_AGENT_PROBER_CURL_LIBRARY_H
#define KEDGE_AGENT_PROBER_CURL_LIBRARY_H

#define CURL_DISABLE_TYPECHECK /* its macros would hide the members of the table */
#include <curl/curl.h>

#define CURL_FUNCTIONS(X)                                                                                    \
    X(curl_easy_cleanup)                                                                                     \
    X(curl_easy_getinfo)                                                                                     \
    X(curl_easy_init)                                                                                        \
    X(curl_easy_reset)                                                                                       \
    X(curl_easy_setopt)                                                                                      \
    X(curl_easy_strerror)                                                                                    \
    X(curl_global_cleanup)                                                                                   \
    X(curl_global_init)                                                                                      \
    X(curl_multi_add_handle)                                                                                 \
    X(curl_multi_assign)                                                                                     \
    X(curl_multi_cleanup)                                                                                    \
    X(curl_multi_info_read)                                                                                  \
    X(curl_multi_init)                                                                                       \
    X(curl_multi_remove_handle)                                                                              \
    X(curl_multi_setopt)                                                                                     \
    X(curl_multi_socket_action)

#define CURL_MEMBER(function) __typeof__(&(function)) function;
struct curl_library {
    CURL_FUNCTIONS(CURL_MEMBER)
};
#undef CURL_MEMBER

/* The table, the same each time; NULL when this machine has no libcurl with all of them. */
const struct curl_library *curl_library_load(void);

#endif
