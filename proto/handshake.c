/* Why fixed layouts and not protobuf: these bytes are parsed before anybody is known, so the parser is a handful of
 * offsets with one length check in front. */
#include "proto/handshake.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

enum {
    NAME_ROOM = KEDGE_NAME_MAX + 1,
    HELLO_NAME_AT = 4,
    HELLO_KEY_AT = HELLO_NAME_AT + NAME_ROOM,
    HELLO_EPHEMERAL_AT = HELLO_KEY_AT + KEDGE_PUBLIC_KEY_LEN,
    HELLO_NONCE_AT = HELLO_EPHEMERAL_AT + EPHEMERAL_BYTES,
    CHALLENGE_KEY_AT = 4,
    CHALLENGE_EPHEMERAL_AT = CHALLENGE_KEY_AT + KEDGE_PUBLIC_KEY_LEN,
    CHALLENGE_NONCE_AT = CHALLENGE_EPHEMERAL_AT + EPHEMERAL_BYTES,
    CHALLENGE_SIGNATURE_AT = CHALLENGE_NONCE_AT + NONCE_BYTES,
};

_Static_assert(HELLO_NONCE_AT + NONCE_BYTES == HELLO_BYTES, "layout of hello");
_Static_assert(CHALLENGE_SIGNATURE_AT + KEDGE_SIGNATURE_LEN == CHALLENGE_BYTES, "layout of challenge");

static const char keys_label[] = "kedge/1/session-keys"; /* its NUL is part of it */

