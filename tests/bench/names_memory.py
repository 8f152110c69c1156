"""The memory that a million empty files use, and the part of it that stays after their removal."""

import statistics
import time

from measure import attempt
from memory import delete_everything, readings_of
from scale import PER_DIRECTORY

# The allowed remainder after the removal, compared with the memory before. An empty server uses a
# megabyte or two, and a tenth of that varies at random.
KEPT_SHARE = 0.10
KEPT_BYTES = 4e6

# A server releases memory periodically.
MOMENT_TO_GIVE_BACK = 3

# Files that are made and deleted before the first reading, so that buffers from the first use of a
# server do not count.
WARM_UP_FILES = 10_000


def _sample(program, target, work, files):
    def populate(target, files):
        target.run(
            [
                program,
                target.path,
                "--phase=populate",
                f"--files={files}",
                f"--per_directory={PER_DIRECTORY}",
            ],
            timeout=120 + files / 2000,
        )

    def delete(target):
        delete_everything(target)
        time.sleep(MOMENT_TO_GIVE_BACK)

    def warm_up(target):
        populate(target, WARM_UP_FILES)
        delete(target)

    def write(target):
        populate(target, files)

    return readings_of(target, work, write, delete, warm_up)


def measure(program, targets, work, rounds, files, log):
    """A list of results in the order of the targets."""
    samples = {target: [] for target in targets}
    for round_number in range(rounds):
        for target in [target for target in targets if not target.failed]:
            readings = attempt(target, log, _sample, program, target, work, files)
            if readings:
                samples[target].append(readings)
                held = ", ".join(f"{held / 1e6:.1f}" for _, held in readings)
                log(f"round {round_number + 1}/{rounds} {target.label}: held {held} MB")
    return [_result(target, samples[target], files) for target in targets]


def _result(target, samples, files):
    result = {"target": target.label, "files": files, "failed": target.failed}
    if target.failed or not samples:
        return result
    # The memory of the machine and the memory that the target reports: empty, full, emptied.
    middle = [
        [statistics.median(sample[moment][account] for sample in samples) for moment in range(3)]
        for account in range(2)
    ]
    machine, held = middle
    kept = held[2] - held[0]
    limit = max(held[0] * KEPT_SHARE, KEPT_BYTES)
    return result | {
        "machine": (machine[1] - machine[0]) / files,
        "held": (held[1] - held[0]) / files,
        "held_bytes": held,
        "kept": kept,
        "misses": [f"more than {limit / 1e6:.1f} MB kept"] if kept > limit else [],
        "samples": samples,
    }
