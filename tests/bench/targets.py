"""The compared file systems: how each is mounted and unmounted."""

import contextlib
import os
import re
import shutil
import signal
import stat
import subprocess
import time

from commands import MOMENT, Failure, ended, kill_all, last_line, run, start

PEERS = ("bindfs", "mergerfs")


def mount_points():
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        return [line.split()[4].replace(r"\040", " ") for line in file]


def mounted(path):
    return path in mount_points()


def unmount(path):
    """Retries, because caches and asynchronous I/O keep a mount busy for a moment."""
    deadline = time.monotonic() + 5
    while mounted(path) and time.monotonic() < deadline:
        try:
            run(["umount", path], timeout=5)
        except Failure:
            time.sleep(0.1)
    if not mounted(path):
        return
    try:
        run(["umount", "--lazy", path])
    except Failure:
        pass


def clean_up(targets, work):
    """Leaves no mount, no process and no directory, in every case."""
    for target in targets:
        target.unmount()
    # Targets that were interrupted during the mount.
    kill_all()
    for path in mount_points():
        if path.startswith(work + "/"):
            unmount(path)
    try:
        # A directory that is still a mount point must not be emptied.
        run(["rm", "-rf", "--one-file-system", work])
    except Failure:
        pass


class Target:
    """A file system. `path` is valid from mount() to unmount()."""

    def __init__(self, label, what, nobody=False, transport=False, data=True):
        self.label = label
        self.what = what
        self.nobody = nobody  # Mounted and used by the user nobody.
        self.transport = transport  # Included in the cells that measure requests alone.
        self.data = data  # Included in the other cells, because it stores data.
        self.failed = None
        self.path = None
        self.direct = False
        self._work = None

    def mount(self, work):
        self._work = work
        self.path = os.path.join(work, self.label)
        os.makedirs(self.path, exist_ok=True)  # It may exist from an earlier mount.
        if self.nobody:
            shutil.chown(self.path, "nobody", "nogroup")
        self._mount()
        self.direct = self._takes_direct()

    def run(self, command, timeout=MOMENT):
        """Runs a program on the mount, as the user with access to it."""
        return run(command, timeout, self.nobody)

    def remove(self, names):
        self.run(["rm", "-rf", *(os.path.join(self.path, name) for name in names)], timeout=120)

    def unmount(self):
        """Never fails, and may be called twice."""
        if self.path is not None:
            unmount(self.path)
            self._after_unmount()
            self.path = None

    def fail(self, reason):
        """Records the first failure only; the text contains no paths."""
        if self.failed is None:
            reason = str(reason).replace(f"{self._work}/", "")
            self.failed = re.sub(r"(/[^/\s:]+)+/([^/\s:]+)", r"\2", reason)
        self._give_up()
        self.unmount()

    def held_memory(self):
        """The bytes that the target itself reports, without kernel objects."""
        raise NotImplementedError

    def settle(self):
        """Waits until the target has finished all work for earlier requests."""

    def _mount(self):
        raise NotImplementedError

    def _after_unmount(self):
        pass

    def _give_up(self):
        """Called before the unmount of a file system that may no longer answer."""

    def _takes_direct(self):
        probe = os.path.join(self.path, "probe")
        try:
            self.run(["dd", "if=/dev/zero", f"of={probe}", "bs=4096", "count=1", "oflag=direct"])
            return True
        except Failure:
            return False
        finally:
            self.remove(["probe"])


def used_space(path):
    status = os.statvfs(path)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


class Tmpfs(Target):
    def __init__(self, label, what, mount_options="defaults", **options):
        super().__init__(label, what, **options)
        self._mount_options = mount_options

    def held_memory(self):
        return used_space(self.path)

    def _mount(self):
        run(["mount", "-t", "tmpfs", "-o", self._mount_options, "tmpfs", self.path])


