"""What files cost in memory of the whole machine, and what comes back when they are deleted."""

import os
import shutil
import statistics
import time

from cells import layout_arguments
from commands import Failure
from machine import memory_info
from measure import fio

SMALL_FILES = 100_000
SMALL_SIZE = 300
SMALL_LIMIT = 60e6  # For the arena.
RETURNED = 0.98

STORES = ("tmpfs", "passthrough", "passthrough-huge", "arena")


def memory_in_use():
    """Bytes that the machine would not have back by itself. Not MemAvailable: it takes the kernel's
    inodes for half free, though those of tmpfs are not. `Cached` counts tmpfs files (Shmem), which
    are in use; the rest of it is copies of files, which are not."""
    info = memory_info()
    cache = info["Buffers"] + info["Cached"] - info["Shmem"]
    swapped = info["SwapTotal"] - info["SwapFree"]
    return info["MemTotal"] - info["MemFree"] - cache + swapped


def settled():
    """memory_in_use() after the caches are dropped and nothing moves any more: a server hears of the
    inodes that the kernel forgets a moment later."""
    previous = None
    for _ in range(20):
        # 3: page cache, then names and inodes.
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
            file.write("3")
        time.sleep(0.3)
        now = memory_in_use()
        if previous is not None and abs(now - previous) < 1e6:
            break
        previous = now
    return now


def write_file(target, size):
    fio(target, layout_arguments(target.path, 1, size), 120 + size / 10e6)


def write_small_files(target):
    content = os.urandom(SMALL_SIZE)
    for number in range(SMALL_FILES):
        if number % 1000 == 0:
            directory = os.path.join(target.path, f"d{number // 1000}")
            os.mkdir(directory)
        with open(os.path.join(directory, str(number)), "wb", buffering=0) as file:
            file.write(content)


def delete_everything(target):
    for entry in os.scandir(target.path):
        if entry.is_dir():
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _one(target, work, write):
    """Cost of what `write` writes to a fresh mount: to the machine, and to the serving process."""
    target.mount(work)
    try:
        before, process_before = settled(), target.process_memory()
        write(target)
        full, process_full = settled(), target.process_memory()
        delete_everything(target)
        after = settled()
    except OSError as error:
        raise Failure(error.strerror) from error
    finally:
        target.unmount()
        os.rmdir(os.path.join(work, target.label))
    return {
        "cost": full - before,
        "process_cost": None if process_full is None else process_full - process_before,
        # Nothing sensible where somebody else gave back more than this took.
        "returned": (full - after) / (full - before) if full > before else 0.0,
    }


def _median(samples, key):
    values = [sample[key] for sample in samples if sample[key] is not None]
    return statistics.median(values) if values else None


def measure(targets, work, rounds, size, wanted, log):
    """A list of results, one per kind of files and store, in the order of `targets`."""
    kinds = [
        ("one file", size, None, lambda target: write_file(target, size)),
        ("small files", SMALL_FILES * SMALL_SIZE, SMALL_LIMIT, write_small_files),
    ]
    targets = [target for target in targets if target.label in STORES and wanted(target)]
    results = []
    for kind, content, limit, write in kinds:
        samples = {target: [] for target in targets}
        for round_number in range(rounds):
            for target in [target for target in targets if not target.failed]:
                try:
                    sample = _one(target, work, write)
                except Failure as failure:
                    target.fail(failure)
                    log(f"{target.label} failed: {target.failed}")
                    continue
                samples[target].append(sample)
                cost, returned = sample["cost"] / 1e6, sample["returned"]
                progress = f"round {round_number + 1}/{rounds} {kind}, {target.label}"
                log(f"{progress}: {cost:.1f} MB, {returned:.1%} returned")
        results += [_result(kind, content, limit, target, samples[target]) for target in targets]
    return results


def _result(kind, content, limit, target, samples):
    result = {"kind": kind, "target": target.label, "content_bytes": content}
    if target.failed or not samples:
        return result | {"failed": target.failed}
    result |= {key: _median(samples, key) for key in samples[0]}
    # The limit is the arena's promise; the kernel's own inodes are not memfuse's to change.
    limit = limit if target.label == "arena" else None
    within = result["returned"] >= RETURNED and (limit is None or result["cost"] <= limit)
    return result | {"limit": limit, "within": within, "samples": samples}
