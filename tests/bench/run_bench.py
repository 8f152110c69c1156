#!/usr/bin/python3
"""Measures memfuse's file data beside kernel tmpfs. See README.md in this folder.

The interpreter is Debian's: python3-matplotlib is for that one.
"""

import sys

sys.dont_write_bytecode = True  # The checkout stays as it was.

import argparse
import json
import os
import re
import shutil
import subprocess
import tempfile

import chart
import machine
import memory
import report
from cells import JOBS, PRESETS, chosen
from commands import Failure, interrupts
from measure import YARDSTICK, Run
from targets import PEERS, all_targets, clean_up, find_peer

PROGRAM = "run_bench.py"
SMALLEST = 16 << 20

Wrong = argparse.ArgumentTypeError  # Of one flag, which argparse then names.


class Parser(argparse.ArgumentParser):
    def error(self, message):
        """One line; --help has the rest."""
        raise Failure(message.removeprefix("argument "))


def size_of(text):
    found = re.fullmatch(r"(\d+)([kmg]?)", text.lower())
    if not found:
        raise Wrong(f"'{text}' is no size; give bytes, or a number with k, m or g")
    return int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[found[2]]


def positive(kind):
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < 1e6:
            raise Wrong(f"'{text}' is no positive number")
        return value

    return parse


def pattern(text):
    try:
        return re.compile(text)
    except re.error as error:
        raise Wrong(f"'{text}' is no regular expression: {error}") from error


def presets(text):
    names = text.split(",")
    for name in names:
        if name not in PRESETS:
            raise Wrong(f"'{name}' is none of {', '.join(PRESETS)}")
    return names


def parse(arguments):
    parser = Parser(prog=PROGRAM, description="Measures memfuse's file data beside kernel tmpfs.")
    add = parser.add_argument
    add("--memfuse", required=True, metavar="PROGRAM", help="the release build")
    add("--cells", type=presets, default=["quick", "transport"], metavar="quick,transport,full",
        help="what is measured (default: quick,transport)")  # fmt: skip
    add("--only", type=pattern, default=pattern(""), metavar="REGEX",
        help="only where it is found in TARGET/CELL; tmpfs is measured with them")  # fmt: skip
    add("--rounds", type=positive(int), default=5, help="(default: 5)")
    add("--size", type=size_of, default=size_of("512m"), help="of a target's files (default: 512m)")
    add("--seconds", type=positive(float), default=3.0, help="for a cell (default: 3)")
    add("--threads", type=positive(int), default=4, help="of memfuse (default: 4)")
    add("--memory", action="store_true", help="measure memory instead of time")
    add("--memory-size", type=size_of, default=size_of("4g"), metavar="SIZE",
        help="of the file whose memory is measured (default: 4g)")  # fmt: skip
    for name in ("json", "svg", "markdown"):
        add(f"--{name}", metavar="FILE", help="write the results there, too")
    return parser.parse_args(arguments)


def say(text):
    print(f"{PROGRAM}: {text}", file=sys.stderr, flush=True)


def install_missing():
    """As the scripts in packaging/ do it."""
    deps = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../packaging/deps.sh")
    wanted = ["fio", "fuse3"] + ([] if find_peer() else [PEERS[0]])
    install = ["bash", "-c", '. "$1"; shift; install_missing "$@"', PROGRAM, deps]
    for package in wanted:
        # A package that is not to be had shows where it is needed.
        subprocess.run(install + [package], stdout=sys.stderr, check=False)


def check(options):
    """Everything that can be known before the first mount."""
    if os.geteuid() != 0:
        raise Failure("run it as root: it mounts tmpfs, drops caches and becomes nobody")
    options.memfuse = os.path.realpath(options.memfuse)
    if not (os.path.isfile(options.memfuse) and os.access(options.memfuse, os.X_OK)):
        raise Failure("--memfuse is no program; build it with 'cmake --build --preset release'")
    for path in filter(None, (options.json, options.svg, options.markdown)):
        if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
            raise Failure(f"there is no directory for {path}")
    if options.svg:
        if options.memory:
            raise Failure("--memory draws no chart")
        chart.load()
    if min(options.size, options.memory_size) < SMALLEST:
        raise Failure("the files must be 16m or more to tell anything")
    if not os.path.exists("/dev/fuse"):
        raise Failure("there is no /dev/fuse")
    install_missing()
    if not shutil.which("fio"):
        raise Failure("fio is not installed")


