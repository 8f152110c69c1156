"""Names made, opened, changed and removed per second, with one client and with two."""

import json
import statistics
from dataclasses import dataclass

from commands import Failure
from measure import Samples, attempt, in_turn, mount_all, spread

OPERATIONS = ("create", "open_close", "chmod", "rename", "unlink", "mkdir", "stat", "lookup_miss")
CLIENTS = (1, 2)

# The kernel answers by itself, in far less than a microsecond: more of them, to last long enough.
OFTENER = {"stat": 20}


@dataclass(frozen=True)
class Cell:
    operation: str
    clients: int


CELLS = [Cell(operation, clients) for operation in OPERATIONS for clients in CLIENTS]


def report_of(output):
    """What a program of the benchmark printed."""
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
        # At a thousand per second something is wrong.
        timeout=60 + 3 * count * cell.clients / 1000,
    )
    # What is removed is forgotten a moment later, and must not be the next one's load.
    target.settle()
    return report_of(output)["operations_per_second"]


def measure(program, targets, work, rounds, count, log):
    mount_all(targets, work, log)
    samples = Samples(lambda rate: rate)
    for round_number in range(rounds):
        for cell in CELLS:
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
    """What two clients do together, as a multiple of one in the same round."""
    one, two = (samples.values(Cell(operation, clients), target) for clients in CLIENTS)
    if target.failed:
        return None
    return spread([two[r] / one[r] for r in sorted(one) if r in two])
