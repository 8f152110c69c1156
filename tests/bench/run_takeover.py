#!/usr/bin/python3 -B
"""Measures how long a mount with --resilient does not answer after its server was killed. See
README.md in this folder."""

import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

from command_line import Parser, check_basics, positive, run_program
from commands import Failure, interrupts
from targets import Memfuse, clean_up

PROGRAM = "run_takeover.py"
STORES = ("passthrough", "daemon")


def parse(arguments):
    parser = Parser(prog=PROGRAM, description="Measures the time from a server to the next one.")
    add = parser.add_argument
    add("--memfuse", required=True, metavar="PROGRAM", help="the release build")
    add("--files", type=positive(int, 1e8), default=100_000, help="that exist (default: 100000)")
    add("--bytes", type=positive(int), default=100, help="in each file (default: 100)")
    add("--kills", type=positive(int), default=21, help="(default: 21)")
    return parser.parse_args(arguments)


def check(options):
    check_basics(options, ())
    for tool in ("fusermount3", "pgrep"):
        if not shutil.which(tool):
            raise Failure(f"{tool} is not installed")


def fill(directory, files, size):
    """Makes the files, 1,000 in each directory."""
    content = b"x" * size
    for number in range(files):
        if number % 1000 == 0:
            parent = f"{directory}/{number // 1000}"
            os.mkdir(parent)
        descriptor = os.open(f"{parent}/{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        os.write(descriptor, content)
        os.close(descriptor)


def server_of(keeper):
    found = subprocess.run(
        ["pgrep", "--parent", str(keeper)], capture_output=True, text=True, check=True
    )
    return int(found.stdout)


def seconds_without_answer(target):
    """Kills the server. The kernel sends a STATFS for every statvfs(3)."""
    server = server_of(target.keeper)
    before = time.monotonic()
    os.kill(server, signal.SIGKILL)
    os.statvfs(target.path)
    return time.monotonic() - before


class Resilient(Memfuse):
    """Memfuse with a keeper."""

    @property
    def keeper(self):
        return self._process.pid


def measure(options, store, work):
    limits = ["--size=0", "--nr_inodes=0"]
    target = Resilient(store, options.memfuse, [f"--data={store}", "--resilient", *limits])
    try:
        target.mount(work)
        fill(target.path, options.files, options.bytes)
        times = []
        for _ in range(options.kills):
            times.append(seconds_without_answer(target) * 1e3)
            time.sleep(0.1)
        return times
    finally:
        with interrupts.held():
            clean_up([target], work)


def benchmark(options):
    print(f"{options.files} files of {options.bytes} bytes, {options.kills} kills, milliseconds:")
    print(f"{'store':12} {'median':>8} {'longest':>8}")
    for store in STORES:
        work = os.path.realpath(tempfile.mkdtemp(prefix="memfuse_bench."))
        os.chmod(work, 0o755)
        times = measure(options, store, work)
        print(f"{store:12} {statistics.median(times):8.1f} {max(times):8.1f}", flush=True)
    return True


if __name__ == "__main__":
    run_program(PROGRAM, parse, check, benchmark)
