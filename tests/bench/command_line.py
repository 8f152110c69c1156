"""The common parts of the command lines of the benchmarks."""

import argparse
import os
import re
import subprocess
import sys

from commands import Failure, interrupts

Wrong = argparse.ArgumentTypeError  # An error of one flag; argparse adds its name.


class Parser(argparse.ArgumentParser):
    def error(self, message):
        """A usage error in one line; --help has the rest."""
        raise Failure(message.removeprefix("argument "))


def size_of(text):
    found = re.fullmatch(r"(\d+)([kmg]?)", text.lower())
    if not found:
        raise Wrong(f"'{text}' is no size; give bytes, or a number with k, m or g")
    return int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[found[2]]


def positive(kind, limit=1e6):
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < limit:
            raise Wrong(f"'{text}' is no positive number")
        return value

    return parse


def pattern(text):
    try:
        return re.compile(text)
    except re.error as error:
        raise Wrong(f"'{text}' is no regular expression: {error}") from error


def names_of(known):
    """Some of these names, separated by commas."""

    def parse(text):
        names = text.split(",")
        for name in names:
            if name not in known:
                raise Wrong(f"'{name}' is none of {', '.join(known)}")
        return names

    return parse


def speaker(program):
    def say(text):
        print(f"{program}: {text}", file=sys.stderr, flush=True)

    return say


def install_missing(program, packages):
    """Installs missing packages, as the scripts in packaging/ do."""
    deps = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../packaging/deps.sh")
    install = ["bash", "-c", '. "$1"; shift; install_missing "$@"', program, deps]
    for package in packages:
        # If a package cannot be installed, its later use fails with an error.
        subprocess.run(install + [package], stdout=sys.stderr, check=False)


def executable(path):
    return os.path.isfile(path) and os.access(path, os.X_OK)


def check_basics(options, outputs):
    """The preconditions of every benchmark, before the first mount."""
    if os.geteuid() != 0:
        raise Failure("run it as root: it mounts tmpfs, drops caches and becomes nobody")
    options.memfuse = os.path.realpath(options.memfuse)
    if not executable(options.memfuse):
        raise Failure("--memfuse is no program; build it with 'cmake --build --preset release'")
    for path in filter(None, outputs):
        if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
            raise Failure(f"there is no directory for {path}")
    if not os.path.exists("/dev/fuse"):
        raise Failure("there is no /dev/fuse")


def find_programs(options, names):
    """Sets an attribute of `options` for each program of the benchmark's own: its path in the
    directory options.programs or in the build of memfuse."""
    build = os.path.join(os.path.dirname(options.memfuse), "../../tests/bench")
    directory = os.path.realpath(options.programs or build)
    for name in names:
        program = os.path.join(directory, name)
        if not executable(program):
            raise Failure(f"{name} is not built; 'cmake --build --preset release' does it")
        setattr(options, name, program)


def write(path, text):
    if path:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def run_program(program, parse, check, benchmark):
    """Exits with the status; `benchmark` returns whether every target succeeded."""
    sys.exit(_status(program, parse, check, benchmark))


def _status(program, parse, check, benchmark):
    say = speaker(program)
    try:
        options = parse(sys.argv[1:])
        check(options)
        interrupts.catch()
        return 0 if benchmark(options) else 1
    except Failure as failure:
        say(failure)
    except OSError as error:
        say(f"{error.filename}: {error.strerror}" if error.filename else error)
    except KeyboardInterrupt:
        say("interrupted; nothing is left mounted")
        return 130
    return 1