class Fuse(Target):
    """A program in the foreground that serves a mount. `command` ends with the arguments of this
    class; '{}' stands for the mount point."""

    def __init__(self, label, what, command, **options):
        super().__init__(label, what, **options)
        self._command = command
        self._process = None
        self._log = None

    def held_memory(self):
        """Anonymous memory, memory files (which have no name), and a private tmpfs, which is
        reached through directories that the process has open."""
        process = f"/proc/{self._process.pid}"
        with open(f"{process}/status", encoding="utf-8", errors="replace") as file:
            anonymous = re.search(r"^RssAnon:\s+(\d+) kB", file.read(), re.MULTILINE)
        held = int(anonymous.group(1)) * 1024
        file_systems = {}
        for entry in os.scandir(f"{process}/fd"):
            state = os.stat(entry.path)
            if stat.S_ISREG(state.st_mode) and state.st_nlink == 0:
                held += state.st_blocks * 512
            elif stat.S_ISDIR(state.st_mode):
                file_systems[state.st_dev] = entry.path
        return held + sum(map(used_space, file_systems.values()))

    def settle(self):
        """A server receives FORGET and RELEASE a moment later. Waits until the server's processor
        time, which has a resolution of hundredths of a second, stays the same."""
        deadline = time.monotonic() + 60
        before, still = None, 0
        while still < 3 and time.monotonic() < deadline:
            time.sleep(0.03)
            now = self._processor_time()
            still = still + 1 if now == before else 0
            before = now

    def _processor_time(self):
        try:
            with open(f"/proc/{self._process.pid}/stat", encoding="utf-8") as file:
                # The name ends at the last ')' and may contain spaces.
                return file.read().rpartition(")")[2].split()[11:13]
        except OSError as error:
            raise Failure(self._last_words()) from error

    def _arguments(self):
        return [argument.replace("{}", self.path) for argument in self._command]

    def _mount(self):
        self._log = os.path.join(self._work, f"{self.label}.log")
        with open(self._log, "w", encoding="utf-8") as log:
            self._process = start(self._arguments(), self.nobody, stdout=log, stderr=log)
        deadline = time.monotonic() + MOMENT
        while not mounted(self.path):
            if self._process.poll() is not None:
                raise Failure(self._last_words())
            if time.monotonic() > deadline:
                raise Failure(f"not mounted after {MOMENT} s")
            time.sleep(0.01)

    def _give_up(self):
        if self._process is not None:
            self._process.kill()

    def _last_words(self):
        with open(self._log, encoding="utf-8", errors="replace") as log:
            words = last_line(log.read())
        return words or f"ended with status {self._process.returncode}"

    def _after_unmount(self):
        if self._process is None:
            return
        for signal_number in (None, signal.SIGTERM, signal.SIGKILL):
            if signal_number is not None:
                self._process.send_signal(signal_number)
            try:
                self._process.wait(timeout=5)
                ended(self._process)
                break
            except subprocess.TimeoutExpired:
                pass
        # The program may have mounted between the check and its exit.
        unmount(self.path)
        self._process = None


RING_SWITCH = "/sys/module/fuse/parameters/enable_uring"


def _ring_switch(value=None):
    """Sets the parameter to `value`, if given; returns its previous value."""
    try:
        with open(RING_SWITCH, "r+", encoding="ascii") as switch:
            before = switch.read().strip()
            if value is not None:
                switch.seek(0)
                switch.write(value)
        return before
    except OSError as error:
        raise Failure(f"{os.path.basename(RING_SWITCH)}: {error.strerror}") from error


@contextlib.contextmanager
def ring_offered():
    """FUSE over io_uring is off unless root enables it. Mounts that are made in the meantime keep
    using it."""
    before = _ring_switch()
    try:
        _ring_switch("Y")
        yield
    finally:
        _ring_switch(before)


def ring_can_be_had():
    try:
        with ring_offered():
            return True
    except Failure:
        return False


