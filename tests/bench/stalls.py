"""The latency of small requests while two programs move gigabytes."""

import contextlib
import os
import shutil
import time

from commands import Failure, ended, run, start

# The concurrent operation of two programs, each on its own file 'large' in its own directory.
WORK = {
    "copy": "cp large other",
    "fallocate": "fallocate -l $size other",
    "truncate": ": >large",
    "remove": "rm large",
}


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


@contextlib.contextmanager
def _working(target, work, size):
    """Both programs, which have just been started."""
    directories = [os.path.join(target.path, str(i)) for i in range(2)]
    try:
        for directory in directories:
            os.mkdir(directory)
            if "large" in WORK[work]:
                large = os.path.join(directory, "large")
                run(["dd", "if=/dev/zero", f"of={large}", "bs=1M", f"count={size >> 20}"], 120)
        script = f"cd \"$0\" && size={size} && {WORK[work]}"
        working = [start(["sh", "-c", script, directory]) for directory in directories]
        yield working
        for program in working:
            program.wait()
            ended(program)
        if any(program.returncode != 0 for program in working):
            raise Failure(f"'{WORK[work]}' failed on {target.label}")
    finally:
        for directory in directories:
            shutil.rmtree(directory, ignore_errors=True)
        os.statvfs(target.path)  # Waits until the space is free again.


def longest_wait(target, work, size):
    """The seconds of the longest pair while both programs work."""
    with _working(target, work, size) as working:
        return max(_pairs(target.path, working), default=0)


def duration(target, work, size):
    """The seconds that both programs take while no other program uses the mount."""
    with _working(target, work, size) as working:
        begin = time.perf_counter()
        for program in working:
            program.wait()
        return time.perf_counter() - begin
