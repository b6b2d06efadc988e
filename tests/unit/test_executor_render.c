/* Why whole files are compared: what an operator wrote and no operation names must come out to the byte. */
#include "agent/executor/render.h"
#include "tests/unit/test.h"

static const char found[] =
    "# the port\nport=3181\n\n  zk = a:1,b:2\nsecret: hunter2\nlong=a,\\\n  b\n#off=1";

static const char *apply(const struct config_op *ops, size_t n_ops, const char *shipped) {
    static struct buffer out;
    struct render render = {.path = "x", .name = "x", .ops = ops, .n_ops = n_ops};
    if (shipped) {
        render.has_shipped = true;
        render.shipped = bytes_of_text(shipped);
    }
    struct error err;
    buffer_clear(&out);
    if (render_apply(&render, bytes_of_text(found), &out, &err) < 0) {
        static char text[KEDGE_ERROR_TEXT_MAX];
        memcpy(text, err.text, sizeof(text));
        return text;
    }
    return out.data ? (const char *)out.data : "";
}

TEST("without operations the file stays as it is, to the byte") {
    check_eq_str(apply(NULL, 0, NULL), found);
}

TEST("set, remove, rename and add keep comments and order") {
    struct config_op ops[] = {{CONFIG_SET, "port", "3182"},
                              {CONFIG_REMOVE, "long", NULL},
                              {CONFIG_RENAME, "zk", "zkServers"},
                              {CONFIG_ADD_IF_MISSING, "new", "1"},
                              {CONFIG_ADD_IF_MISSING, "secret", "no"},
                              {CONFIG_SET, "off", "2"}};
    check_eq_str(apply(ops, ARRAY_LEN(ops), NULL), "# the port\nport=3182\n\nzkServers=a:1,b:2\nsecret: "
                                                   "hunter2\n# removed by kedge: long=a,\\\n#   b\n#off=1\n"
                                                   "new=1\noff=2\n");
}

TEST("a shipped base carries the operator's values over, and nothing else") {
    struct config_op ops[] = {
        {CONFIG_CARRY, "port", NULL}, {CONFIG_CARRY, "zk", NULL}, {CONFIG_CARRY, "nowhere", NULL}};
    check_eq_str(apply(ops, ARRAY_LEN(ops), "# shipped\nport=1\nstats=x\n"),
                 "# shipped\nport=3181\nstats=x\nzk=a:1,b:2\n");
}

TEST("operations that make no sense are refused by name") {
    struct config_op twice[] = {{CONFIG_SET, "port", "1"}, {CONFIG_REMOVE, "port", NULL}};
    check_contains(apply(twice, 2, NULL), "\"port\": two operations");
    struct config_op breaks = {CONFIG_SET, "port", "1\nevil=2"};
    check_contains(apply(&breaks, 1, NULL), "a line break");
    struct config_op empty = {CONFIG_SET, "port", NULL};
    check_contains(apply(&empty, 1, NULL), "has no value");
}

TEST("a value is the last one that the file sets") {
    _cleanup_(arena_freep) struct arena *arena = arena_new(1 << 16);
    check_eq_str(config_value(CONFIG_PROPERTIES, bytes_of_text("a=1\na = 2 \n#a=3"), "a", arena), "2");
    check(config_value(CONFIG_PROPERTIES, bytes_of_text("ab=1"), "a", arena) == NULL);
}

TEST("F25 a diff shows what changes and masks what is not clear") {
    const char *clear[] = {"port"};
    _cleanup_(buffer_deinit) struct buffer out = {0};
    render_diff(CONFIG_PROPERTIES, bytes_of_text("a=1\nb=2\nc=3\nport=1\nsecret=x\nd=4\ne=5\nf=6\n"),
                bytes_of_text("a=1\nb=2\nc=3\nport=2\nsecret=y\nd=4\ne=5\nf=6\ng=7\n"), clear, 1, &out);
    check_eq_str((const char *)out.data, "  b=****\n  c=****\n- port=1\n- secret=****\n+ port=2\n+ "
                                         "secret=****\n  d=****\n  e=****\n  f=****\n+ g=****\n");
}
