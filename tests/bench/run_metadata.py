#!/usr/bin/python3 -B
"""Measures names and attributes on memfuse beside kernel tmpfs. See README.md in this folder."""

import json
import os
import shutil
import tempfile

import machine
import metadata_report
import names_memory
import operations
import programs
import report
import scale
from command_line import (
    Parser,
    check_basics,
    find_programs,
    install_missing,
    names_of,
    pattern,
    positive,
    run_program,
    speaker,
    write,
)
from commands import Failure, interrupts
from measure import YARDSTICK
from targets import PEERS, clean_up, find_peer, metadata_targets, ring_can_be_had

PROGRAM = "run_metadata.py"
TOOLS = ["tar", "find", "grep", "git", "make", "cc"]
PACKAGES = ["tar", "findutils", "grep", "git", "make", "gcc", "libc6-dev", "fuse3"]

say = speaker(PROGRAM)


def numbers(text):
    return [positive(int, 1e8)(part) for part in text.split(",")]


def parse(arguments):
    parser = Parser(prog=PROGRAM, description="Measures names and attributes beside kernel tmpfs.")
    add = parser.add_argument
    add("--memfuse", required=True, metavar="PROGRAM", help="the release build")
    add("--programs", metavar="DIRECTORY",
        help="where metadata_ops and metadata_scale are (default: of the same build)")  # fmt: skip
    add("--sections", type=names_of(SECTIONS), default=list(SECTIONS), metavar=",".join(SECTIONS),
        help="what is measured (default: all)")  # fmt: skip
    add("--only", type=pattern, default=pattern(""), metavar="REGEX",
        help="only the targets in which it is found; tmpfs is measured with them")  # fmt: skip
    add("--arena", action="store_true", help="memfuse --data=daemon, too")
    add("--resilient", action="store_true", help="memfuse --resilient, too")
    add("--rounds", type=positive(int), default=5, help="(default: 5)")
    add("--count", type=positive(int), default=20_000,
        help="operations of a client (default: 20000)")  # fmt: skip
    add("--files", type=positive(int), default=8500, help="of the source tree (default: 8500)")
    add("--populations", type=numbers, default=[1000, 1_000_000], metavar="N,N...",
        help="files that exist in 'scale' (default: 1000,1000000)")  # fmt: skip
    add("--large", action="store_true", help="10,000,000 in 'scale', too")
    add("--memory-files", type=positive(int, 1e8), default=1_000_000, metavar="N",
        help="whose memory is measured (default: 1000000)")  # fmt: skip
    for name in ("json", "markdown"):
        add(f"--{name}", metavar="FILE", help="write the results there, too")
    return parser.parse_args(arguments)


def check(options):
    """The checks that need no mount."""
    check_basics(options, (options.json, options.markdown))
    find_programs(options, ("metadata_ops", "metadata_scale"))
    install_missing(PROGRAM, PACKAGES + ([] if find_peer() else [PEERS[0]]))
    for tool in TOOLS:
        if not shutil.which(tool):
            raise Failure(f"{tool} is not installed")


def measure_operations(options, targets, work):
    samples = operations.measure(
        options.metadata_ops, targets, work, options.rounds, options.count, say
    )
    return metadata_report.of_operations(targets, samples)


def measure_programs(options, targets, work):
    samples, source = programs.measure_time(targets, work, options.rounds, options.files, say)
    return metadata_report.of_programs(targets, samples, source)


def count_requests(options, targets, work):
    targets[:] = programs.those_that_count(targets)
    if not targets:
        raise Failure("--only leaves no target that counts requests")
    counts, source = programs.count_requests(targets, work, options.files, say)
    return metadata_report.of_requests(targets, counts, source)


def measure_scale(options, targets, work):
    populations = scale.populations(options.populations, options.large)
    run = scale.Scale(options.metadata_scale, targets, work, options.rounds, say)
    for population in populations:
        run.measure(population)
    return metadata_report.of_scale(targets, run.samples, populations)


def measure_memory(options, targets, work):
    results = names_memory.measure(
        options.metadata_scale, targets, work, options.rounds, options.memory_files, say
    )
    return metadata_report.of_memory(results)


# The function for each section, and whether its mounts need room for millions of files.
SECTIONS = {
    "operations": (measure_operations, False),
    "programs": (measure_programs, False),
    "requests": (count_requests, False),
    "scale": (measure_scale, True),
    "memory": (measure_memory, True),
}


def run_section(name, options, peer, ring):
    """Runs a section on its own mounts, which are unmounted afterwards; returns the tables, the
    JSON part, and the targets."""
    measure, room = SECTIONS[name]
    targets = [
        target
        for target in metadata_targets(
            options.memfuse, peer, ring, options.arena, room, options.resilient
        )
        if target.label == YARDSTICK or options.only.search(target.label)
    ]
    work = os.path.realpath(tempfile.mkdtemp(prefix="memfuse_bench."))
    os.chmod(work, 0o755)
    try:
        made, results = measure(options, targets, work)
    finally:
        with interrupts.held():
            clean_up(targets, work)
    return made, results, targets


def describe(targets):
    return {target.label: {"what": target.what, "failed": target.failed} for target in targets}


def benchmark(options):
    """Returns whether every target succeeded."""
    peer = find_peer()
    facts = machine.facts(options.memfuse, peer, TOOLS)
    ring = ring_can_be_had()
    if not ring:
        say("the kernel does not offer io_uring to FUSE: without it")
    made, sections, good = [], {}, True
    for name in options.sections:
        tables, results, targets = run_section(name, options, peer, ring)
        made += tables
        sections[name] = results | {"targets": describe(targets)}
        good &= not any(target.failed for target in targets)
        good &= not any(result.get("misses") for result in results.get("memory", []))
    note = f"{options.rounds} rounds, {options.count} operations per client"
    print(report.document(made, facts, note, markdown=False), end="")
    settings = {
        "rounds": options.rounds,
        "count": options.count,
        "files": options.files,
        "populations": options.populations,
        "large": options.large,
        "memory_files": options.memory_files,
    }
    document = {"machine": facts, "settings": settings, "sections": sections}
    write(options.markdown, report.document(made, facts, note, markdown=True))
    write(options.json, json.dumps(document, indent=1) + "\n")
    return good


if __name__ == "__main__":
    run_program(PROGRAM, parse, check, benchmark)
