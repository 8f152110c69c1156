#!/usr/bin/python3 -B
"""The latency of other requests while a program moves gigabytes, on memfuse and on kernel tmpfs.
See README.md in this folder."""

import statistics
import tempfile

from command_line import Parser, check_basics, names_of, positive, run_program, size_of, speaker
from commands import interrupts
from stalls import WORK, longest_wait
from targets import Fuse, Tmpfs, clean_up

PROGRAM = "run_stalls.py"
say = speaker(PROGRAM)


def parse(arguments):
    parser = Parser(prog=PROGRAM, description="How long others wait while gigabytes are moved.")
    add = parser.add_argument
    add("--memfuse", required=True, metavar="PROGRAM", help="the release build")
    add("--before", metavar="PROGRAM", help="another build to compare with")
    add("--work", type=names_of(WORK), default=list(WORK), metavar=",".join(WORK),
        help="what is done meanwhile (default: all)")  # fmt: skip
    add("--size", type=size_of, default=size_of("1500m"), help="of each file (default: 1500m)")
    add("--limit", type=size_of, default=size_of("7g"), help="--size of mounts (default: 7g)")
    add("--rounds", type=positive(int), default=5, help="(default: 5)")
    return parser.parse_args(arguments)


def all_targets(options):
    def served(label, program, flags):
        command = [program, "{}", "-f", f"--size={options.limit}", *flags]
        return Fuse(label, " ".join(["memfuse", *flags]), command)

    programs = {"": options.memfuse} | ({"-before": options.before} if options.before else {})
    targets = [Tmpfs("tmpfs", "kernel tmpfs", f"size={options.limit}")]
    for suffix, program in programs.items():
        targets.append(served(f"passthrough{suffix}", program, ["--data=passthrough"]))
        targets.append(served(f"arena{suffix}", program, ["--data=daemon"]))
    return targets


def benchmark(options):
    work = tempfile.mkdtemp(prefix="memfuse-bench-")
    targets = all_targets(options)
    found = {target: {name: [] for name in options.work} for target in targets}
    try:
        for round_number in range(options.rounds):
            say(f"round {round_number + 1} of {options.rounds}")
            # One target at a time, because they would not fit into memory together.
            for name in options.work:
                for target in targets:
                    target.mount(work)
                    found[target][name].append(longest_wait(target, name, options.size))
                    target.unmount()
    finally:
        interrupts.ignore()
        clean_up(targets, work)
    print(
        "The longest that a program waited which makes and removes a file, in milliseconds:"
        f" median of {options.rounds} (largest)"
    )
    print("", *options.work, sep="\t")
    for target in targets:
        cells = (
            f"{statistics.median(times) * 1e3:.1f} ({max(times) * 1e3:.1f})"
            for times in found[target].values()
        )
        print(target.label, *cells, sep="\t")
    return True


if __name__ == "__main__":
    run_program(PROGRAM, parse, lambda options: check_basics(options, ()), benchmark)
