"""Runs other programs: with a time limit, as another user, and none left behind."""

import contextlib
import os
import signal
import subprocess

NOBODY = {"user": "nobody", "group": "nogroup", "extra_groups": []}

# For what should be over in a moment; a dead file system would hang it.
MOMENT = 20


class Failure(Exception):
    """A sentence for the user."""


class Interrupts:
    """Ctrl-C and its like raise KeyboardInterrupt, but never between the birth of a program and the
    moment when this one knows of it."""

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
        """May be within another one, which then is the one that raises."""
        before, self._held = self._held, True
        try:
            yield
        finally:
            self._held = before
        if self._pending and not before:
            self._pending = False
            raise KeyboardInterrupt

    def _arrived(self, _number, _frame):
        self.ignore()  # A second one must not interrupt the cleaning up.
        if not self._held:
            raise KeyboardInterrupt
        self._pending = True


interrupts = Interrupts()
_running = set()


def start(command, nobody=False, **options):
    """A program in a session of its own: Ctrl-C reaches this process only, which then cleans up in
    the right order. Away from the caller's directory, which nobody may not be allowed into."""
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
    """To be said of every program that start() returned and that is over."""
    _running.discard(process)


def kill_group(process):
    """fio's jobs are processes too, of the same group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    try:
        process.communicate(timeout=5)
        ended(process)
    except subprocess.TimeoutExpired:
        pass  # Stuck in a file system; it goes when that does.


def kill_all():
    """Whatever start() started and nobody saw the end of."""
    for process in list(_running):
        kill_group(process)


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def run(command, timeout=MOMENT, nobody=False):
    """Its standard output; a Failure with its last words if it does not end well and in time."""
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
