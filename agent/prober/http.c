/* Why the multi interface with our own loop: questions of several gates are under way at once, and libcurl tells for
 * which descriptors and until when it waits, so there is no thread. Redirects are answers of somebody else; proxies of
 * the environment would let a stranger answer: both are off, and a status other than 2xx is no answer.
 *
 * Gates that are asked together often read the same page. Who asks for one before its request has left has the same answer:
 * it was sent after all of them had asked. Nobody joins a request that has left: the service may have answered already. */
#include "agent/prober/http.h"

#include "agent/prober/curl_library.h"
#include "common/base/text.h"

#include <string.h>
#include <sys/epoll.h>

static const struct curl_library *library; /* there as soon as an http has a multi handle */

enum { SPARE_MAX = 4 };

/* One request, and all who asked for it. */
struct transfer {
    struct http *http;
    struct transfer *next; /* of those that have not left */
    struct http_get *gets;
    CURL *easy;
    char *url; /* until it leaves */
    struct buffer body;
    bool too_long, is_over;
};

struct http {
    struct loop *loop;
    CURLM *multi;
    struct timer timer, leave;
    struct transfer *fresh; /* have not left */
    CURL *spare[SPARE_MAX];
    size_t n_spare;
};

static void take_answers(struct http *http);

static void on_leave(void *owner);

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
    http->leave = (struct timer){.loop = loop, .due = on_leave, .owner = http};
    return http;
}

