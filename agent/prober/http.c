/* Why the multi interface with our own loop: questions of several gates are under way at once, and libcurl tells for
 * which descriptors and until when it waits, so there is no thread. Redirects are answers of somebody else; proxies of
 * the environment would let a stranger answer: both are off, and a status other than 2xx is no answer. */
#include "agent/prober/http.h"

#include "agent/prober/curl_library.h"
#include "common/base/text.h"

#include <string.h>
#include <sys/epoll.h>

static const struct curl_library *library; /* there as soon as an http has a multi handle */

struct http {
    struct loop *loop;
    CURLM *multi;
    struct timer timer;
};

static void take_answers(struct http *http);

static void on_ready(void *owner, uint32_t events);

/* One descriptor of libcurl. It must not be freed while libcurl is inside of it, hence the plain watch. */
struct stream {
    struct http *http;
    struct watch watch;
};

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *assigned) {
    struct http *http = context;
    struct stream *stream = assigned;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (stream)
            watch_remove(&stream->watch);
        free(stream);
        library->curl_multi_assign(http->multi, fd, NULL);
        return 0;
    }
    if (!stream) {
        stream = calloc(1, sizeof(*stream));
        if (!stream)
            return -1;
        *stream = (struct stream){http, {.loop = http->loop, .fd = -1, .ready = on_ready, .owner = stream}};
        library->curl_multi_assign(http->multi, fd, stream);
    }
    uint32_t events =
        (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) | (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    return watch_set(&stream->watch, fd, events) < 0 ? -1 : 0;
}

static int on_timer(CURLM *multi, long ms, void *context) {
    struct http *http = context;
    (void)multi;
    if (ms < 0)
        loop_timer_stop(&http->timer);
    else
        loop_timer_set(&http->timer, now_us() + (uint64_t)ms * 1000);
    return 0;
}

static void on_ready(void *owner, uint32_t events) {
    struct stream *stream = owner;
    struct http *http = stream->http;
    int n_running, what = (events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                          (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                          (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    library->curl_multi_socket_action(http->multi, stream->watch.fd, what,
                                      &n_running); /* may free the stream */
    take_answers(http);
}

static void on_due(void *owner) {
    struct http *http = owner;
    int n_running;
    library->curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &n_running);
    take_answers(http);
}

struct http *http_new(struct loop *loop) {
    struct http *http = calloc(1, sizeof(*http));
    if (!http)
        return NULL;
    http->loop = loop;
    http->timer = (struct timer){.loop = loop, .due = on_due, .owner = http};
    return http;
}

struct http *http_free(struct http *http) {
    if (!http)
        return NULL;
    if (http->multi) {
        library->curl_multi_cleanup(http->multi);
        library->curl_global_cleanup();
    }
    loop_timer_stop(&http->timer);
    free(http);
    return NULL;
}

static bool open_lazily(struct http *http) {
    if (http->multi)
        return true;
    library = curl_library_load();
    if (!library || library->curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return false;
    http->multi = library->curl_multi_init();
    return http->multi &&
           library->curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
           library->curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http) == CURLM_OK &&
           library->curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
           library->curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http) == CURLM_OK &&
           library->curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, 16L) == CURLM_OK;
}

void http_prepare(struct http *http) {
    (void)open_lazily(http); /* a failure is told to each question */
}

/* ---- one question ---- */

static size_t on_body(char *data, size_t one, size_t len, void *context) {
    struct http_get *get = context;
    (void)one;
    get->too_long = get->too_long || len > HTTP_BODY_BYTES_MAX - get->body.len;
    if (get->too_long)
        return CURL_WRITEFUNC_ERROR;
    buffer_append(&get->body, data, len);
    return len;
}

static void judge(struct http_get *get, CURLcode code) {
    char said[128] = "";
    library->curl_easy_getinfo((CURL *)get->easy, CURLINFO_RESPONSE_CODE, &get->status);
    for (size_t i = 0; i < get->body.len && i < sizeof(said) - 1 && get->body.data[i] != '\n'; i++)
        said[i] = get->body.data[i] ? (char)get->body.data[i] : '?', said[i + 1] = 0;
    text_tame(said, sizeof(said), said);
    if (get->too_long)
        snprintf(get->trouble, sizeof(get->trouble), "the answer is longer than 1 MiB");
    else if (get->body.failed)
        snprintf(get->trouble, sizeof(get->trouble), "out of memory");
    else if (code != CURLE_OK)
        snprintf(get->trouble, sizeof(get->trouble), "%s", library->curl_easy_strerror(code));
    else if (get->status < 200 || get->status > 299)
        snprintf(get->trouble, sizeof(get->trouble), "answers %ld%s%s", get->status, said[0] ? ": " : "",
                 said);
    else
        get->answered = true;
}

static void close_easy(struct http_get *get) {
    CURL *easy = TAKE(get->easy);
    if (!easy)
        return; /* then there may be no library either */
    library->curl_multi_remove_handle(get->http->multi, easy);
    library->curl_easy_cleanup(easy);
}

static void take_answers(struct http *http) {
    const CURLMsg *message;
    int n_left;
    while ((message = library->curl_multi_info_read(http->multi, &n_left))) {
        char *private = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        library->curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        struct http_get *get = (struct http_get *)(void *)private;
        judge(get, code);
        close_easy(get);
        get->done(get->owner);
    }
}

static CURLcode set_options(struct http_get *get, const char *url) {
    CURL *easy = get->easy;
    CURLcode bad = CURLE_OK;
#define OPTION(name, value)                                                                                  \
    bad = bad != CURLE_OK ? bad : library->curl_easy_setopt(easy, CURLOPT_##name, value)
    OPTION(URL, url);
    OPTION(PROTOCOLS_STR, "http,https");
    OPTION(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    OPTION(HTTPGET, 1L);
    OPTION(FOLLOWLOCATION, 0L);
    OPTION(PROXY, "");
    OPTION(NETRC, (long)CURL_NETRC_IGNORED);
    OPTION(NOSIGNAL, 1L);
    OPTION(USERAGENT, "kedge-prober/" KEDGE_VERSION);
    OPTION(WRITEFUNCTION, on_body);
    OPTION(WRITEDATA, get);
    OPTION(PRIVATE, get);
#undef OPTION
    return bad;
}

static void on_failed_start(void *owner) {
    struct http_get *get = owner;
    close_easy(get);
    get->done(get->owner);
}

void http_get_start(struct http_get *get, const char *url) {
    get->answered = get->too_long = false;
    get->status = 0;
    get->trouble[0] = 0;
    buffer_clear(&get->body);
    get->timer = (struct timer){.loop = get->http->loop, .due = on_failed_start, .owner = get};
    get->easy = open_lazily(get->http) ? library->curl_easy_init() : NULL;
    CURLcode bad = get->easy ? set_options(get, url) : CURLE_OUT_OF_MEMORY;
    if (bad == CURLE_OK && library->curl_multi_add_handle(get->http->multi, (CURL *)get->easy) == CURLM_OK)
        return;
    snprintf(get->trouble, sizeof(get->trouble), "%s",
             library ? library->curl_easy_strerror(bad) : "cannot be asked: this node has no libcurl.so.4");
    loop_timer_set(&get->timer, now_us());
}

void http_get_stop(struct http_get *get) {
    loop_timer_stop(&get->timer);
    close_easy(get);
    buffer_deinit(&get->body);
}
