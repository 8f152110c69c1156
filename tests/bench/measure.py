"""Runs the cells, alternating between the targets, and reduces the results."""

import json
import os
import statistics
from itertools import groupby

from cells import layout_arguments
from commands import Failure

YARDSTICK = "tmpfs"


class Samples:
    """Values of each cell and target by round; `number` extracts the compared number of a value."""

    def __init__(self, number):
        self._number = number
        self._values = {}

    def add(self, cell, target, round_number, value):
        self._values.setdefault((cell, target.label), {})[round_number] = value

    def values(self, cell, target):
        """By round."""
        return self._values.get((cell, target.label), {})

    def comparison(self, cell, target):
        """None if nothing was measured. A ratio is relative to the yardstick's value of the same
        round, because a temporary slowdown of the machine affects both."""
        own = self.values(cell, target)
        yard = self._values.get((cell, YARDSTICK), {})
        if target.failed:
            return None
        return spread(
            [self._number(own[r]) / self._number(yard[r]) for r in sorted(own) if r in yard]
        )


def spread(ratios):
    if not ratios:
        return None
    return {
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "ratios": ratios,
    }


def in_turn(targets, round_number):
    """The targets that have not failed; each round starts with the next one."""
    targets = [target for target in targets if not target.failed]
    turn = round_number % len(targets) if targets else 0
    return targets[turn:] + targets[:turn]


def attempt(target, log, action, *arguments):
    """Removes a failed target; without the yardstick there is no comparison."""
    try:
        return action(*arguments)
    except Failure as failure:
        target.fail(failure)
        if target.label == YARDSTICK:
            raise Failure(f"{YARDSTICK}, the yardstick, failed: {target.failed}") from failure
        log(f"{target.label} failed: {target.failed}")
        return None


def mount_all(targets, work, log):
    for target in targets:
        attempt(target, log, target.mount, work)


def fio(target, arguments, timeout):
    """Bytes and operations per second."""
    output = target.run(arguments, timeout)
    try:
        begin = output.index("{")  # fio may print other text before the report.
        job = json.loads(output[begin:])["jobs"][0]
    except (ValueError, LookupError) as error:
        raise Failure("fio gave no report") from error
    if job["error"]:
        raise Failure(f"fio: {os.strerror(job['error'])}")
    report = max(job["read"], job["write"], key=lambda side: side["io_bytes"])
    if not report["bw_bytes"]:
        raise Failure("fio moved nothing")
    return {"bytes": report["bw_bytes"], "iops": report["iops"]}


class Run:
    """`wanted(cell, target)` selects; `log` receives lines on the progress."""

    def __init__(self, targets, rounds, size, seconds, wanted, log):
        self.samples = Samples(lambda value: value["bytes"])
        self._targets = targets
        self._rounds = rounds
        self._size = size
        self._seconds = seconds
        self._wanted = wanted
        self._log = log
        # The throughput is expected to be above 10 MB/s.
        self._timeout = 60 + size / 10e6

    def summary(self, cell, target):
        compared = self.samples.comparison(cell, target)
        if compared is None:
            return None
        values = self.samples.values(cell, target).values()
        return compared | {
            "mb_per_second": statistics.median(value["bytes"] for value in values) / 1e6,
            "iops": statistics.median(value["iops"] for value in values),
        }

    def measure(self, cells):
        """Cells with the same number of jobs share files, so that only one set exists at a time."""
        for jobs, group in groupby(sorted(cells, key=lambda cell: cell.jobs), lambda c: c.jobs):
            self._measure_group(jobs, list(group))

    def _users(self, cells):
        """The targets that take part in any of these cells."""
        return [
            target
            for target in self._targets
            if not target.failed and any(self._wanted(cell, target) for cell in cells)
        ]

    def _measure_group(self, jobs, cells):
        for target in self._users(cells):
            attempt(target, self._log, self._lay_out, target, jobs)
        for round_number in range(self._rounds):
            for cell in cells:
                self._measure_cell(cell, round_number)
        for target in self._users(cells):
            attempt(target, self._log, target.remove, [f"data.{job}" for job in range(jobs)])

    def _lay_out(self, target, jobs):
        fio(target, layout_arguments(target.path, jobs, self._size), self._timeout)

    def _measure_cell(self, cell, round_number):
        targets = self._users([cell])
        values = {}
        for target in in_turn(targets, round_number):
            value = attempt(target, self._log, self._sample, cell, target)
            if value:
                self.samples.add(cell, target, round_number, value)
                values[target.label] = value
        in_order = [target.label for target in targets if target.label in values]
        if cell.transport:
            shown = [f"{label} {values[label]['iops'] / 1e3:.1f}k IOPS" for label in in_order]
        else:
            shown = [f"{label} {values[label]['bytes'] / 1e6:.0f} MB/s" for label in in_order]
        self._log(f"round {round_number + 1}/{self._rounds} {cell.name}: {', '.join(shown)}")

    def _sample(self, cell, target):
        if not cell.new and not (cell.wants_direct and target.direct):
            self._warm(target, cell.jobs)
        arguments = cell.fio_arguments(target.path, self._size, self._seconds, target.direct)
        return fio(target, arguments, self._timeout + self._seconds)

    def _warm(self, target, jobs):
        """Reads the files into the page cache, if the file system uses it."""
        for job in range(jobs):
            path = os.path.join(target.path, f"data.{job}")
            target.run(["dd", f"if={path}", "of=/dev/null", "bs=1M"], self._timeout)
