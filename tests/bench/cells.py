"""The measurements: one cell is one fio job, the same for every target."""

from dataclasses import dataclass

BLOCKS = {"4k": 4096, "1m": 1 << 20}
JOBS = (1, 2, 4)


@dataclass(frozen=True)
class Cell:
    engine: str  # The name that fio uses.
    depth: int
    block: str
    random: bool
    write: bool
    new: bool = False  # Writes a file that does not exist yet, once.
    jobs: int = 1
    transport: bool = False  # Every block is a request; this measures the transport.

    @property
    def mode(self):
        return ("rand" if self.random else "") + ("write" if self.write else "read")

    @property
    def name(self):
        engine = self.engine + (str(self.depth) if self.depth > 1 else "")
        place = "transport" if self.transport else "new" if self.new else "existing"
        mode = self.mode if self.random else f"seq{self.mode}"
        return f"{engine}-{self.block}-{mode}-{place}-{self.jobs}j"

    @property
    def wants_direct(self):
        """Without O_DIRECT libaio is synchronous, and the page cache answers instead of the
        server."""
        return self.engine == "libaio" or self.transport

    def wanted_of(self, target):
        return target.transport if self.transport else target.data

    def fio_arguments(self, directory, size, seconds, direct):
        """The flags for `jobs` files with a total size of `size` bytes."""
        arguments = _common(directory, self.jobs, size) + [
            f"--ioengine={self.engine}",
            f"--iodepth={self.depth}",
            f"--rw={self.mode}",
            f"--bs={BLOCKS[self.block]}",
            f"--direct={int(direct and self.wants_direct)}",
            "--gtod_reduce=1",
        ]
        if self.write:
            # The write-back of dirty pages counts in the time of the cell that made them.
            arguments.append("--end_fsync=1")
        if not self.new:
            # Both pass over the file until the time ends. The first maps it once, and soon measures
            # memcpy alone; the second maps it again for every pass, as a program would.
            again = "--io_size=100t" if self.engine == "mmap" else "--time_based"
            runtime = f"--runtime={round(seconds * 1000)}ms"
            return arguments + ["--filename_format=data.$jobnum", again, runtime]
        arguments += ["--filename_format=new.$jobnum", "--unlink=1"]
        if self.engine != "mmap":
            # The file grows by itself, except with mmap, which needs the size in advance.
            arguments.append("--create_on_open=1")
        return arguments


def _common(directory, jobs, size):
    return [
        "fio",
        "--name=cell",
        f"--directory={directory}",
        f"--numjobs={jobs}",
        f"--size={size // jobs}",
        "--group_reporting",
        "--output-format=json",
        # By default fio drops the page cache of the file, which is what this cell measures.
        "--invalidate=0",
        "--fallocate=none",
        "--scramble_buffers=0",
    ]


def layout_arguments(directory, jobs, size):
    """Writes the files that cells of `jobs` jobs read and overwrite."""
    return _common(directory, jobs, size) + [
        "--filename_format=data.$jobnum",
        "--ioengine=psync",
        "--rw=write",
        "--bs=1m",
        "--end_fsync=1",
    ]


HEADLINE = {
    "4k rand read": Cell("psync", 1, "4k", random=True, write=False),
    "4k rand write": Cell("psync", 1, "4k", random=True, write=True),
    "1M seq read": Cell("psync", 1, "1m", random=False, write=False),
    "1M seq write": Cell("psync", 1, "1m", random=False, write=True),
    "mmap 4k read": Cell("mmap", 1, "4k", random=True, write=False),
    "mmap 4k write": Cell("mmap", 1, "4k", random=True, write=True),
}

TRANSPORT = [
    Cell(engine, depth, "4k", random, write, transport=True)
    for engine, depth in (("libaio", 16), ("pvsync2", 1))
    for random in (False, True)
    for write in (False, True)
]

FULL = [
    Cell(engine, depth, block, random, write, new, jobs)
    for jobs in JOBS
    for engine, depth in (("psync", 1), ("libaio", 16), ("mmap", 1))
    for block in BLOCKS
    for random in (False, True)
    for write, new in ((False, False), (True, False), (True, True))
]

PRESETS = {"quick": list(HEADLINE.values()), "transport": TRANSPORT, "full": FULL}


def chosen(presets):
    """The cells of presets like ['quick', 'transport'], without duplicates."""
    return list(dict.fromkeys(cell for preset in presets for cell in PRESETS[preset]))
