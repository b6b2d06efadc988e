"""What the checks of this folder share: a tree of files, C without its comments, and the frame of a check.

A check is a function from a Tree to a list of findings, "file:line: what is wrong, what would be right".
It comes with trees that it must refuse, and is tried on those first: a check that finds nothing there fails.
"""
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Tree:
    """Paths from the top folder, each with its text."""

    def __init__(self, files):
        self.files = files

    @classmethod
    def of_repository(cls):
        """What git tracks or would track; files that are not text are left out."""
        files = {}
        for path in paths_of_repository():
            try:
                with open(os.path.join(TOP, path), encoding="utf-8") as file:
                    files[path] = file.read()
            except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
                continue
        return cls(files)

    def lines(self, pattern):
        """(path, number, line) of every file whose path matches."""
        for path in sorted(self.files):
            if re.search(pattern, path):
                for number, line in enumerate(self.files[path].splitlines(), 1):
                    yield path, number, line

    def code_lines(self, pattern=r"\.[ch]$"):
        """As lines(), of C without comments and without the insides of strings."""
        for path in sorted(self.files):
            if re.search(pattern, path):
                for number, line in enumerate(strip_c(self.files[path]).splitlines(), 1):
                    yield path, number, line


def paths_of_repository():
    """git's word on which files are ours; in an unpacked archive, all but the build folders."""
    git = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z", "-c", "-o", "--exclude-standard"],
                         cwd=TOP, capture_output=True, text=True)
    if git.returncode == 0:
        return sorted(set(filter(None, git.stdout.split("\0"))))
    paths = []
    for folder, folders, names in os.walk(TOP):
        folders[:] = [f for f in folders if not f.startswith("build") and f not in (".git", "__pycache__")]
        paths += [os.path.relpath(os.path.join(folder, name), TOP) for name in names]
    return sorted(paths)


C_TOKEN = re.compile(r"""
    (?P<comment> //[^\n]* | /\*.*?\*/ ) |
    (?P<string>  "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' )
""", re.VERBOSE | re.DOTALL)


def strip_c(text):
    """Blanks comments and the insides of strings; lines keep their numbers, #include keeps its name."""
    def blank(match):
        if match["comment"]:
            return re.sub(r"[^\n]", " ", match[0])
        line_start = text.rfind("\n", 0, match.start()) + 1
        if re.match(r"\s*#\s*include\b", text[line_start:match.start()]):
            return match[0]
        return match[0][0] + " " * (len(match[0]) - 2) + match[0][-1]
    return C_TOKEN.sub(blank, text)


def run(check, must_refuse, must_accept=()):
    """Tries the check on the trees, then on the repository; prints and exits. must_refuse: (files, words of a finding)."""
    for files, words in must_refuse:
        findings = check(Tree(files))
        if not any(words in finding for finding in findings):
            sys.exit(f"the check itself is broken: it does not find {words!r} in {files!r}, only {findings!r}")
    for files in must_accept:
        if findings := check(Tree(files)):
            sys.exit(f"the check itself is broken: it refuses {files!r}: {findings!r}")
    report(check(Tree.of_repository()), f"tried on {len(must_refuse)} trees that it must refuse")


def report(findings, said):
    """Prints the findings, if any, and exits accordingly."""
    for finding in findings:
        print(finding)
    if findings:
        sys.exit(f"{len(findings)} found; {said}")
    print(f"ok; {said}")
