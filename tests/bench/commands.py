"""Runs other programs: with a time limit, optionally as another user, and without leaving any
behind."""

import contextlib
import os
import signal
import subprocess

NOBODY = {"user": "nobody", "group": "nogroup", "extra_groups": []}

# The time limit for short commands. A dead file system would make them hang.
MOMENT = 20


class Failure(Exception):
    """An error text for the user."""


class Interrupts:
    """Ctrl-C and similar signals raise KeyboardInterrupt, but never between the start of a program
    and its registration in this module."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self):
        self._held = False
        self._pending = False

    def catch(self):
        for number in self.SIGNALS:
            signal.signal(number, self._arrived)

    def ignore(self):
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    @contextlib.contextmanager
    def held(self):
        """May be nested; then the outer one raises."""
        before, self._held = self._held, True
        try:
            yield
        finally:
            self._held = before
        if self._pending and not before:
            self._pending = False
            raise KeyboardInterrupt

    def _arrived(self, _number, _frame):
        self.ignore()  # A second signal must not interrupt the clean-up.
        if not self._held:
            raise KeyboardInterrupt
        self._pending = True


interrupts = Interrupts()
_running = set()


def start(command, nobody=False, **options):
    """Starts a program in its own session: Ctrl-C reaches this process only, which then cleans up
    in the right order. Changes to another directory, because the user nobody may lack access to the
    caller's."""
    identity = NOBODY if nobody else {}
    try:
        with interrupts.held():
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
                **identity,
                **options,
            )
            _running.add(process)
        return process
    except OSError as error:
        raise Failure(f"{os.path.basename(command[0])}: {error.strerror}") from error


def ended(process):
    """Called for every program that start() returned and that has exited."""
    _running.discard(process)


def kill_group(process):
    """Kills the process group, because fio's jobs are processes of the same group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    try:
        process.communicate(timeout=5)
        ended(process)
    except subprocess.TimeoutExpired:
        pass  # Blocked in a file system; it exits after the unmount.


def kill_all():
    """Kills every program of start() that has not been waited for."""
    for process in list(_running):
        kill_group(process)


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def run(command, timeout=MOMENT, nobody=False):
    """The standard output of a program; a Failure with its last line of stderr if it fails or
    exceeds its time."""
    process = start(
        command, nobody, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    name = os.path.basename(command[0])
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        kill_group(process)
        raise Failure(f"{name} did not end within {timeout:.0f} s") from None
    except BaseException:
        kill_group(process)
        raise
    ended(process)
    if process.returncode != 0:
        words = last_line(errors) or f"exit status {process.returncode}"
        raise Failure(f"{name}: {words.removeprefix(f'{name}: ')}")
    return output