struct http *http_free(struct http *http) {
    if (!http)
        return NULL;
    if (http->multi) {
        while (http->n_spare > 0)
            library->curl_easy_cleanup(http->spare[--http->n_spare]);
        library->curl_multi_cleanup(http->multi);
        library->curl_global_cleanup();
    }
    loop_timer_stop(&http->timer);
    loop_timer_stop(&http->leave);
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

/* ---- one request ---- */

static size_t on_body(char *data, size_t one, size_t len, void *context) {
    struct transfer *transfer = context;
    (void)one;
    transfer->too_long = transfer->too_long || len > HTTP_BODY_BYTES_MAX - transfer->body.len;
    if (transfer->too_long)
        return CURL_WRITEFUNC_ERROR;
    buffer_append(&transfer->body, data, len);
    return len;
}

static CURLcode set_options(struct transfer *transfer) {
    CURL *easy = transfer->easy;
    CURLcode bad = CURLE_OK;
#define OPTION(name, value)                                                                                  \
    bad = bad != CURLE_OK ? bad : library->curl_easy_setopt(easy, CURLOPT_##name, value)
    OPTION(URL, transfer->url);
    OPTION(PROTOCOLS_STR, "http,https");
    OPTION(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    OPTION(HTTPGET, 1L);
    OPTION(FOLLOWLOCATION, 0L);
    OPTION(PROXY, "");
    OPTION(NETRC, (long)CURL_NETRC_IGNORED);
    OPTION(NOSIGNAL, 1L);
    OPTION(USERAGENT, "kedge-prober/" KEDGE_VERSION);
    OPTION(WRITEFUNCTION, on_body);
    OPTION(WRITEDATA, transfer);
    OPTION(PRIVATE, transfer);
#undef OPTION
    return bad;
}

static CURL *easy_take(struct http *http) {
    if (!open_lazily(http))
        return NULL;
    return http->n_spare > 0 ? http->spare[--http->n_spare] : library->curl_easy_init();
}

/* To make one anew for each question costs more than the question. */
static void easy_give(struct transfer *transfer) {
    struct http *http = transfer->http;
    CURL *easy = TAKE(transfer->easy);
    if (!easy)
        return; /* then there may be no library either */
    library->curl_multi_remove_handle(http->multi, easy);
    library->curl_easy_reset(easy);
    if (http->n_spare < SPARE_MAX)
        http->spare[http->n_spare++] = easy;
    else
        library->curl_easy_cleanup(easy);
}

static void transfer_free(struct transfer *transfer) {
    struct transfer **at = &transfer->http->fresh;
    while (*at && *at != transfer)
        at = &(*at)->next;
    if (*at)
        *at = transfer->next;
    easy_give(transfer);
    buffer_deinit(&transfer->body);
    free(transfer->url);
    free(transfer);
}

static struct transfer *transfer_new(struct http *http, const char *url) {
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer || !(transfer->url = strdup(url))) {
        free(transfer);
        return NULL;
    }
    transfer->http = http;
    transfer->next = http->fresh;
    http->fresh = transfer;
    loop_timer_set(&http->leave, now_us());
    return transfer;
}

/* ---- its end ---- */

static void judge(struct http_get *get, const struct transfer *transfer, CURLcode code) {
    char said[128] = "";
    buffer_append(&get->body, transfer->body.data, transfer->body.len);
    for (size_t i = 0; i < get->body.len && i < sizeof(said) - 1 && get->body.data[i] != '\n'; i++)
        said[i] = get->body.data[i] ? (char)get->body.data[i] : '?', said[i + 1] = 0;
    text_tame(said, sizeof(said), said);
    if (transfer->too_long)
        snprintf(get->trouble, sizeof(get->trouble), "the answer is longer than 1 MiB");
    else if (transfer->body.failed || get->body.failed)
        snprintf(get->trouble, sizeof(get->trouble), "out of memory");
    else if (code != CURLE_OK)
        snprintf(get->trouble, sizeof(get->trouble), "%s",
                 library ? library->curl_easy_strerror(code)
                         : "cannot be asked: this node has no libcurl.so.4");
    else if (get->status < 200 || get->status > 299)
        snprintf(get->trouble, sizeof(get->trouble), "answers %ld%s%s", get->status, said[0] ? ": " : "",
                 said);
    else
        get->answered = true;
}

/* Whoever hears the answer may end the others' questions. */
static void transfer_end(struct transfer *transfer, CURLcode code) {
    struct http_get *get;
    long status = 0;
    if (transfer->easy)
        library->curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    easy_give(transfer);
    transfer->is_over = true;
    while ((get = transfer->gets)) {
        transfer->gets = get->next;
        get->transfer = NULL;
        get->status = status;
        judge(get, transfer, code);
        get->done(get->owner);
    }
    transfer_free(transfer);
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
        transfer_end((struct transfer *)(void *)private, code);
    }
}

static void leave(struct transfer *transfer) {
    transfer->easy = easy_take(transfer->http);
    CURLcode bad = transfer->easy ? set_options(transfer) : CURLE_OUT_OF_MEMORY;
    if (bad == CURLE_OK && library->curl_multi_add_handle(transfer->http->multi, transfer->easy) != CURLM_OK)
        bad = CURLE_FAILED_INIT;
    if (bad != CURLE_OK)
        transfer_end(transfer, bad);
}

static void on_leave(void *owner) {
    struct http *http = owner;
    struct transfer *transfer;
    while ((transfer = http->fresh)) {
        http->fresh = transfer->next;
        leave(transfer);
    }
}

/* ---- one question ---- */

static void on_failed_start(void *owner) {
    struct http_get *get = owner;
    get->done(get->owner);
}

void http_get_start(struct http_get *get, const char *url) {
    struct transfer *transfer = get->http->fresh;
    get->answered = false;
    get->status = 0;
    get->trouble[0] = 0;
    buffer_clear(&get->body);
    while (transfer && strcmp(transfer->url, url) != 0)
        transfer = transfer->next;
    if (!transfer)
        transfer = transfer_new(get->http, url);
    if (transfer) {
        get->transfer = transfer;
        get->next = transfer->gets;
        transfer->gets = get;
        return;
    }
    snprintf(get->trouble, sizeof(get->trouble), "out of memory");
    get->timer = (struct timer){.loop = get->http->loop, .due = on_failed_start, .owner = get};
    loop_timer_set(&get->timer, now_us());
}

void http_get_stop(struct http_get *get) {
    struct transfer *transfer = TAKE(get->transfer);
    if (transfer) {
        struct http_get **at = &transfer->gets;
        while (*at != get)
            at = &(*at)->next;
        *at = get->next;
        if (!transfer->gets && !transfer->is_over)
            transfer_free(transfer);
    }
    loop_timer_stop(&get->timer);
    buffer_deinit(&get->body);
}
