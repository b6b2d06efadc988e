#!/usr/bin/env python3
"""A seed is the same run in every build: what it gives here is compared with gcc and clang, optimised or not, and with
the sanitizers. The other builds hold nothing but kedge-sim and are kept in hidden folders of this one, so a second call is short."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

SEEDS = "1..250"
SANITIZED = ["-Db_sanitize=address,undefined", "-Dc_args=-fno-sanitize-recover=all -fno-omit-frame-pointer"]
BUILDS = {"gcc": ("gcc", ["-Doptimization=0"]), "clang": ("clang", ["-Doptimization=2"]), "sanitized": ("gcc", SANITIZED)}


def run(*command, **kwargs):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kwargs)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout[-4000:]}")
    return done.stdout


def digest(program):
    return re.search(r"^digest ([0-9a-f]{16})$", run(program, "--seeds", SEEDS), re.MULTILINE).group(1)


def other(folder, source, compiler, options):
    environment = {**os.environ, "CC": compiler}
    if not (folder / "build.ninja").exists():
        run("meson", "setup", folder, source, *options, env=environment)
    run("ninja", "-C", folder, "tests/sim/kedge-sim", env=environment)
    return folder / "tests/sim/kedge-sim"


def main():
    here, source, build = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    expected, bad = digest(here), False
    for name, (compiler, options) in BUILDS.items():
        if not shutil.which(compiler):
            print(f"{name}: there is no {compiler} here, not compared")
            continue
        found = digest(other(build / f".kedge-sim-{name}", source, compiler, options))
        bad = bad or found != expected
        print(f"{name}: {found}{'' if found == expected else f', and here {expected}: a draw depends on the build'}")
    sys.exit(bad)


main()
