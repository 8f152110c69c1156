"""The circumstances of a result: kernel, processors, memory, versions. No names, no paths."""

import os
import re

from commands import Failure, run


def memory_info():
    """/proc/meminfo in bytes."""
    with open("/proc/meminfo", encoding="ascii") as file:
        fields = (line.split() for line in file)
        return {field[0].rstrip(":"): int(field[1]) * 1024 for field in fields if len(field) == 3}


def memory_total():
    return memory_info()["MemTotal"]


def version(command):
    """The version number that a program prints, or None if the program does not exist."""
    try:
        found = re.search(r"\d+(\.\d+)+", run([command, "--version"]))
    except Failure:
        return None
    return found.group() if found else None


def _processor():
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return os.uname().machine


def _chosen(path):
    """The word in brackets of a setting like 'always [madvise] never'."""
    try:
        with open(path, encoding="ascii") as file:
            return re.search(r"\[(\w+)\]", file.read()).group(1)
    except (OSError, AttributeError):
        return None


def drop_caches(which):
    """1: page cache, 2: names and inodes, 3: both."""
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write(str(which))


def facts(memfuse, peer, tools):
    """`tools` are the programs that use the mounts."""
    return {
        "kernel": os.uname().release,
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory_bytes": memory_total(),
        "swap_bytes": memory_info()["SwapTotal"],
        "shmem_huge": _chosen("/sys/kernel/mm/transparent_hugepage/shmem_enabled"),
        "memfuse": version(memfuse),
        "tools": {tool: version(tool) for tool in tools},
        "peer": f"{peer} {version(peer)}" if peer else None,
    }


def sentence(machine):
    """The facts in one line."""
    parts = [
        f"Linux {machine['kernel']}",
        f"{machine['cpus']} CPUs ({machine['processor']})",
        f"{machine['memory_bytes'] / 2**30:.0f} GiB RAM",
        f"memfuse {machine['memfuse']}",
        *(f"{tool} {number}" for tool, number in machine["tools"].items()),
        machine["peer"] or "no FUSE peer",
    ]
    return ", ".join(parts)
