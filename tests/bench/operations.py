"""Names made, opened, changed and removed per second, with one client and with two."""

import json
import statistics
from dataclasses import dataclass

from commands import Failure
from measure import Samples, attempt, in_turn, mount_all, spread

OPERATIONS = ("create", "open_close", "chmod", "rename", "unlink", "mkdir", "stat", "lookup_miss")
CLIENTS = (1, 2)

# The kernel answers these itself in far less than a microsecond, so the cell needs more of them.
OFTENER = {"stat": 20}


@dataclass(frozen=True)
class Cell:
    operation: str
    clients: int


CELLS = [Cell(operation, clients) for operation in OPERATIONS for clients in CLIENTS]


def report_of(output):
    """The parsed output of a program of the benchmark."""
    try:
        return json.loads(output)
    except ValueError as error:
        raise Failure("it gave no report") from error


def _sample(program, target, cell, count):
    count *= OFTENER.get(cell.operation, 1)
    output = target.run(
        [
            program,
            target.path,
            f"--operation={cell.operation}",
            f"--processes={cell.clients}",
            f"--count={count}",
        ],
        # The rate is expected to be above a thousand per second.
        timeout=60 + 3 * count * cell.clients / 1000,
    )
    # FORGET for removed files arrives a moment later, and must not count as load of the next
    # operation.
    target.settle()
    return report_of(output)["operations_per_second"]


def measure(program, targets, work, rounds, count, log, cells=tuple(CELLS)):
    mount_all(targets, work, log)
    samples = Samples(lambda rate: rate)
    for round_number in range(rounds):
        for cell in cells:
            shown = []
            for target in in_turn(targets, round_number):
                rate = attempt(target, log, _sample, program, target, cell, count)
                if rate:
                    samples.add(cell, target, round_number, rate)
                    shown.append(f"{target.label} {rate / 1e3:.1f}k/s")
            clients = "client" if cell.clients == 1 else "clients"
            log(
                f"round {round_number + 1}/{rounds} {cell.operation}, {cell.clients} {clients}: "
                + ", ".join(shown)
            )
    return samples


def summary(samples, cell, target):
    compared = samples.comparison(cell, target)
    if compared is None:
        return None
    rates = samples.values(cell, target).values()
    return compared | {"operations_per_second": statistics.median(rates)}


def scaling(samples, operation, target):
    """The rate of two clients together, as a multiple of one client's in the same round."""
    one, two = (samples.values(Cell(operation, clients), target) for clients in CLIENTS)
    if target.failed:
        return None
    return spread([two[r] / one[r] for r in sorted(one) if r in two])
