#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Installs what is missing, builds, and runs the tests.

  ./test          everything under 30 minutes: tidy, units, simulator, units under ASan and UBSan, 5
                  seconds of every fuzz target, scenarios and interop on real QEMU and real peers
  ./test quick    the edit loop: tidy, units (some simulated seeds among them), fast scenarios
  ./test soak     besides: every fuzz target for 20 minutes, units under TSan, the SPICE server
                  library under ASan inside QEMU, full matrices, a million simulated
                  seeds, long soaks; results belong in docs/results/

The last line is `N passed, M failed, K skipped`; exit 0 only if nothing failed. A skip that is not
in tests/allowed-skips.txt counts as a failure.
"""
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "reports"
MODES = ("all", "quick", "soak")
# Far above what they take on two cores (15 minutes), so that one that hangs is told and the rest
# of the gate still runs.
PYTEST_SECONDS = 40 * 60
# Of a file that tests/durations.txt does not name.
UNKNOWN_SECONDS = 16


def run(command, **options):
    print("+", " ".join(str(word) for word in command), flush=True)
    return subprocess.run(command, cwd=ROOT, check=False, **options).returncode


def ctest(preset, labels, extra=()):
    """Runs the CTest cases of one preset that carry one of the labels; returns the report."""
    report = OUT / f"ctest-{preset}-{labels.replace('|', '-')}.xml"
    report.unlink(missing_ok=True)
    run(["ctest", "--test-dir", f"build/{preset}", "-L", labels, "-j", str(os.cpu_count()),
         "--output-on-failure", "--output-junit", str(report), "--progress", *extra],
        stdout=None)
    return report


def pytest(places, marker, name="scenarios", environment=None, **options):
    """Runs what carries the marker; returns the report, which is missing where the run itself hung
    (a test that waits inside a library's code cannot be ended by pytest)."""
    report = OUT / f"pytest-{name}.xml"
    report.unlink(missing_ok=True)
    bound = {} if "soak" in marker else {"timeout": PYTEST_SECONDS}
    try:
        run(["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", marker,
             f"--junitxml={report}", *places], env=environment, **bound, **options)
    except subprocess.TimeoutExpired:
        print(f"test: {name} did not end within {PYTEST_SECONDS} s and were killed", flush=True)
    return report


def dealt(hands):
    """The files of scenarios and interop in so many hands, which take about equally long: the
    longest first, each to the hand that has the least."""
    known = {}
    for line in (ROOT / "tests" / "durations.txt").read_text().split("\n"):
        if line and not line.startswith("#"):
            seconds, name = line.split()
            known[name] = int(seconds)
    files = [f"{room}/{path.name}" for room in ("scenario", "interop")
             for path in sorted((ROOT / "tests" / room).glob("test_*.py"))]
    hand = [(0, []) for _ in range(hands)]
    for name in sorted(files, key=lambda name: -known.get(name, UNKNOWN_SECONDS)):
        least = min(range(hands), key=lambda at: hand[at][0])
        seconds, held = hand[least]
        hand[least] = (seconds + known.get(name, UNKNOWN_SECONDS), held + [name])
    return [[f"tests/{name}" for name in held] for _, held in hand]


def scenarios_and_interop(marker):
    """In two hands at once: each waits for guests most of the time. What the second says comes
    last."""
    first, second = dealt(2)
    with open(OUT / "pytest-second.log", "w+", encoding="utf-8") as log:
        with ThreadPoolExecutor() as beside:
            other = beside.submit(pytest, second, marker, "second", stdout=log, stderr=log)
            reports = [pytest(first, marker, "first"), other.result()]
        log.seek(0)
        print(log.read(), flush=True)
    note_durations(reports)
    return reports


def note_durations(reports):
    """What tests/durations.txt would say after this run, in the place of the reports."""
    seconds = {}
    for report in reports:
        for case in ElementTree.parse(report).getroot().iter("testcase") if report.exists() else ():
            name = case.get("classname").replace(".", "/") + ".py"
            seconds[name] = seconds.get(name, 0) + float(case.get("time"))
    longest_first = sorted(seconds.items(), key=lambda entry: -entry[1])
    (OUT / "durations.txt").write_text("".join(f"{took:.0f} {name}\n"
                                               for name, took in longest_first))


def library_under_asan():
    """The SPICE server library with GCC's sanitizers inside real QEMU, under real clients."""
    if run(["cmake", "--preset", "asan"], stdout=subprocess.DEVNULL) != 0:
        return OUT / "pytest-asan.xml"
    run(["cmake", "--build", "--preset", "asan", "--target", "segue_libspice_server"])
    runtimes = [subprocess.check_output(["g++", f"-print-file-name={name}"], text=True).strip()
                for name in ("libasan.so", "libubsan.so")]
    environment = dict(os.environ, SEGUE_SPICE_LIBRARY=str(ROOT / "build" / "asan" / "lib"),
                       SEGUE_SPICE_PRELOAD=":".join(runtimes))
    places = sorted(str(path) for path in ROOT.glob("tests/interop/test_spice_*.py"))
    return pytest(places, "quick or full", "asan", environment)


def allowed_skips():
    allowed = {}
    for line in (ROOT / "tests" / "allowed-skips.txt").read_text().split("\n"):
        if line and not line.startswith("#"):
            name, reason = line.split(None, 1)
            allowed[name] = reason
    return allowed


def count(reports):
    passed = failed = skipped = 0
    allowed = allowed_skips()
    for report in reports:
        if not report.exists():
            print(f"test: {report.name} was not written: counted as a failure")
            failed += 1
            continue
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name')}"
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
                print(f"FAILED {name}")
            elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
                if case.get("name") in allowed or name in allowed:
                    skipped += 1
                    print(f"skipped {name}: {allowed.get(case.get('name')) or allowed[name]}")
                else:
                    failed += 1
                    print(f"FAILED {name}: skipped, and tests/allowed-skips.txt does not allow it")
            else:
                passed += 1
    return passed, failed, skipped


def reports_of(mode):
    """Builds and runs, one preset after the other (two cores: never two builds at once)."""
    presets = {"quick": ["release"], "all": ["release", "fuzz"],
               "soak": ["release", "fuzz", "tsan"]}[mode]
    if run(["./setup", *presets]) != 0:
        return None
    reports = [ctest("release", "unit|tidy" if mode == "quick" else "unit|tidy|sim")]
    if mode == "quick":
        return reports + scenarios_and_interop("quick")
    reports.append(ctest("fuzz", "unit|fuzz"))
    if mode == "all":
        return reports + scenarios_and_interop("quick or full")
    reports += [ctest("release", "long"), ctest("tsan", "unit"), library_under_asan()]
    places = ["tests/scenario", "tests/interop"]
    return reports + [pytest(places, "quick or full or soak")]


def main():
    mode = sys.argv[1] if len(sys.argv) > 1 else "all"
    if mode not in MODES or len(sys.argv) > 2:
        print(__doc__)
        return 2
    OUT.mkdir(parents=True, exist_ok=True)
    if mode == "soak":
        os.environ.setdefault("SEGUE_FUZZ_SECONDS", "1200")
    reports = reports_of(mode)
    if reports is None:
        print("test: the build failed\n0 passed, 1 failed, 0 skipped")
        return 1
    passed, failed, skipped = count(reports)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
