/* The handshake: two strangers become a session. Pure: bytes in, bytes out, randomness is passed in.
 *
 *     hello      agent → coordinator   versions, node name, agent's key Ka, ephemeral X25519 key Ea, nonce Na
 *     challenge  coordinator → agent   version, coordinator's key Kc, ephemeral Ec, nonce Nc,
 *                                      SIGN Kc ("kedge/1/coordinator/handshake-challenge" 0 | hello | challenge before it)
 *     auth       agent → coordinator   SIGN Ka ("kedge/1/agent/handshake-auth" 0 | hello | challenge)
 *
 *     session  := BLAKE2b-256(hello | challenge)
 *     master   := BLAKE2b-256(key = X25519(Ea, Ec), "kedge/1/session-keys" 0 | session)
 *     keys     := crypto_kdf(master): key and nonce of each direction
 *
 * This is the signed Diffie-Hellman of the SIGMA family in its plain form (ISO/IEC 9798-3 with both identities inside
 * what is signed): each side signs both ephemeral keys, both nonces, both identity keys and the version range and choice, so
 * there is no misbinding of identities and no downgrade (A43). Both nonces are in the session id, and every later message
 * is signed over it, so nothing of one session is worth anything in another (A3, A7). Identities are not hidden.
 *
 * On the node two processes share the agent's side: link holds the ephemeral key and the frames, the executor holds Ka.
 * The executor signs only a transcript that it has checked itself (auth_sign), and learns the session id by that. */
#ifndef KEDGE_PROTO_HANDSHAKE_H
#define KEDGE_PROTO_HANDSHAKE_H

#include "common/trust/keys.h"
#include "proto/frame.h"
#include "proto/message_types.h"

enum {
    PROTOCOL_VERSION_MIN = 1,
    PROTOCOL_VERSION_MAX = 1,
    HELLO_BYTES = 164,
    CHALLENGE_BYTES = 164,
    AUTH_BYTES = KEDGE_SIGNATURE_LEN,
    NONCE_BYTES = 32,
    EPHEMERAL_BYTES = 32,
};

/* u8 version_min | u8 version_max | u8 name length | u8 0 | name, zero padded to 64 | key | ephemeral | nonce */
struct hello {
    uint8_t version_min, version_max;
    char node[KEDGE_NAME_MAX + 1];
    struct public_key agent;
    uint8_t ephemeral[EPHEMERAL_BYTES];
    uint8_t nonce[NONCE_BYTES];
};

/* u8 version | 3 * 0 | key | ephemeral | nonce | signature */
struct challenge {
    uint8_t version;
    struct public_key coordinator;
    uint8_t ephemeral[EPHEMERAL_BYTES];
    uint8_t nonce[NONCE_BYTES];
    struct signature signature;
};

/* What both sides have seen, byte by byte. */
struct transcript {
    uint8_t hello[HELLO_BYTES];
    uint8_t challenge[CHALLENGE_BYTES];
};

/* Fresh random bytes for one handshake, of which each side passes in its own. */
struct handshake_randomness {
    uint8_t ephemeral_secret[EPHEMERAL_BYTES];
    uint8_t nonce[NONCE_BYTES];
};

struct session_keys {
    struct frame_keys to_coordinator, to_agent;
};

/* Letters, digits, '.', '-' and '_', not beginning with a '.' or '-', 1 to KEDGE_NAME_MAX long. */
bool node_name_is_valid(const char *name);

/* All decoders are strict (length, padding, ranges): -EBADMSG with a sentence. Nothing is believed yet. */
int hello_decode(struct hello *hello, struct bytes bytes, struct error *err) _must_check_;
int challenge_decode(struct challenge *challenge, struct bytes bytes, struct error *err) _must_check_;

/* Agent (link): the first bytes of a connection. */
void hello_make(uint8_t out[static HELLO_BYTES], const char *node, const struct public_key *agent,
                const struct handshake_randomness *random);

/* Coordinator: answers transcript->hello by filling transcript->challenge. HANDSHAKE_NO_VERSION (positive), or -EBADMSG. */
enum { HANDSHAKE_NO_VERSION = 1 };
int challenge_make(struct transcript *transcript, const struct key_pair *coordinator,
                   const struct handshake_randomness *random, struct error *err) _must_check_;

/* Agent, both processes: the challenge answers this hello, names a version in its range and is signed by the pinned key.
 * -EBADMSG or -EKEYREJECTED with a sentence. */
int challenge_verify(const struct transcript *transcript, const struct public_key *pinned,
                     struct error *err) _must_check_;

/* Agent (executor): as challenge_verify, and the hello must be one for this node and this key with all the versions that we
 * speak; then signs. This is the only thing that link can make the executor sign without its having said so itself. */
struct auth_request {
    const struct transcript *transcript;
    const char *node;
    const struct key_pair *agent;
    const struct public_key *coordinator;
};
int auth_sign(struct signature *out, const struct auth_request *request, struct error *err) _must_check_;

/* Coordinator: true if the agent that the hello names signed this transcript. */
bool auth_verify(const struct transcript *transcript, struct bytes auth) _must_check_;

struct digest session_id_of(const struct transcript *transcript);

/* -EKEYREJECTED when the other's ephemeral key is of small order. */
int session_keys_derive(struct session_keys *keys, const struct transcript *transcript,
                        const struct handshake_randomness *own, enum message_role self,
                        struct error *err) _must_check_;
void session_keys_deinit(struct session_keys *keys);

#endif
