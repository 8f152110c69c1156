"""The optimisations that memfuse can switch off, and the cells that measure their gain.

A cell is measured on two mounts of the same program, 'on' and 'off', one right after the other. The
switch is the hidden flag --disable_optimizations of memfuse.
"""

import statistics
from dataclasses import dataclass
from typing import Callable, NamedTuple, Optional

import operations
import programs
import stalls
from cells import Cell
from commands import Failure
from measure import Run, in_turn, mount_all, spread
from targets import Memfuse

ON, OFF = "on", "off"


class Quantity(NamedTuple):
    unit: str
    larger_is_better: bool


RATE = Quantity("1000/s", True)
THROUGHPUT = Quantity("MB/s", True)
MILLISECONDS = Quantity("ms", False)


class Value(NamedTuple):
    """One measurement on one target."""

    name: str
    quantity: Quantity
    target: Memfuse
    number: float


class Context(NamedTuple):
    """The parameters of the cells."""

    metadata_ops: str
    count: int  # Operations of a client.
    file_bytes: int  # Total size of the files of a cell of file data.
    stall_bytes: int  # Size of each file of which a program copies or allocates one.
    seconds: float  # Duration of a cell of file data.
    source: Optional[programs.Source]  # None if no part needs it.


@dataclass(frozen=True)
class Part:
    """Cells of one optimisation that use the same pair of mounts. `measure(cells, targets, work,
    context)` mounts the targets, if they are not mounted, and yields a Value or more for each cell
    and target."""

    optimization: str  # The name that --disable_optimizations takes.
    place: str
    flags: tuple
    measure: Callable
    cells: tuple
    name: Callable  # Of a cell, for --only.

    @property
    def needs_source(self):
        return self.measure is _programs

    @property
    def ring(self):
        return "--transport=uring" in self.flags

    def full_name(self, cell):
        """The text in which --only is searched."""
        return f"{self.optimization}/{self.place}/{self.name(cell)}"

    def targets(self, memfuse):
        """Both targets, with the optimisation and without it."""
        disabled = f"--disable_optimizations={self.optimization}"
        return [
            Memfuse(ON, memfuse, list(self.flags), self.ring),
            Memfuse(OFF, memfuse, [*self.flags, disabled], self.ring),
        ]


def _silent(_line):
    """Progress is reported by row instead."""


def _check(targets):
    for target in targets:
        if target.failed:
            raise Failure(f"'{target.what}' failed: {target.failed}")


def _operations(cells, targets, work, context):
    samples = operations.measure(
        context.metadata_ops, targets, work, 1, context.count, _silent, cells
    )
    _check(targets)
    for cell in cells:
        for target in targets:
            rate = samples.values(cell, target)[0]
            yield Value(f"{cell.operation}-{cell.clients}", RATE, target, rate / 1e3)


def _file_data(cells, targets, work, context):
    def wanted(_cell, _target):
        return True

    mount_all(targets, work, _silent)
    _check(targets)
    run = Run(targets, 1, context.file_bytes, context.seconds, wanted, _silent)
    run.measure(cells)
    _check(targets)
    for cell in cells:
        for target in targets:
            throughput = run.samples.values(cell, target)[0]["bytes"]
            yield Value(cell.name, THROUGHPUT, target, throughput / 1e6)


def _programs(cells, targets, work, context):
    mount_all(targets, work, _silent)
    _check(targets)
    for target in targets:
        for program, seconds in programs.seconds_of(target, context.source, cells).items():
            yield Value(program.name, MILLISECONDS, target, seconds * 1e3)


def _stalls(cells, targets, work, context):
    for cell in cells:
        # One at a time, because both would not fit into the memory of a small machine.
        for target in targets:
            target.mount(work)
            wait = stalls.longest_wait(target, cell, context.stall_bytes)
            yield Value(f"{cell}, longest wait of others", MILLISECONDS, target, wait * 1e3)
            duration = stalls.duration(target, cell, context.stall_bytes)
            yield Value(f"{cell}, duration alone", MILLISECONDS, target, duration * 1e3)
            target.unmount()


def _operations_part(optimization, place, flags, cells):
    def name(cell):
        return f"{cell.operation}-{cell.clients}"

    return Part(optimization, place, flags, _operations, cells, name)


def _data_part(optimization, place, flags, cells):
    return Part(optimization, place, flags, _file_data, cells, lambda cell: cell.name)


def _programs_part(optimization, place, flags):
    cells = tuple(program for program in programs.PROGRAMS if program.name == "tar x")
    return Part(optimization, place, flags, _programs, cells, lambda program: program.name)


