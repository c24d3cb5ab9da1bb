#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rules of the house that a script can check. One line a finding; exit 1 on any.

  tidy.py [--no-format]    --no-format leaves clang-format out (it is the slow part)
"""
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# ARCHITECTURE.md, "Downward only": a room may include rooms of lower levels, and itself.
LEVELS = [
    ["base"],
    ["schema", "observe"],
    ["net", "domain", "store", "spice/wire", "spice/codec"],
    ["qemu", "rpc", "spice/canvas", "spice/control"],
    ["migrate", "screen", "protect"],
    ["arbiter", "spice/server", "spice/client"],
    ["spice/abi", "viewer", "daemon", "standby", "cli"],
]
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
# Within one level the first may include the second.
SAME_LEVEL = {("daemon", "standby")}
# Rooms without I/O: they see neither sockets nor stores nor the loop.
PURE = {"migrate", "screen", "spice/wire", "spice/codec"}
NOT_FOR_PURE = re.compile(r'#include "(net/|store/|base/loop\.h)')
ABI_NEVER = re.compile(r'#include "(rpc|qemu|migrate|store)/')

COLUMNS = 100
FILE_WARN, FILE_FAIL = 600, 1000
FUNCTION_LINES = 70

BANNED = [
    (re.compile(r"\b(?:std::)?(?:rand|srand)\s*\("), "use base/random.h"),
    (re.compile(r"(?<![\w.>:])(?:std::)?time\s*\(\s*(?:NULL|nullptr|0|&)"), "use base/time.h"),
    (re.compile(r"(?:steady|system|high_resolution)_clock::now"), "use base/time.h"),
    (re.compile(r"#include <regex>"), "2.6 s per file: parse by hand"),
    (re.compile(r"std::views::|std::ranges::views"), "clang 14 cannot read it"),
    (re.compile(r"#include <(?:experimental/)?source_location>"), "clang 14 cannot read it"),
    (re.compile(r"\b(?:strcpy|strcat|sprintf|gets|alloca)\s*\("), "bounded calls only"),
]
CLOCK_OWNERS = ("src/base/",)

FUNCTION_START = re.compile(
    r"^(\s*)(?!\s*(?:if|for|while|switch|else|do|catch|namespace|struct|class|enum|union|return)\b)"
    r".*\).*\{$"
)


def tracked_files():
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [name for name in listing if name and (ROOT / name).is_file()]


def room_of(name):
    if not name.startswith("src/"):
        return None
    inside = name[len("src/"):]
    matches = [room for room in LEVEL_OF if inside.startswith(room + "/")]
    return max(matches, key=len) if matches else None


def allowed(room, other):
    if room == other or LEVEL_OF[other] < LEVEL_OF[room]:
        return True
    return (room, other) in SAME_LEVEL


def check_includes(name, lines, report):
    room = room_of(name)
    if room is None:
        return
    for number, line in enumerate(lines, 1):
        found = re.match(r'#include "([^"]+)"', line)
        if not found:
            continue
        other = room_of("src/" + found.group(1))
        if other and not allowed(room, other):
            report(name, number, f"{room} must not include {other} (downward only)")
        is_test = re.search(r"_(test|fuzz|bench)\.cpp$", name)
        if room in PURE and not is_test and NOT_FOR_PURE.match(line):
            report(name, number, f"{room} does no I/O")
        if room == "spice/abi" and ABI_NEVER.match(line):
            report(name, number, "spice/abi links nothing of rpc, qemu, migrate, store")


def indent_where_it_opens(lines, number):
    """Of the line on which the brackets open that this one closes: a signature of several lines."""
    depth = 0
    for at in range(number, -1, -1):
        depth += lines[at].count(")") - lines[at].count("(")
        if depth <= 0:
            return re.match(r"\s*", lines[at]).group(0)
    return ""


def check_functions(name, lines, report):
    for number, line in enumerate(lines):
        start = FUNCTION_START.match(line)
        if not start or line.lstrip().startswith("//"):
            continue
        closing = indent_where_it_opens(lines, number) + "}"
        for end in range(number + 1, len(lines)):
            if lines[end].startswith(closing) and not lines[end].startswith(closing + " else"):
                if end - number - 1 > FUNCTION_LINES:
                    report(name, number + 1,
                           f"function of {end - number - 1} lines (at most {FUNCTION_LINES})")
                break


def check_text(name, lines, report):
    if len(lines) > FILE_FAIL:
        report(name, 1, f"{len(lines)} lines (at most {FILE_FAIL})")
    elif len(lines) > FILE_WARN:
        print(f"{name}: warning: {len(lines)} lines: a room that may want a wall")
    head = "\n".join(lines[:5])
    if "SPDX-License-Identifier: LGPL-2.1-or-later" not in head:
        report(name, 1, "no SPDX line")
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS:
            report(name, number, f"{len(line)} columns (at most {COLUMNS})")


def check_guarded(name, lines, report):
    """No exception reaches C: an export that looks behind a handle does so inside a guard."""
    if not re.match(r"src/spice/abi/\w+_abi\.cpp$", name) or 'extern "C" {' not in lines:
        return
    begin = lines.index('extern "C" {') + 1
    ends = [number for number in range(begin, len(lines)) if lines[number] == "}"]
    for begin, end in zip([begin, *ends], ends):
        body = "\n".join(lines[begin:end])
        behind = re.search(r"->|\bdelete\b", body)
        guard = re.search(r"\b(?:guarded|guarded_value|with_device|with_display)\b", body)
        if behind and not (guard and guard.start() < behind.start()):
            report(name, end + 1, "an export without a guard (spice/abi/guard.h)")


def check_banned(name, lines, report):
    for number, line in enumerate(lines, 1):
        code = line.split("//")[0]
        for pattern, remedy in BANNED:
            if pattern.search(code) and not name.startswith(CLOCK_OWNERS):
                report(name, number, f"'{pattern.search(code).group(0)}': {remedy}")


def check_markdown(name, lines, report):
    fenced, headings = False, 0
    for line in lines:
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and line.startswith("# "):
            headings += 1
    if headings != 1:
        report(name, 1, f"{headings} first-level headings (exactly one)")


def check_format(names, report):
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if tool is None:
        report(".clang-format", 1, "clang-format is missing: run ./setup")
        return
    for start in range(0, len(names), 100):
        done = subprocess.run([tool, "--dry-run", "--Werror", *names[start:start + 100]],
                              cwd=ROOT, capture_output=True, text=True, check=False)
        for line in done.stderr.split("\n"):
            if "error:" in line:
                print(line.replace(str(ROOT) + "/", ""))
                report.count += 1


class Report:
    count = 0

    def __call__(self, name, number, message):
        print(f"{name}:{number}: {message}")
        self.count += 1


def main():
    report = Report()
    sources = []
    for name in tracked_files():
        if name.endswith((".cpp", ".h", ".c")):
            lines = (ROOT / name).read_text().split("\n")[:-1]
            sources.append(name)
            check_text(name, lines, report)
            check_includes(name, lines, report)
            check_functions(name, lines, report)
            check_guarded(name, lines, report)
            check_banned(name, lines, report)
        elif name.endswith((".py", ".sh", ".cmake", ".schema")) or "CMakeLists" in name:
            check_text(name, (ROOT / name).read_text().split("\n")[:-1], report)
        elif name.endswith(".md"):
            check_markdown(name, (ROOT / name).read_text().split("\n")[:-1], report)
    if "--no-format" not in sys.argv[1:]:
        check_format(sources, report)
    print(f"tidy: {len(sources)} sources, {report.count} findings")
    return 1 if report.count else 0


if __name__ == "__main__":
    sys.exit(main())
