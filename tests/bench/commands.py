"""Runs other programs: with a time limit, as another user, and none left behind."""

import os
import signal
import subprocess

NOBODY = {"user": "nobody", "group": "nogroup", "extra_groups": []}

# For what should be over in a moment; a dead file system would hang it.
MOMENT = 20


class Failure(Exception):
    """A sentence for the user."""


def start(command, nobody=False, **options):
    """A program in a session of its own: Ctrl-C reaches this process only, which then cleans up in
    the right order. Away from the caller's directory, which nobody may not be allowed into."""
    identity = NOBODY if nobody else {}
    try:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, cwd="/", start_new_session=True, **identity, **options
        )
    except OSError as error:
        raise Failure(f"{os.path.basename(command[0])}: {error.strerror}") from error


def kill_group(process):
    """fio's jobs are processes too, of the same group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    try:
        process.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        pass  # Stuck in a file system; it goes when that does.


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
    if process.returncode != 0:
        raise Failure(f"{name}: {last_line(errors) or f'exit status {process.returncode}'}")
    return output