def _stalls_part(optimization, place, flags):
    return Part(optimization, place, flags, _stalls, ("copy", "fallocate"), str)


def _cells(clients, *names):
    return tuple(operations.Cell(name, clients) for name in names)


def _sequential_writes(block, jobs):
    return (Cell("psync", 1, block, random=False, write=True, new=False, jobs=jobs),)


_DEV, _RING = "--transport=dev", "--transport=uring"
_DAEMON, _PASSTHROUGH = "--data=daemon", "--data=passthrough"
# As many threads as programs that block them, on every machine.
_THREADS = "--threads=2"
_COUNTED = ("create", "open_close", "chmod", "lookup_miss")
_METADATA = ("create", "open_close", "chmod", "rename", "unlink", "mkdir", "lookup_miss")

PARTS = [
    _stalls_part("spare_workers", "passthrough-dev", (_PASSTHROUGH, _DEV, _THREADS)),
    _stalls_part("spare_workers", "arena-dev", (_DAEMON, _DEV, _THREADS)),
    # The cost of the mechanism for requests that never block.
    _operations_part(
        "spare_workers", "arena-dev", (_DAEMON, _DEV, _THREADS), _cells(1, "create", "unlink")
    ),
    _data_part(
        "spare_workers", "arena-dev", (_DAEMON, _DEV, _THREADS), _sequential_writes("1m", 2)
    ),
    # The cost of counting every request.
    _operations_part("request_statistics", "memfuse-dev", (_DEV,), _cells(1, *_COUNTED)),
    _operations_part("request_statistics", "memfuse-uring", (_RING,), _cells(1, *_COUNTED)),
    _operations_part("idle_scheduling", "memfuse-uring", (_RING,), _cells(1, *_METADATA)),
    _programs_part("idle_scheduling", "memfuse-uring", (_RING,)),
    # The switch has no effect here, so the difference of these rows is the error of measurement.
    _operations_part("idle_scheduling", "memfuse-dev", (_DEV,), _cells(1, "create", "unlink")),
    _programs_part("idle_scheduling", "memfuse-dev", (_DEV,)),
]

OPTIMIZATIONS = tuple(dict.fromkeys(part.optimization for part in PARTS))


def chosen(pattern, ring):
    """Pairs of a part and its cells in whose names the pattern is found, without the parts that
    need io_uring if there is no `ring`."""
    pairs = [
        (part, tuple(cell for cell in part.cells if pattern.search(part.full_name(cell))))
        for part in PARTS
        if ring or not part.ring
    ]
    return [(part, cells) for part, cells in pairs if cells]


@dataclass(frozen=True)
class Row:
    """A row of the result."""

    optimization: str
    place: str
    name: str
    quantity: Quantity


class Results:
    """Values by row, target and round."""

    def __init__(self):
        self._values = {}

    def add(self, row, label, number):
        self._values.setdefault(row, {ON: [], OFF: []})[label].append(number)

    def rows(self, optimization):
        return [row for row in self._values if row.optimization == optimization]

    def median(self, row, label):
        return statistics.median(self._values[row][label])

    def gain(self, row):
        """The factor by which the optimisation is better, from the two measurements of each round:
        on/off of a rate, off/on of a time."""
        on, off = self._values[row][ON], self._values[row][OFF]
        better, worse = (on, off) if row.quantity.larger_is_better else (off, on)
        return spread([b / w for b, w in zip(better, worse)])


class Pair(NamedTuple):
    """The chosen cells of a part, and its targets."""

    part: Part
    cells: tuple
    targets: list


def pairs(memfuse, pattern, ring):
    """The cells in whose names the pattern is found, without those that need io_uring if there is
    no `ring`."""
    made = []
    for part in PARTS:
        cells = tuple(cell for cell in part.cells if pattern.search(part.full_name(cell)))
        if cells and (ring or not part.ring):
            made.append(Pair(part, cells, part.targets(memfuse)))
    return made


def measure(chosen, work, rounds, context, log):
    """The Results of these pairs. Each round mounts anew and begins with the other target, so that
    neither the order nor a property of one mount favours a target."""
    results = Results()
    for round_number in range(rounds):
        for part, cells, targets in chosen:
            order = in_turn(targets, round_number)
            for name, quantity, target, number in part.measure(cells, order, work, context):
                row = Row(part.optimization, part.place, name, quantity)
                results.add(row, target.label, number)
                log(
                    f"round {round_number + 1}/{rounds} {part.optimization}/{part.place}/{name}"
                    f" {target.label}: {number:.1f} {quantity.unit}"
                )
            for target in targets:
                target.unmount()
    return results