def fitting_size(wanted, targets):
    """All files together, with one that a cell writes anew, take a quarter of memory at most."""
    files = sum(target.data or target.transport for target in targets) + 1
    limit = machine.memory_total() // 4 // files
    size = min(wanted, limit)
    # Whole blocks for every number of jobs.
    size -= size % (max(JOBS) << 20)
    if size < SMALLEST:
        raise Failure("this machine has too little memory to compare so many file systems")
    if size < wanted:
        say(f"files of {size >> 20} MiB instead of {wanted >> 20}: all take a quarter of memory")
    return size


def mount_all(targets, work):
    for target in targets:
        try:
            target.mount(work)
        except Failure as failure:
            target.fail(failure)
            say(f"{target.label} failed: {target.failed}")
            if target.label == YARDSTICK:
                raise Failure(f"{YARDSTICK}, the yardstick, failed: {target.failed}") from failure


def measure_time(options, targets, work):
    """Tables, the JSON part, and the sentence on how they came about."""

    def asked(cell, target):
        return cell.wanted_of(target) and options.only.search(f"{target.label}/{cell.name}")

    cells = [
        cell for cell in chosen(options.cells) if any(asked(cell, target) for target in targets)
    ]
    if not cells:
        raise Failure("--only leaves nothing to measure")

    def wanted(cell, target):
        return target.label == YARDSTICK or asked(cell, target)

    targets = [target for target in targets if any(wanted(cell, target) for cell in cells)]
    size = fitting_size(options.size, targets)
    mount_all(targets, work)
    run = Run(targets, options.rounds, size, options.seconds, wanted, say)
    run.measure(cells)
    results = {
        cell: {target.label: run.samples.summary(cell, target) for target in targets}
        for cell in cells
    }
    options.size = size
    note = f"{options.rounds} rounds, {options.seconds:g} s per cell, files of {size >> 20} MiB"
    if options.svg:
        chart.draw(targets, results, options.svg, f"Median of {options.rounds} rounds, min-max.")
    return report.tables(targets, results), report.as_json(targets, results), note


def measure_memory(options, targets, work):
    wanted = [
        target
        for target in targets
        if target.label in memory.STORES and options.only.search(target.label)
    ]
    if not wanted:
        raise Failure("--only leaves nothing to measure")
    available = machine.memory_info()["MemAvailable"]
    if options.memory_size * 1.25 > available:
        raise Failure("there is not enough memory for such a file: lower --memory-size")
    results = memory.measure(wanted, work, options.rounds, options.memory_size, say)
    note = f"{options.rounds} rounds"
    return report.memory_tables(results), {"memory": results}, note


def write(path, text):
    if path:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def benchmark(options):
    """Whether all went well."""
    peer = find_peer()
    facts = machine.facts(options.memfuse, peer)
    targets = all_targets(options.memfuse, options.threads, peer)
    work = os.path.realpath(tempfile.mkdtemp(prefix="memfuse_bench."))
    os.chmod(work, 0o755)  # For nobody.
    try:
        try:
            how = measure_memory if options.memory else measure_time
            made, results, note = how(options, targets, work)
        finally:
            interrupts.ignore()
    finally:
        clean_up(targets, work)
    note += f", --threads={options.threads}"
    print(report.document(made, facts, note, markdown=False), end="")
    settings = {
        "rounds": options.rounds,
        "seconds": options.seconds,
        "size_bytes": options.memory_size if options.memory else options.size,
        "threads": options.threads,
        "note": note,
    }
    document = {"machine": facts, "settings": settings, **results}
    write(options.markdown, report.document(made, facts, note, markdown=True))
    write(options.json, json.dumps(document, indent=1) + "\n")
    missed = [result for result in results.get("memory", []) if result.get("misses")]
    return not missed and not any(target.failed for target in targets)


def main(arguments):
    try:
        options = parse(arguments)
        check(options)
        interrupts.catch()
        return 0 if benchmark(options) else 1
    except Failure as failure:
        say(failure)
    except OSError as error:
        say(f"{error.filename}: {error.strerror}" if error.filename else error)
    except KeyboardInterrupt:
        say("interrupted; nothing is left mounted")
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
