#!/usr/bin/python3 -B
"""Measures memfuse's file data beside kernel tmpfs. See README.md in this folder.

The interpreter is Debian's: python3-matplotlib is for that one. -B: it leaves no files in the
checkout.
"""

import json
import os
import shutil
import tempfile

import chart
import machine
import memory
import report
from cells import JOBS, PRESETS, chosen
from command_line import (
    Parser,
    check_basics,
    install_missing,
    names_of,
    pattern,
    positive,
    run_program,
    size_of,
    speaker,
    write,
)
from commands import Failure, interrupts
from measure import YARDSTICK, Run, mount_all
from targets import PEERS, all_targets, clean_up, find_peer

PROGRAM = "run_bench.py"
SMALLEST = 16 << 20

say = speaker(PROGRAM)


def parse(arguments):
    parser = Parser(prog=PROGRAM, description="Measures memfuse's file data beside kernel tmpfs.")
    add = parser.add_argument
    add("--memfuse", required=True, metavar="PROGRAM", help="the release build")
    add("--cells", type=names_of(PRESETS), default=["quick", "transport"],
        metavar="quick,transport,full",
        help="the presets to measure (default: quick,transport)")  # fmt: skip
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


def check(options):
    """The checks that need no mount."""
    check_basics(options, (options.json, options.svg, options.markdown))
    if options.svg:
        if options.memory:
            raise Failure("--memory draws no chart")
        chart.load()
    if min(options.size, options.memory_size) < SMALLEST:
        raise Failure("the files must be 16m or more to tell anything")
    install_missing(PROGRAM, ["fio", "fuse3"] + ([] if find_peer() else [PEERS[0]]))
    if not shutil.which("fio"):
        raise Failure("fio is not installed")


def fitting_size(wanted, targets):
    """All files together, including one that a cell writes, take a quarter of memory at most."""
    files = sum(target.data or target.transport for target in targets) + 1
    limit = machine.memory_total() // 4 // files
    size = min(wanted, limit)
    # The size is a multiple of the block size for every number of jobs.
    size -= size % (max(JOBS) << 20)
    if size < SMALLEST:
        raise Failure("this machine has too little memory to compare so many file systems")
    if size < wanted:
        say(f"files of {size >> 20} MiB instead of {wanted >> 20}: all take a quarter of memory")
    return size


def measure_time(options, targets, work):
    """Tables, the JSON part, and the sentence about the circumstances."""

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
    mount_all(targets, work, say)
    run = Run(targets, options.rounds, size, options.seconds, wanted, say)
    run.measure(cells)
    results = {
        cell: {target.label: run.summary(cell, target) for target in targets}
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


def benchmark(options):
    """Returns whether every target succeeded."""
    peer = find_peer()
    facts = machine.facts(options.memfuse, peer, ["fio"])
    targets = all_targets(options.memfuse, options.threads, peer)
    work = os.path.realpath(tempfile.mkdtemp(prefix="memfuse_bench."))
    os.chmod(work, 0o755)  # For the user nobody.
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


if __name__ == "__main__":
    run_program(PROGRAM, parse, check, benchmark)
