"""The memory of the whole machine that files use, and the share that is free again after their
removal."""

import os
import re
import shutil
import statistics
import time

from cells import layout_arguments
from commands import Failure
from machine import drop_caches, memory_info
from measure import fio

SMALL_FILES = 100_000
SMALL_SIZE = 300
SMALL_LIMIT = 60e6  # For the daemon store.
RETURNED = 0.98

STORES = ("tmpfs", "passthrough", "passthrough-huge", "arena")


def free_on_lists():
    """Bytes in the per-CPU lists of free pages, which MemFree leaves out. After the removal of a
    large file they hold up to gigabytes for a while."""
    with open("/proc/zoneinfo", encoding="ascii") as file:
        counts = re.findall(r"^ +count: +(\d+)", file.read(), re.MULTILINE)
    return sum(map(int, counts)) * os.sysconf("SC_PAGESIZE")


def memory_in_use():
    """Bytes that the kernel would not reclaim by itself. Not MemAvailable, which counts half of the
    kernel's inodes as free, although those of tmpfs are not. `Cached` includes tmpfs files (Shmem),
    which are in use; the rest of it is cached copies, which are not."""
    info = memory_info()
    cache = info["Buffers"] + info["Cached"] - info["Shmem"]
    swapped = info["SwapTotal"] - info["SwapFree"]
    return info["MemTotal"] - info["MemFree"] - free_on_lists() - cache + swapped


def settled():
    """memory_in_use() after the caches are dropped and the value is stable: a server receives
    FORGET a moment after the kernel drops an inode."""
    previous = None
    for _ in range(20):
        drop_caches(3)
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


def readings_of(target, work, write, delete=delete_everything, warm_up=None):
    """The memory of the machine and the memory that the target reports, on a fresh mount: empty,
    after `write`, and after the removal of everything."""
    target.mount(work)
    try:
        if warm_up:
            warm_up(target)
        readings = [(settled(), target.held_memory())]
        write(target)
        readings.append((settled(), target.held_memory()))
        delete(target)
        readings.append((settled(), target.held_memory()))
    except OSError as error:
        raise Failure(error.strerror) from error
    finally:
        target.unmount()
        os.rmdir(os.path.join(work, target.label))
    return readings


def _one(target, work, write):
    """The cost of `write` on a fresh mount: for the machine, and as the target reports it."""
    readings = readings_of(target, work, write)
    cost, returned = _cost(reading[0] for reading in readings)
    held, held_returned = _cost(reading[1] for reading in readings)
    return {"cost": cost, "returned": returned, "held": held, "held_returned": held_returned}


def _cost(readings):
    """The difference, and the share of it that is free again. The share is 0 if another process on
    the machine freed more in the meantime than this used."""
    before, full, after = readings
    return full - before, (full - after) / (full - before) if full > before else 0.0


def measure(targets, work, rounds, size, log):
    """A list of results, one per kind of files and store, in the order of `targets`."""
    kinds = [
        ("one file", size, None, lambda target: write_file(target, size)),
        ("small files", SMALL_FILES * SMALL_SIZE, SMALL_LIMIT, write_small_files),
    ]
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
                cost, held = sample["cost"] / 1e6, sample["held"] / 1e6
                progress = f"round {round_number + 1}/{rounds} {kind}, {target.label}"
                log(f"{progress}: {cost:.1f} MB, held {held:.1f} MB")
        results += [_result(kind, content, limit, target, samples[target]) for target in targets]
    return results


def _result(kind, content, limit, target, samples):
    result = {"kind": kind, "target": target.label, "content_bytes": content}
    if target.failed or not samples:
        return result | {"failed": target.failed}
    for key in samples[0]:
        result[key] = statistics.median(sample[key] for sample in samples)
    # The limit applies to the daemon store. memfuse cannot change the size of the kernel's own
    # inodes.
    limit = limit if target.label == "arena" else None
    # By both readings, because the first is unreliable on a busy machine.
    cost = max(result["cost"], result["held"])
    returned = min(result["returned"], result["held_returned"])
    misses = []
    if limit is not None and cost > limit:
        misses.append(f"more than {limit / 1e6:.0f} MB")
    if returned < RETURNED:
        misses.append(f"less than {RETURNED:.0%} returned")
    return result | {"limit": limit, "misses": misses, "samples": samples}
