/*
 * The configuration is strict on purpose: a key that this version does not know refuses the start, so that a release
 * whose shipped configuration does not fit its program really fails.
 */
#include "coordinator/demo/store/store.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool word_is_valid(const char *word, size_t max) {
    size_t n = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return n > 0 && n <= max && word[n] == '\0';
}

bool address_parse(const char *text, struct sockaddr_in *address) {
    char host[ADDRESS_MAX + 1], *end;
    size_t n = strcspn(text, ":");
    if (n >= sizeof host || text[n] == '\0' || !isdigit((unsigned char)text[n + 1]))
        return false;
    snprintf(host, sizeof host, "%.*s", (int)n, text);
    unsigned long port = strtoul(text + n + 1, &end, 10);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return *end == '\0' && port >= 1 && port <= 65535 && inet_pton(AF_INET, host, &address->sin_addr) == 1;
}

static char *trim(char *text) {
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return text + strspn(text, " \t");
}

static bool take_text(char *out, size_t size, const char *value, bool valid) {
    return valid && strlen(value) < size && snprintf(out, size, "%s", value) > 0;
}

static bool take_peers(struct config *config, char *value) {
    struct sockaddr_in unused;
    for (char *item; (item = strsep(&value, ",")) != NULL;) {
        item = trim(item);
        if (*item == '\0')
            continue;
        if (config->n_peers == PEERS_MAX ||
            !take_text(config->peers[config->n_peers], sizeof config->peers[0], item,
                       address_parse(item, &unused)))
            return false;
        config->n_peers++;
    }
    return true;
}

/* Returns what is wrong with the key, as the end of a sentence, or NULL. */
static const char *take(struct config *c, unsigned *seen, const char *key, char *value) {
    static const char *const names[] = {"id", "listen", "data", "peers", "sync"};
    struct sockaddr_in unused;
    bool good = false;
    unsigned i = 0;
    while (i < 5 && strcmp(key, names[i]) != 0)
        i++;
    if (i == 5)
        return "is an unknown key";
    if (*seen & 1U << i)
        return "is given twice";
    *seen |= 1U << i;
    switch (i) {
    case 0: good = take_text(c->id, sizeof c->id, value, word_is_valid(value, ID_MAX)); break;
    case 1: good = take_text(c->listen, sizeof c->listen, value, address_parse(value, &unused)); break;
    case 2: good = take_text(c->data, sizeof c->data, value, *value != '\0'); break;
    case 3: good = take_peers(c, value); break;
    case 4: good = (c->sync = strcmp(value, "yes") == 0) || strcmp(value, "no") == 0; break;
    }
    return good ? NULL : "has a value that cannot be used";
}

static void forget_own_address(struct config *config) {
    size_t kept = 0;
    for (size_t i = 0; i < config->n_peers; i++)
        if (strcmp(config->peers[i], config->listen) != 0)
            memmove(config->peers[kept++], config->peers[i], sizeof config->peers[i]);
    config->n_peers = kept;
}

int config_read(struct config *config, const char *path, char problem[static PROBLEM_MAX]) {
    *config = (struct config){0};
    problem[0] = '\0';
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        snprintf(problem, PROBLEM_MAX, "%.200s: %s", path, strerror(errno));
        return -1;
    }
    char line[2048];
    unsigned seen = 0, number = 0;
    while (problem[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
        number++;
        line[strcspn(line, "#")] = '\0';
        char *value = line, *key = trim(strsep(&value, "="));
        if (value == NULL && *key == '\0')
            continue;
        const char *wrong = value == NULL ? "is no `key = value`" : take(config, &seen, key, trim(value));
        if (wrong != NULL)
            snprintf(problem, PROBLEM_MAX, "%.200s: line %u: \"%.40s\" %s", path, number, key, wrong);
    }
    fclose(file);
    if (problem[0] == '\0' && (seen & 7) != 7)
        snprintf(problem, PROBLEM_MAX, "%.200s: id, listen and data must be given", path);
    forget_own_address(config);
    return problem[0] == '\0' ? 0 : -1;
}
