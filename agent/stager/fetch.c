/* Why the multi interface for one transfer: libarchive pulls and libcurl pushes; with curl_multi_perform the pull can
 * turn the crank, so there is no thread, no pipe and no file between the two. What curl delivers in one turn is what is
 * buffered, some hundred KiB. */
#include "agent/stager/fetch.h"

#include <curl/curl.h>
#include <string.h>

struct fetch {
    const struct fetch_wish *wish;
    CURLM *multi;
    CURL *easy;
    struct buffer chunk;
    struct digest_state digest;
    uint64_t n_bytes;
    bool ended;
    int failure;
    struct error failed;
    char curl_says[CURL_ERROR_SIZE];
};

static long status_of(struct fetch *fetch) {
    long status = 0;
    curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static bool status_is_good(const struct fetch *fetch, long status) {
    return status == 200 || (status == 0 && fetch->wish->file_allowed);
}

static size_t fail(struct fetch *fetch, int code) {
    fetch->failure = code;
    return CURL_WRITEFUNC_ERROR;
}

static size_t on_data(char *data, size_t one, size_t len, void *context) {
    struct fetch *fetch = context;
    (void)one;
    long status = status_of(fetch);
    if (!status_is_good(fetch, status))
        return fail(fetch,
                    error_set(&fetch->failed, -EPROTO, "the server answers %ld, expected 200", status));
    if (len > fetch->wish->size - fetch->n_bytes)
        return fail(fetch,
                    error_set(&fetch->failed, -EBADMSG, "it is longer than the %llu bytes of the manifest",
                              (unsigned long long)fetch->wish->size));
    fetch->n_bytes += len;
    digest_update(&fetch->digest, (struct bytes){(const uint8_t *)data, len});
    buffer_append(&fetch->chunk, data, len);
    if (fetch->chunk.failed)
        return fail(fetch, error_set(&fetch->failed, -ENOMEM, "out of memory"));
    return len;
}

static int set_options(struct fetch *fetch, struct error *err) {
    const struct fetch_wish *wish = fetch->wish;
    CURL *easy = fetch->easy;
    CURLcode bad = CURLE_OK;
#define OPTION(name, value) bad = bad != CURLE_OK ? bad : curl_easy_setopt(easy, CURLOPT_##name, value)
    OPTION(URL, wish->url);
    OPTION(PROTOCOLS_STR, wish->file_allowed ? "http,https,file" : "http,https");
    OPTION(FOLLOWLOCATION, 0L);
    OPTION(PROXY, "");
    OPTION(NOSIGNAL, 1L);
    OPTION(NETRC, (long)CURL_NETRC_IGNORED);
    OPTION(CONNECTTIMEOUT, (long)wish->patience_s);
    OPTION(TIMEOUT, (long)wish->timeout_s);
    OPTION(LOW_SPEED_LIMIT, (long)wish->speed_min);
    OPTION(LOW_SPEED_TIME, (long)wish->patience_s);
    OPTION(WRITEFUNCTION, on_data);
    OPTION(WRITEDATA, fetch);
    OPTION(ERRORBUFFER, fetch->curl_says);
    OPTION(USERAGENT, "kedge-stager/" KEDGE_VERSION);
#undef OPTION
    if (bad != CURLE_OK)
        return error_set(err, -EINVAL, "cannot set up the transfer: %s", curl_easy_strerror(bad));
    return 0;
}

int fetch_new(struct fetch **outp, const struct fetch_wish *wish, struct error *err) {
    _cleanup_(fetch_freep) struct fetch *fetch = calloc(1, sizeof(*fetch));
    if (!fetch || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_set(err, -ENOMEM, "cannot start libcurl");
    fetch->wish = wish;
    digest_init(&fetch->digest);
    fetch->multi = curl_multi_init();
    fetch->easy = curl_easy_init();
    if (!fetch->multi || !fetch->easy)
        return error_set(err, -ENOMEM, "out of memory");
    int r = set_options(fetch, err);
    if (r < 0)
        return r;
    if (curl_multi_add_handle(fetch->multi, fetch->easy) != CURLM_OK)
        return error_set(err, -ENOMEM, "out of memory");
    *outp = TAKE(fetch);
    return 0;
}

struct fetch *fetch_free(struct fetch *fetch) {
    if (!fetch)
        return NULL;
    if (fetch->easy && fetch->multi)
        curl_multi_remove_handle(fetch->multi, fetch->easy);
    curl_easy_cleanup(fetch->easy);
    curl_multi_cleanup(fetch->multi);
    buffer_deinit(&fetch->chunk);
    free(fetch);
    return NULL;
}

/* libcurl's verdict as ours; what on_data said stands. */
static void note_failure(struct fetch *fetch, CURLcode code) {
    const struct fetch_wish *wish = fetch->wish;
    if (fetch->failure < 0)
        return;
    if (code == CURLE_OPERATION_TIMEDOUT && fetch->n_bytes > 0)
        fetch->failure =
            error_set(&fetch->failed, -EIO,
                      "too slow: %llu of %llu bytes came (at least %u bytes a second are expected, and all "
                      "within %u s)",
                      (unsigned long long)fetch->n_bytes, (unsigned long long)wish->size, wish->speed_min,
                      wish->timeout_s);
    else if (code == CURLE_PARTIAL_FILE || (fetch->n_bytes > 0 && code == CURLE_RECV_ERROR))
        fetch->failure = error_set(&fetch->failed, -EIO, "the server stopped after %llu of %llu bytes",
                                   (unsigned long long)fetch->n_bytes, (unsigned long long)wish->size);
    else
        fetch->failure = error_set(&fetch->failed, -EIO, "%s",
                                   fetch->curl_says[0] ? fetch->curl_says : curl_easy_strerror(code));
}

/* The transfer is over: was it what was promised? */
static void judge(struct fetch *fetch) {
    const struct fetch_wish *wish = fetch->wish;
    char is[KEDGE_DIGEST_TEXT_SIZE], expected[KEDGE_DIGEST_TEXT_SIZE];
    long status = status_of(fetch);
    struct digest digest = digest_final(&fetch->digest);
    fetch->ended = true;
    if (!status_is_good(fetch, status)) {
        fetch->failure = error_set(&fetch->failed, -EPROTO, "the server answers %ld, expected 200", status);
    } else if (fetch->n_bytes != wish->size) {
        fetch->failure = error_set(&fetch->failed, -EBADMSG, "it ends after %llu of %llu bytes",
                                   (unsigned long long)fetch->n_bytes, (unsigned long long)wish->size);
    } else if (!digest_equal(&digest, &wish->digest)) {
        digest_format(is, &digest);
        digest_format(expected, &wish->digest);
        fetch->failure = error_set(&fetch->failed, -EBADMSG, "its digest is %s, expected %s", is, expected);
    }
}

/* One turn: moves bytes, or waits for some. */
static void turn(struct fetch *fetch) {
    int n_running = 0, n_messages = 0;
    CURLMcode m = curl_multi_perform(fetch->multi, &n_running);
    const CURLMsg *message = curl_multi_info_read(fetch->multi, &n_messages);
    if (message && message->msg == CURLMSG_DONE) {
        if (message->data.result == CURLE_OK)
            judge(fetch);
        else
            note_failure(fetch, message->data.result);
    } else if (m != CURLM_OK) {
        fetch->failure = error_set(&fetch->failed, -EIO, "%s", curl_multi_strerror(m));
    } else if (fetch->chunk.len == 0 && fetch->failure == 0) {
        curl_multi_poll(fetch->multi, NULL, 0, 1000, NULL);
    }
}

ssize_t fetch_pull(void *from, const uint8_t **data, struct error *err) {
    struct fetch *fetch = from;
    buffer_clear(&fetch->chunk);
    while (fetch->failure == 0 && fetch->chunk.len == 0 && !fetch->ended)
        turn(fetch);
    if (fetch->failure < 0)
        return error_set(err, fetch->failure, "%s", fetch->failed.text);
    *data = fetch->chunk.data;
    return (ssize_t)fetch->chunk.len;
}

int fetch_drain(struct fetch *fetch, struct error *err) {
    const uint8_t *data;
    ssize_t n;
    do
        n = fetch_pull(fetch, &data, err);
    while (n > 0);
    return (int)n;
}