class Memfuse(Fuse):
    """Counts its requests. With `ring` it uses io_uring, which is enabled during the mount."""

    def __init__(self, label, program, flags, ring=False):
        super().__init__(label, " ".join(["memfuse", *flags]), [program, "{}", "-f", *flags])
        self.ring = ring

    def requests(self):
        """By opcode, since it was mounted."""
        self.settle()
        before = len(self._counts())
        self._process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + MOMENT
        while time.monotonic() < deadline:
            counts = self._counts()
            if len(counts) > before:
                fields = (field.split("=") for field in counts[-1].split())
                return {name: int(count) for name, count in fields if name != "total"}
            time.sleep(0.01)
        raise Failure("it does not say how many requests came")

    def _counts(self):
        with open(self._log, encoding="utf-8", errors="replace") as log:
            return re.findall(r"requests: (total=.*)\n", log.read())

    def _mount(self):
        if not self.ring:
            super()._mount()
            return
        with ring_offered():
            super()._mount()
            # The mount exists before its rings do. This request waits for them.
            self.run(["stat", "--file-system", self.path])


class Peer(Fuse):
    """Passes a separate tmpfs through another FUSE file system."""

    def _arguments(self):
        return [argument.replace("{source}", self._source()) for argument in super()._arguments()]

    def _source(self):
        return os.path.join(self._work, f"{self.label}.source")

    def _mount(self):
        os.makedirs(self._source(), exist_ok=True)
        run(["mount", "-t", "tmpfs", "tmpfs", self._source()])
        super()._mount()

    def _after_unmount(self):
        super()._after_unmount()
        unmount(self._source())


class Missing(Target):
    def _mount(self):
        raise Failure(f"neither {' nor '.join(PEERS)} is installed")


def find_peer():
    return next((peer for peer in PEERS if shutil.which(peer)), None)


def _peer_target(peer):
    if peer == "bindfs":
        # The program supports several threads, but not by default.
        command = ["bindfs", "-f", "--multithreaded", "{source}", "{}"]
        return Peer(peer, "bindfs --multithreaded over a tmpfs", command, transport=True)
    if peer == "mergerfs":
        options = "allow_other,category.create=ff,cache.files=auto-full"
        command = ["mergerfs", "-f", "-o", options, "{source}", "{}"]
        return Peer(peer, "mergerfs with page cache over a tmpfs", command, transport=True)
    return Missing("peer", "FUSE peer", transport=True)


def all_targets(memfuse, threads, peer):
    """Every file system, the yardstick first."""

    def served(label, flags, **options):
        command = [memfuse, "{}", "-f", f"--threads={threads}", *flags]
        who = ["as nobody"] if options.get("nobody") else []
        return Fuse(label, " ".join(["memfuse", *flags, *who]), command, **options)

    return [
        Tmpfs("tmpfs", "kernel tmpfs, default options", transport=True),
        served("passthrough", ["--data=passthrough"]),
        served("passthrough-huge", ["--data=passthrough", "--huge=within_size"]),
        served("arena", ["--data=daemon"]),
        served("arena-writeback", ["--data=daemon", "--writeback"]),
        served("arena-user", ["--data=auto"], nobody=True),
        _peer_target(peer),
        served("null", ["--data=null"], transport=True, data=False),
    ]


def metadata_targets(memfuse, peer, ring, arena, room=False, resilient=False):
    """The targets of run_metadata.py, the yardstick first. With `room` they have no limits and
    exclude the peer, for more files than default limits allow. With `resilient` there is a second
    target for each store, whose server has a keeper."""
    limits = ["--size=0", "--nr_inodes=0"] if room else []
    stores = {"memfuse": []} | ({"arena": ["--data=daemon"]} if arena else {})
    if not room:
        stores["alone"] = ["--noallow_other", "--noxattr"]
    mount_options = "size=100%,nr_inodes=0" if room else "defaults"
    targets = [Tmpfs("tmpfs", f"kernel tmpfs, {mount_options}", mount_options)]
    for store, flags in stores.items():
        for transport in ["dev", "uring"] if ring else ["dev"]:
            chosen = [*flags, f"--transport={transport}", *limits]
            ring_target = transport == "uring"
            targets.append(Memfuse(f"{store}-{transport}", memfuse, chosen, ring_target))
            if resilient and not ring_target:
                kept = [*chosen, "--resilient"]
                targets.append(Memfuse(f"{store}-{transport}-resilient", memfuse, kept))
    return targets if room else [*targets, _peer_target(peer)]
