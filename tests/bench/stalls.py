"""The latency of small requests while two programs move gigabytes."""

import os
import shutil
import time
from dataclasses import dataclass

from commands import Failure, run, start

# The concurrent operation of two programs, each on its own file 'large' in its own directory.
WORK = {
    "copy": "cp large other",
    "fallocate": "fallocate -l $size other",
    "truncate": ": >large",
    "remove": "rm large",
}


@dataclass(frozen=True)
class Stall:
    longest: float  # Seconds of the longest pair of 'make a file' and 'remove it'.
    duration: float  # Seconds until both programs have ended.


def _pairs(directory, programs):
    """Makes and removes a file until the programs have ended; returns the seconds of each pair."""
    name = os.path.join(directory, "small")
    taken = []
    begin = time.perf_counter()
    while any(program.poll() is None for program in programs):
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.unlink(name)
        now = time.perf_counter()
        taken.append(now - begin)
        begin = now
    return taken


def measure(target, work, size):
    """The Stall of one run."""
    directories = [os.path.join(target.path, str(i)) for i in range(2)]
    try:
        for directory in directories:
            os.mkdir(directory)
            if "large" in WORK[work]:
                large = os.path.join(directory, "large")
                run(["dd", "if=/dev/zero", f"of={large}", "bs=1M", f"count={size >> 20}"], 120)
        script = f"cd \"$0\" && size={size} && {WORK[work]}"
        begin = time.perf_counter()
        programs = [start(["sh", "-c", script, directory]) for directory in directories]
        longest = max(_pairs(target.path, programs), default=0)
        duration = time.perf_counter() - begin
        if any(program.wait() != 0 for program in programs):
            raise Failure(f"'{WORK[work]}' failed on {target.label}")
        return Stall(longest, duration)
    finally:
        for directory in directories:
            shutil.rmtree(directory, ignore_errors=True)
        os.statvfs(target.path)  # Waits until the space is free again.
