#!/usr/bin/python3 -B
"""Measures each optimisation of memfuse that has a switch, with and without it. See README.md in
this folder."""

import contextlib
import os
import shutil
import tempfile

import machine
import optimizations
import report
from command_line import (
    Parser,
    check_basics,
    find_programs,
    install_missing,
    pattern,
    positive,
    run_program,
    size_of,
    speaker,
    write,
)
from commands import Failure, interrupts
from programs import filled_source
from targets import clean_up, ring_can_be_had

PROGRAM = "run_optimizations.py"

say = speaker(PROGRAM)


def parse(arguments):
    parser = Parser(prog=PROGRAM, description="Measures memfuse with and without optimisations.")
    add = parser.add_argument
    add("--memfuse", required=True, metavar="PROGRAM", help="the release build")
    add("--programs", metavar="DIRECTORY",
        help="where metadata_ops is (default: of the same build)")  # fmt: skip
    add("--only", type=pattern, default=pattern(""), metavar="REGEX",
        help="only where it is found in OPTIMISATION/TARGET/CELL")  # fmt: skip
    add("--rounds", type=positive(int), default=7, help="(default: 7)")
    add("--count", type=positive(int), default=20_000,
        help="operations of a client (default: 20000)")  # fmt: skip
    add("--files", type=positive(int), default=8500, help="of the source tree (default: 8500)")
    add("--size", type=size_of, default=size_of("512m"),
        help="of all files of a cell of file data (default: 512m)")  # fmt: skip
    add("--seconds", type=positive(float), default=3.0,
        help="for a cell of file data (default: 3)")  # fmt: skip
    add("--stall-size", type=size_of, default=size_of("1500m"), metavar="SIZE",
        help="of a file that is copied or allocated (default: 1500m)")  # fmt: skip
    add("--markdown", metavar="FILE", help="write the tables there, too")
    return parser.parse_args(arguments)


def check(options):
    """The checks that need no mount."""
    check_basics(options, (options.markdown,))
    find_programs(options, ("metadata_ops",))
    install_missing(PROGRAM, ["fio", "tar", "git", "fuse3"])
    for tool in ("fio", "tar", "git"):
        if not shutil.which(tool):
            raise Failure(f"{tool} is not installed")


def tables(results):
    """One for each optimisation: medians, and the gain as median (min-max) of the rounds."""
    made = []
    for name in optimizations.OPTIMIZATIONS:
        rows = [["", "", "with", "without", "unit", "gain"]]
        for row in results.rows(name):
            gain = results.gain(row)
            rows.append([
                row.name,
                row.place,
                f"{results.median(row, optimizations.ON):.1f}",
                f"{results.median(row, optimizations.OFF):.1f}",
                row.quantity.unit,
                f"{gain['ratio']:.2f} ({gain['ratio_min']:.2f}-{gain['ratio_max']:.2f})",
            ])  # fmt: skip
        if len(rows) > 1:
            made.append(report.Table(f"{name}: medians with and without it; gain above 1 is"
                                     " faster.", rows))  # fmt: skip
    return made


def benchmark(options):
    ring = ring_can_be_had()
    if not ring:
        say("the kernel does not offer io_uring to FUSE: without it")
    chosen = optimizations.pairs(options.memfuse, options.only, ring)
    if not chosen:
        raise Failure("--only leaves nothing to measure")
    facts = machine.facts(options.memfuse, None, ["fio", "tar"])
    work = os.path.realpath(tempfile.mkdtemp(prefix="memfuse_bench."))
    try:
        with (
            filled_source(work, options.files, say)
            if any(pair.part.needs_source for pair in chosen)
            else contextlib.nullcontext()
        ) as source:
            context = optimizations.Context(
                metadata_ops=options.metadata_ops,
                count=options.count,
                file_bytes=options.size,
                stall_bytes=options.stall_size,
                seconds=options.seconds,
                source=source,
            )
            results = optimizations.measure(chosen, work, options.rounds, context, say)
    finally:
        interrupts.ignore()
        clean_up([target for pair in chosen for target in pair.targets], work)
    note = (
        f"{options.rounds} rounds, {options.count} operations per client, files of"
        f" {options.size >> 20} MiB and {options.stall_size >> 20} MiB"
    )
    document = report.document(tables(results), facts, note, markdown=True)
    print(document, end="")
    write(options.markdown, document)
    return True


if __name__ == "__main__":
    run_program(PROGRAM, parse, check, benchmark)
