#!/usr/bin/python3 -B
"""What hostile clients of the control socket cost a program that uses the mount. See README.md in
this folder."""

import json
import os
import random
import resource
import selectors
import signal
import socket
import statistics
import tempfile
import time

from command_line import Parser, check_basics, positive, run_program, speaker
from commands import interrupts, run
from targets import Fuse, clean_up

PROGRAM = "run_control_clients.py"
NOBODY = 65534
say = speaker(PROGRAM)


def parse(arguments):
    parser = Parser(prog=PROGRAM, description="What hostile clients of the control socket cost.")
    add = parser.add_argument
    add("--memfuse", required=True, metavar="PROGRAM", help="the release build")
    add("--clients", type=positive(int), default=1000, help="(default: 1000)")
    add("--rounds", type=positive(int), default=7, help="(default: 7)")
    add("--seconds", type=positive(int), default=4, help="of fio (default: 4)")
    return parser.parse_args(arguments)


# What a client does with each second, by its number.
def slow(_number):
    """One byte of a request each second, without end."""
    yield from (bytes([byte]) for byte in b"GET /v1/status HTTP/1.1\r\n" + b"x: y\r\n" * 100)


def silent(_number):
    """Nothing."""
    while True:
        yield b""


def malformed(number):
    """Bytes that are no HTTP, or a request that is too long."""
    source = random.Random(number)
    yield source.randbytes(200) if number % 2 else b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n"


def asking(number):
    """Questions that take the daemon long."""
    paths = (b"/v1/usage", b"/v1/top", b"/v1/usage?by=type", b"/v1/usage?deleted=1")
    yield b"GET " + paths[number % len(paths)] + b" HTTP/1.1\r\nHost: x\r\n\r\n"


KINDS = (slow, silent, malformed, asking)


class Client:
    """A connection, which is made again when it ends."""

    def __init__(self, path, number, selector):
        self.path, self.number, self.selector = path, number, selector
        self.socket, self.steps = None, None

    def step(self):
        try:
            if self.socket is None:
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.setblocking(False)
                self.socket.connect(self.path)
                self.selector.register(self.socket, selectors.EVENT_READ, self)
                self.steps = KINDS[self.number % len(KINDS)](self.number)
            data = next(self.steps, b"")
            if data:
                self.socket.send(data)
        except OSError:
            self.close()

    def close(self):
        if self.socket is None:
            return
        try:
            self.selector.unregister(self.socket)
        except (KeyError, ValueError):
            pass
        self.socket.close()
        self.socket = None

    def readable(self):
        try:
            if self.socket.recv(65536):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.close()


def run_clients(path, count):
    """The process of the clients: user nobody, idle priority, so that their own work costs as
    little as possible. Ends with SIGTERM."""
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    selector = selectors.DefaultSelector()
    clients = [Client(path, number, selector) for number in range(count)]
    while True:
        turn_ends = time.monotonic() + 1
        for client in clients:
            client.step()
        while (left := turn_ends - time.monotonic()) > 0:
            for key, _events in selector.select(left):
                key.data.readable()


def start_clients(path, count):
    child = os.fork()
    if child:
        return child
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    soft_limit = max(count + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft_limit, soft_limit))
    try:
        run_clients(path, count)
    finally:
        os._exit(1)
    return None


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


FIO = {
    "write 4 KiB": ["--rw=randwrite", "--bs=4k", "--size=64m", "--direct=1"],
    "read 4 KiB": ["--rw=randread", "--bs=4k", "--size=64m", "--direct=1"],
}


def fio(directory, arguments, seconds):
    """Operations per second."""
    job = ["--name=job", f"--directory={directory}", "--ioengine=psync", "--time_based"]
    output = run(["fio", "--output-format=json", *job, f"--runtime={seconds}", *arguments])
    job = json.loads(output)["jobs"][0]
    return job["read"]["iops"] + job["write"]["iops"]


def control_socket(directory):
    status = os.stat(directory)
    return f"/run/memfuse/{os.major(status.st_dev)}:{os.minor(status.st_dev)}.sock"


def benchmark(options):
    work = tempfile.mkdtemp(prefix="memfuse-bench-")
    target = Fuse("arena", "memfuse --data=daemon",
                  [options.memfuse, "{}", "-f", "--size=1g", "--data=daemon"])  # fmt: skip
    ratios = {name: [] for name in FIO}
    clients_cpu = []
    try:
        target.mount(work)
        directory = target.path
        for number in range(20000):
            open(f"{directory}/file{number}", "xb").close()
        socket_path = control_socket(directory)
        for round_number in range(options.rounds):
            say(f"round {round_number + 1} of {options.rounds}")
            for name, arguments in FIO.items():
                speed = {}
                for with_clients in (False, True) if round_number % 2 else (True, False):
                    child = start_clients(socket_path, options.clients) if with_clients else None
                    try:
                        speed[with_clients] = fio(directory, arguments, options.seconds)
                    finally:
                        if child is not None:
                            clients_cpu.append(cpu_seconds(child) / options.seconds)
                            os.kill(child, signal.SIGKILL)
                            os.waitpid(child, 0)
                ratios[name].append(speed[True] / speed[False])
    finally:
        interrupts.ignore()
        clean_up([target], work)
    print(f"fio beside {options.clients} clients of the control socket, relative to fio alone:")
    for name, values in ratios.items():
        print(f"  {name}: {statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})")
    print(f"the clients themselves used {statistics.median(clients_cpu):.2f} of a processor")
    return True


if __name__ == "__main__":
    run_program(PROGRAM, parse, lambda options: check_basics(options, ("fio",)), benchmark)
