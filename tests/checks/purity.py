#!/usr/bin/python3
"""usage: purity.py BUILD. A pure room decides and does nothing else: no clock, random source, file or socket.

Linking proves nothing, since all of these are in libc. So the undefined symbols of a pure archive are followed: each is
in the list below, or is defined by an object of our own whose symbols are followed in the same way. An object, not an
archive, is what is followed: a pure room may use common/base's arena, and not its files.
"""
import glob
import os
import subprocess
import sys

import house

# room                   its pure archives, * for all
PURE = {
    "common/trust":        "libkedge-verify.a",
    "common/plan":         "*.a",
    "agent/core":          "*.a",
    "coordinator/planner": "*.a",
    "coordinator/engine":  "*.a",
}

# Rooms that have not landed: their absence is no finding. Every other room above must have an archive.
NOT_YET = set()

ALLOWED = set("""
    malloc calloc realloc reallocarray free
    memchr memcmp memcpy memmove memset memmem mempcpy __memcpy_chk __memmove_chk __memset_chk explicit_bzero
    strlen strnlen strcmp strncmp strcasecmp strncasecmp strchr strrchr strchrnul strstr strspn strcspn strpbrk
    strdup strndup strsep strerror
    strtol strtoul strtoll strtoull __isoc23_strtoul __isoc23_strtoull __isoc23_strtol __isoc23_strtoll
    snprintf vsnprintf __snprintf_chk __vsnprintf_chk
    qsort bsearch __ctype_b_loc __ctype_tolower_loc __ctype_toupper_loc __errno_location
    abort __assert_fail __stack_chk_fail _GLOBAL_OFFSET_TABLE_
    crypto_generichash crypto_generichash_init crypto_generichash_update crypto_generichash_final
    crypto_hash_sha256 crypto_hash_sha256_init crypto_hash_sha256_update crypto_hash_sha256_final
    crypto_sign_verify_detached crypto_verify_32 sodium_memcmp sodium_is_zero sodium_memzero
    sodium_bin2hex sodium_hex2bin
    protobuf_c_message_init protobuf_c_message_unpack protobuf_c_message_free_unpacked
    protobuf_c_message_get_packed_size protobuf_c_message_pack protobuf_c_message_pack_to_buffer
    protobuf_c_message_descriptor_get_field_by_name
""".split())


class Object:
    """One compiled file: the symbols that it defines for others and those that it wants from others."""

    def __init__(self, name, defined=(), wanted=()):
        self.name, self.defined, self.wanted = name, set(defined), set(wanted)


def objects_of(archive):
    """The objects of an archive, as nm sees them."""
    text = subprocess.run(["nm", archive], capture_output=True, text=True, check=True).stdout
    objects = []
    for line in text.splitlines():
        words = line.split()
        if line.endswith(".o:"):
            objects.append(Object(os.path.basename(line[:-1])))
        elif len(words) >= 2 and words[-2] in "Uwv":
            objects[-1].wanted.add(words[-1])
        elif len(words) == 3 and words[1].isupper():
            objects[-1].defined.add(words[2])
    return objects


def way_out(wanted, defined_by, seen):
    """From a symbol to one that is not allowed, as a list of words; None when there is no such way."""
    if wanted in ALLOWED:
        return None
    home = defined_by.get(wanted)
    if home is None:
        return [wanted]
    if home.name in seen:
        return None
    seen.add(home.name)
    for symbol in sorted(home.wanted):
        if way := way_out(symbol, defined_by, seen):
            return [f"{wanted} ({home.name})"] + way
    return None


def check(pure, others):
    """pure: room -> objects; others: all other objects of ours. One finding for each symbol that should not be reached."""
    everything = others + [o for objects in pure.values() for o in objects]
    defined_by = {symbol: o for o in everything for symbol in o.defined}
    ways = {}
    for room, objects in pure.items():
        for o in objects:
            for symbol in sorted(o.wanted):
                if way := way_out(symbol, defined_by, set()):
                    ways.setdefault((room, way[-1]), [o.name + " uses"] + way)
    return [f"{room}: {way[0]} {' -> '.join(way[1:])}: {symbol} is not in the list of tests/checks/purity.py"
            for (room, symbol), way in ways.items()]


def self_test(build):
    """What must be found: in made-up objects, and in common/base, which reads and writes files."""
    lower = Object("file.c.o", ["file_read"], ["open64", "malloc"])
    clean = Object("bytes.c.o", ["bytes_equal"], ["memcmp"])
    for wanted, ok in {"malloc": True, "bytes_equal": True, "file_read": False, "time": False, "stdout": False}.items():
        findings = check({"room": [Object("a.c.o", ["a"], [wanted])]}, [lower, clean])
        if bool(findings) == ok:
            sys.exit(f"the check itself is broken: {wanted} gives {findings!r}")
    base = objects_of(os.path.join(build, "common/base/libkedge-base.a"))
    if not any("open64" in finding for finding in check({"common/base": base}, [])):
        sys.exit("the check itself is broken: it does not find that common/base opens files")


def main(build):
    self_test(build)
    archives = set(glob.glob(os.path.join(build, "**/lib*.a"), recursive=True))
    pure, findings = {}, []
    for room, pattern in PURE.items():
        ours = sorted(glob.glob(os.path.join(build, room, pattern)))
        if not ours and room not in NOT_YET:
            findings.append(f"{room}: no archive {pattern} in {build}/{room}")
        pure[room] = [o for archive in ours for o in objects_of(archive)]
        archives -= set(ours)
    findings += check(pure, [o for archive in sorted(archives) for o in objects_of(archive)])
    looked_at = ", ".join(room for room in pure if pure[room])
    absent = ", ".join(room for room in pure if not pure[room]) or "none"
    house.report(findings, f"looked at {looked_at}; not there yet: {absent}; tried on common/base, which it must refuse")


if __name__ == "__main__":
    main(sys.argv[1])
