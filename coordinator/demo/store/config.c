/* The configuration is strict on purpose: a key that this version does not know refuses the start, so that a release
 * whose shipped configuration does not fit its program really fails. */
#include "coordinator/demo/store/store.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

bool word_is_valid(const char *word, size_t max) {
    size_t n = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return n > 0 && n <= max && word[n] == '\0';
}

bool address_parse(const char *text, struct sockaddr_in *address) {
    char host[16], rest;
    unsigned port;
    if (sscanf(text, "%15[0-9.]:%5u%c", host, &port, &rest) != 2 || port < 1 || port > 65535)
        return false;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return inet_pton(AF_INET, host, &address->sin_addr) == 1;
}

static char *trim(char *text) {
    text += strspn(text, " \t");
    for (size_t n = strlen(text); n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL; n--)
        text[n - 1] = '\0';
    return text;
}

static bool take_text(char *out, size_t size, const char *value) {
    return *value != '\0' && (size_t)snprintf(out, size, "%s", value) < size;
}

static bool take_peers(struct config *c, char *value) {
    struct sockaddr_in unused;
    for (char *item; (item = strsep(&value, ",")) != NULL;) {
        item = trim(item);
        if (*item == '\0')
            continue;
        if (c->n_peers == PEERS_MAX || !address_parse(item, &unused) ||
            !take_text(c->peers[c->n_peers++], sizeof c->peers[0], item))
            return false;
    }
    return true;
}

/* "3000" or "3000 silent": milliseconds. */
static bool take_replay(struct config *c, const char *value) {
    char silent[8] = "", rest;
    int n = sscanf(value, "%7u %7[a-z]%c", &c->replay_ms, silent, &rest);
    c->replay_silent = n == 2 && strcmp(silent, "silent") == 0;
    return n == 1 || c->replay_silent;
}

/* Returns what is wrong with the key, as the end of a sentence, or NULL. */
static const char *take(struct config *c, const char *key, char *value) {
    struct sockaddr_in unused;
    bool good;
    if (strcmp(key, "id") == 0)
        good = c->id[0] == '\0' && word_is_valid(value, ID_MAX) && take_text(c->id, sizeof c->id, value);
    else if (strcmp(key, "listen") == 0)
        good = c->listen[0] == '\0' && address_parse(value, &unused) &&
               take_text(c->listen, sizeof c->listen, value);
    else if (strcmp(key, "data") == 0)
        good = c->data[0] == '\0' && take_text(c->data, sizeof c->data, value);
    else if (strcmp(key, "peers") == 0)
        good = c->n_peers == 0 && take_peers(c, value);
    else if (strcmp(key, "sync") == 0)
        good = (c->sync = strcmp(value, "yes") == 0) || strcmp(value, "no") == 0;
    else if (strcmp(key, "replay") == 0)
        good = c->replay_ms == 0 && take_replay(c, value);
    else
        return "is an unknown key";
    return good ? NULL : "has a value that cannot be used, or is given twice";
}

int config_read(struct config *config, const char *path, char problem[static PROBLEM_MAX]) {
    *config = (struct config){0};
    FILE *file = fopen(path, "re");
    problem[0] = '\0';
    if (file == NULL)
        snprintf(problem, PROBLEM_MAX, "%.200s: %s", path, strerror(errno));
    char line[2048];
    for (unsigned number = 1; problem[0] == '\0' && fgets(line, sizeof line, file) != NULL; number++) {
        line[strcspn(line, "#")] = '\0';
        char *value = line, *key = trim(strsep(&value, "="));
        const char *wrong = value != NULL  ? take(config, key, trim(value))
                            : *key != '\0' ? "is no `key = value`"
                                           : NULL;
        if (wrong != NULL)
            snprintf(problem, PROBLEM_MAX, "%.200s: line %u: \"%.40s\" %s", path, number, key, wrong);
    }
    if (file != NULL)
        fclose(file);
    if (problem[0] == '\0' && !(config->id[0] && config->listen[0] && config->data[0]))
        snprintf(problem, PROBLEM_MAX, "%.200s: id, listen and data must be given", path);
    return problem[0] == '\0' ? 0 : -1;
}