bool node_name_is_valid(const char *name) {
    size_t len = strlen(name);
    if (len < 1 || len > KEDGE_NAME_MAX || name[0] == '.' || name[0] == '-')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

/* ---- hello ---- */

void hello_make(uint8_t out[static HELLO_BYTES], const char *node, const struct public_key *agent,
                const struct handshake_randomness *random) {
    assert(node_name_is_valid(node));
    memset(out, 0, HELLO_BYTES);
    out[0] = PROTOCOL_VERSION_MIN;
    out[1] = PROTOCOL_VERSION_MAX;
    out[2] = (uint8_t)strlen(node);
    memcpy(out + HELLO_NAME_AT, node, strlen(node));
    memcpy(out + HELLO_KEY_AT, agent->b, sizeof(agent->b));
    crypto_scalarmult_base(out + HELLO_EPHEMERAL_AT, random->ephemeral_secret);
    memcpy(out + HELLO_NONCE_AT, random->nonce, sizeof(random->nonce));
}

int hello_decode(struct hello *hello, struct bytes bytes, struct error *err) {
    const uint8_t *p = bytes.data;
    if (bytes.len != HELLO_BYTES)
        return error_set(err, -EBADMSG, "hello of %zu bytes", bytes.len);
    if (p[0] == 0 || p[0] > p[1] || p[3] != 0)
        return error_set(err, -EBADMSG, "hello: versions %u to %u", p[0], p[1]);
    *hello = (struct hello){.version_min = p[0], .version_max = p[1]};
    memcpy(hello->node, p + HELLO_NAME_AT, NAME_ROOM);
    if (p[2] > KEDGE_NAME_MAX || !sodium_is_zero(p + HELLO_NAME_AT + p[2], NAME_ROOM - p[2]) ||
        strlen(hello->node) != p[2] || !node_name_is_valid(hello->node))
        return error_set(err, -EBADMSG, "hello: not the name of a node");
    memcpy(hello->agent.b, p + HELLO_KEY_AT, sizeof(hello->agent.b));
    memcpy(hello->ephemeral, p + HELLO_EPHEMERAL_AT, sizeof(hello->ephemeral));
    memcpy(hello->nonce, p + HELLO_NONCE_AT, sizeof(hello->nonce));
    return 0;
}

/* ---- challenge ---- */

int challenge_decode(struct challenge *challenge, struct bytes bytes, struct error *err) {
    const uint8_t *p = bytes.data;
    if (bytes.len != CHALLENGE_BYTES)
        return error_set(err, -EBADMSG, "challenge of %zu bytes", bytes.len);
    if (!sodium_is_zero(p + 1, 3))
        return error_set(err, -EBADMSG, "challenge: reserved bytes are not zero");
    *challenge = (struct challenge){.version = p[0]};
    memcpy(challenge->coordinator.b, p + CHALLENGE_KEY_AT, sizeof(challenge->coordinator.b));
    memcpy(challenge->ephemeral, p + CHALLENGE_EPHEMERAL_AT, sizeof(challenge->ephemeral));
    memcpy(challenge->nonce, p + CHALLENGE_NONCE_AT, sizeof(challenge->nonce));
    memcpy(challenge->signature.b, p + CHALLENGE_SIGNATURE_AT, sizeof(challenge->signature.b));
    return 0;
}

/* What the coordinator signs: the hello, and its challenge up to the signature. */
static struct bytes challenge_signed_part(const struct transcript *transcript) {
    return (struct bytes){transcript->hello, HELLO_BYTES + CHALLENGE_SIGNATURE_AT};
}

static struct bytes transcript_bytes(const struct transcript *transcript) {
    return (struct bytes){(const uint8_t *)transcript, sizeof(*transcript)};
}

_Static_assert(sizeof(struct transcript) == HELLO_BYTES + CHALLENGE_BYTES,
               "a transcript is bytes without gaps");

static uint8_t version_choose(const struct hello *hello) {
    uint8_t version = hello->version_max < PROTOCOL_VERSION_MAX ? hello->version_max : PROTOCOL_VERSION_MAX;
    return version >= hello->version_min && version >= PROTOCOL_VERSION_MIN ? version : 0;
}

int challenge_make(struct transcript *transcript, const struct key_pair *coordinator,
                   const struct handshake_randomness *random, struct error *err) {
    struct hello hello;
    int r = hello_decode(&hello, BYTES_OF(transcript->hello), err);
    if (r < 0)
        return r;
    uint8_t *p = transcript->challenge;
    memset(p, 0, CHALLENGE_BYTES);
    p[0] = version_choose(&hello);
    if (p[0] == 0)
        return HANDSHAKE_NO_VERSION;
    memcpy(p + CHALLENGE_KEY_AT, coordinator->public.b, sizeof(coordinator->public.b));
    crypto_scalarmult_base(p + CHALLENGE_EPHEMERAL_AT, random->ephemeral_secret);
    memcpy(p + CHALLENGE_NONCE_AT, random->nonce, sizeof(random->nonce));
    struct signature signature =
        sign_detached(TRUST_COORDINATOR_CHALLENGE, challenge_signed_part(transcript), coordinator);
    memcpy(p + CHALLENGE_SIGNATURE_AT, signature.b, sizeof(signature.b));
    return 0;
}

int challenge_verify(const struct transcript *transcript, const struct public_key *pinned,
                     struct error *err) {
    struct hello hello;
    struct challenge challenge;
    int r = hello_decode(&hello, BYTES_OF(transcript->hello), err);
    if (r == 0)
        r = challenge_decode(&challenge, BYTES_OF(transcript->challenge), err);
    if (r < 0)
        return r;
    if (!public_key_equal(&challenge.coordinator, pinned)) {
        char theirs[KEDGE_FINGERPRINT_TEXT_SIZE], ours[KEDGE_FINGERPRINT_TEXT_SIZE];
        public_key_fingerprint(theirs, &challenge.coordinator);
        public_key_fingerprint(ours, pinned);
        return error_set(err, -EKEYREJECTED, "this coordinator has key %s, the known one has %s", theirs,
                         ours);
    }
    if (challenge.version != version_choose(&hello))
        return error_set(err, -EBADMSG, "challenge: version %u was not to be chosen", challenge.version);
    if (!verify_detached(TRUST_COORDINATOR_CHALLENGE, challenge_signed_part(transcript), pinned,
                         &challenge.signature))
        return error_set(err, -EKEYREJECTED, "challenge: the coordinator did not sign this");
    return 0;
}

/* ---- auth ---- */

int auth_sign(struct signature *out, const struct auth_request *request, struct error *err) {
    struct hello hello;
    int r = hello_decode(&hello, BYTES_OF(request->transcript->hello), err);
    if (r < 0)
        return r;
    if (strcmp(hello.node, request->node) != 0)
        return error_set(err, -EKEYREJECTED, "hello: it names node %s, this is %s", hello.node,
                         request->node);
    if (!public_key_equal(&hello.agent, &request->agent->public))
        return error_set(err, -EKEYREJECTED, "hello: it names another key than this node's");
    if (hello.version_min != PROTOCOL_VERSION_MIN || hello.version_max != PROTOCOL_VERSION_MAX)
        return error_set(err, -EKEYREJECTED, "hello: it offers versions %u to %u, this agent speaks %d to %d",
                         hello.version_min, hello.version_max, PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX);
    r = challenge_verify(request->transcript, request->coordinator, err);
    if (r < 0)
        return r;
    *out = sign_detached(TRUST_AGENT_AUTH, transcript_bytes(request->transcript), request->agent);
    return 0;
}

bool auth_verify(const struct transcript *transcript, struct bytes auth) {
    struct public_key agent;
    struct signature signature;
    if (auth.len != AUTH_BYTES)
        return false;
    memcpy(agent.b, transcript->hello + HELLO_KEY_AT, sizeof(agent.b));
    memcpy(signature.b, auth.data, sizeof(signature.b));
    return verify_detached(TRUST_AGENT_AUTH, transcript_bytes(transcript), &agent, &signature);
}

/* ---- session ---- */

struct digest session_id_of(const struct transcript *transcript) {
    return digest_of(transcript_bytes(transcript));
}

static void frame_keys_derive(struct frame_keys *keys, uint64_t first_id, const uint8_t master[static 32]) {
    crypto_kdf_derive_from_key(keys->key, sizeof(keys->key), first_id, "kedgekey", master);
    crypto_kdf_derive_from_key(keys->nonce, sizeof(keys->nonce), first_id + 1, "kedgekey", master);
}

int session_keys_derive(struct session_keys *keys, const struct transcript *transcript,
                        const struct handshake_randomness *own, enum message_role self, struct error *err) {
    const uint8_t *other = self == ROLE_AGENT ? transcript->challenge + CHALLENGE_EPHEMERAL_AT
                                              : transcript->hello + HELLO_EPHEMERAL_AT;
    uint8_t shared[crypto_scalarmult_BYTES], master[crypto_kdf_KEYBYTES];
    if (crypto_scalarmult(shared, own->ephemeral_secret, other) != 0)
        return error_set(err, -EKEYREJECTED, "handshake: ephemeral key of small order");

    struct digest session = session_id_of(transcript);
    crypto_generichash_state state;
    crypto_generichash_init(&state, shared, sizeof(shared), sizeof(master));
    crypto_generichash_update(&state, (const uint8_t *)keys_label, sizeof(keys_label));
    crypto_generichash_update(&state, session.b, sizeof(session.b));
    crypto_generichash_final(&state, master, sizeof(master));
    frame_keys_derive(&keys->to_coordinator, 1, master);
    frame_keys_derive(&keys->to_agent, 3, master);
    sodium_memzero(shared, sizeof(shared));
    sodium_memzero(master, sizeof(master));
    return 0;
}

void session_keys_deinit(struct session_keys *keys) {
    sodium_memzero(keys, sizeof(*keys));
}
