/* Every limit of Kedge in one place: the unit is in the name, the reason in the comment. */
#ifndef KEDGE_BASE_LIMITS_H
#define KEDGE_BASE_LIMITS_H

enum {
    /* Names (cluster, node, role, gate, step) are typed by people and printed in tables. */
    KEDGE_NAME_MAX = 63,
    /* "cluster/role@node" */
    KEDGE_MEMBER_NAME_MAX = 3 * KEDGE_NAME_MAX + 2,
    /* A path on a node: Linux' PATH_MAX. */
    KEDGE_PATH_MAX = 4095,
    /* One argument of a command: a Java class path of some hundred jars fits. */
    KEDGE_ARGUMENT_MAX = 32 * 1024,
    KEDGE_ARGUMENTS_MAX = 512,
    /* A reason that is shown to a person. */
    KEDGE_REASON_MAX = 512,
    /* One configuration file; the largest shipped one that we know has 60 KiB. */
    KEDGE_CONFIG_BYTES_MAX = 256 * 1024,
    /* One YAML file. */
    KEDGE_YAML_BYTES_MAX = 1024 * 1024,
    KEDGE_YAML_DEPTH_MAX = 16,
    /* One message on the fleet's line: a work order with its gates and shipped configuration fits twice. */
    KEDGE_MESSAGE_BYTES_MAX = 1024 * 1024,
    /* One frame: message, signature, header, AEAD tag. */
    KEDGE_FRAME_BYTES_MAX = KEDGE_MESSAGE_BYTES_MAX + 256,
    /* Frames before authentication are small: hello, challenge, auth. */
    KEDGE_HANDSHAKE_FRAME_BYTES_MAX = 1024,
    /* One request or reply of the control socket (a plan of thousands of members goes through it). */
    KEDGE_CONTROL_BYTES_MAX = 64 * 1024 * 1024,
    /* What one decoded document may cost in memory. */
    KEDGE_DOCUMENT_ARENA_BYTES_MAX = 8 * 1024 * 1024,
    /* Signatures on one header or manifest: people, not machines. */
    KEDGE_SIGNATURES_MAX = 16,
    KEDGE_STEPS_MAX = 32,
    KEDGE_ROWS_MAX = 32,
    KEDGE_GATES_MAX = 64,
    KEDGE_CHECKS_MAX = 16,
    /* Members that are on their way down at once and are named in a question; more wait. */
    KEDGE_BESIDE_MAX = 256,
    KEDGE_CONFIG_OPS_MAX = 256,
    /* Members of a plan; depth of its Merkle tree. */
    KEDGE_MEMBERS_MAX = 16384,
    KEDGE_MERKLE_DEPTH_MAX = 14,
    /* A signed release manifest: it travels with every order. About 90 bytes a file, so 8,000 files. */
    KEDGE_MANIFEST_BYTES_MAX = 768 * 1024,
    /* Files of one release. */
    KEDGE_RELEASE_FILES_MAX = 20000,
    KEDGE_RELEASE_BYTES_MAX_GIB = 8,
    /* What a command may print before it is cut. */
    KEDGE_COMMAND_OUTPUT_BYTES_MAX = 64 * 1024,
    /* What an action puts out for another one: one word of its command line, a path above all. */
    KEDGE_OUTPUT_MAX = 255,
    KEDGE_CAPTURES_MAX = 8, /* of one action */
    /* Signed, with the names of its plan, member and step; as hexadecimal digits it fits into a text of the journal. */
    KEDGE_OUTPUT_BYTES_MAX = 1000,
    /* Entries that a sample gate may keep. */
    KEDGE_SAMPLE_MAX = 256,
    /* Items that a probe may return (ledgers, nodes, members). */
    KEDGE_PROBE_ITEMS_MAX = 20000,
};

_Static_assert((1 << KEDGE_MERKLE_DEPTH_MAX) >= KEDGE_MEMBERS_MAX, "every member has a leaf");
_Static_assert(KEDGE_MANIFEST_BYTES_MAX < KEDGE_MESSAGE_BYTES_MAX, "an order carries its manifest");
_Static_assert(KEDGE_CONFIG_BYTES_MAX * 2 <= KEDGE_MESSAGE_BYTES_MAX, "a preview carries two configurations");

#endif
