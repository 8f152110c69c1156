"""The cost of an operation among a thousand files, and among millions."""

import statistics
from dataclasses import dataclass

from machine import drop_caches, memory_info
from measure import Samples, attempt, in_turn, mount_all
from operations import report_of

PER_DIRECTORY = 1000
SAMPLE = 20_000
MOST_PASSES = 5  # Repeats passes over few files, which are too short.

# Phases of metadata_scale, in an order that keeps the files for the next phase, and their names;
# `cold`: the kernel drops all cached names before.
PHASES = {
    "lookup": ("first stat", True),
    "unlink": ("unlink", False),
    "create": ("create", False),
    "list": ("list and stat", True),
}
# The files of a target, including the memory that the kernel uses for them.
BYTES_PER_FILE = 3000


@dataclass(frozen=True)
class Population:
    files: int
    per_directory: int

    @property
    def name(self):
        where = " in one directory" if self.per_directory > PER_DIRECTORY else ""
        return f"{self.files:,} files{where}"


@dataclass(frozen=True)
class Cell:
    population: Population
    what: str


def populations(counts, large):
    """In directories of a thousand files, and the largest number in a single directory."""
    made = [Population(count, PER_DIRECTORY) for count in counts]
    if max(counts) > PER_DIRECTORY:
        made.append(Population(max(counts), max(counts)))
    return made + ([Population(10_000_000, PER_DIRECTORY)] if large else [])


class Scale:
    def __init__(self, program, targets, work, rounds, log):
        self.samples = Samples(lambda microseconds: microseconds)
        self._program = program
        self._targets = targets
        self._work = work
        self._rounds = rounds
        self._log = log

    def measure(self, population):
        """All targets have the files at the same time and alternate, if memory is sufficient;
        otherwise one after the other."""
        needed = population.files * BYTES_PER_FILE * len(self._targets)
        together = needed < 0.7 * memory_info()["MemAvailable"]
        for group in [self._targets] if together else [[target] for target in self._targets]:
            group = [target for target in group if not target.failed]
            mount_all(group, self._work, self._log)
            try:
                self._measure_group(population, group)
            finally:
                for target in group:
                    target.unmount()

    def _measure_group(self, population, targets):
        for target in targets:
            value = attempt(target, self._log, self._phase, target, population, "populate", 0)
            if value:
                self._add(population, "populate", target, 0, value)
        for round_number in range(self._rounds):
            for target in in_turn(targets, round_number):
                values = attempt(
                    target, self._log, self._round, target, targets, population, round_number
                )
                for what, value in (values or {}).items():
                    self._add(population, what, target, round_number, value)

    def _add(self, population, what, target, round_number, value):
        self.samples.add(Cell(population, what), target, round_number, value)
        where = f"round {round_number + 1}/{self._rounds} {target.label}, {population.name}"
        self._log(f"{where}: {what} {value:.2f} µs")

    def _round(self, target, targets, population, round_number):
        """Microseconds for each operation."""
        sample = min(SAMPLE, population.files)
        passes = min(MOST_PASSES, SAMPLE // sample)
        values = {what: [] for what, _ in PHASES.values()}
        for number in range(passes):
            for phase, (what, cold) in PHASES.items():
                if cold:
                    self._forget(targets)
                seed = round_number * MOST_PASSES + number + 1
                values[what].append(self._phase(target, population, phase, seed))
        return {what: statistics.mean(found) for what, found in values.items()}

    def _forget(self, targets):
        """The servers receive FORGET for the dropped inodes; no server may be busy with that during
        another measurement."""
        drop_caches(2)
        for target in targets:
            if not target.failed:
                target.settle()

    def _phase(self, target, population, phase, seed):
        arguments = [
            self._program,
            target.path,
            f"--phase={phase}",
            f"--files={population.files}",
            f"--per_directory={population.per_directory}",
            f"--sample={min(SAMPLE, population.files)}",
            f"--seed={seed}",
        ]
        report = report_of(target.run(arguments, timeout=120 + population.files / 2000))
        return report["seconds"] / report["operations"] * 1e6


def summary(samples, cell, target):
    compared = samples.comparison(cell, target)
    if compared is None:
        return None
    return compared | {"microseconds": statistics.median(samples.values(cell, target).values())}
