"""The duration of programs on a source tree, and the requests that they cause."""

import contextlib
import statistics
from dataclasses import dataclass

import tree
from measure import Samples, attempt, in_turn, mount_all
from targets import Memfuse, Tmpfs

TIMEOUT = 600


@dataclass(frozen=True)
class Program:
    """Scripts of bash, run in the mount with the directory of tarball and project as $SOURCE."""

    name: str
    script: str  # The measured part.
    prepare: str = ":"
    files: str = "tree"  # The files that the program reads.


# One round: each program uses the results of the previous ones.
PROGRAMS = [
    Program("tar x", 'tar xf "$SOURCE/tree.tar"'),
    Program("find", "find tree"),
    Program("grep -r", f"grep -rF {tree.ABSENT} tree || [ $? -eq 1 ]"),
    # The first program writes the index of a tree without one, as after every clone. The script
    # also checks that nothing is changed.
    Program(
        "git status",
        "git -C tree status --porcelain",
        prepare="git -C tree status >/dev/null; [ -z \"$(git -C tree status --porcelain)\" ]",
    ),
    Program("tar c", "tar c tree | cat"),  # With /dev/null as output tar would read nothing.
    Program("cp -r", "cp -r tree copy"),
    Program("rm -rf", "rm -rf copy"),
    Program("make -j2", "make -s -j2 -C project", 'cp -r "$SOURCE/project" .', files="project"),
]
CLEAN_UP = "rm -rf tree copy project"


class Source(Tmpfs):
    """The archive, on a separate tmpfs, beside the compared targets."""

    def __init__(self):
        super().__init__("source", "tarball and project")
        self.files = {"project": tree.C_FILES}
        self.size = 0

    def fill(self, files, log):
        log(f"making a tree of {files} files")
        self.files["tree"], self.size = tree.make_tree(self.path, files)
        tree.shell(
            'cd "$1"; tar cf tree.tar --sort=name --owner=0 --group=0 --numeric-owner '
            "--mtime=2024-01-01 tree; rm -rf tree",
            self.path,
            timeout=TIMEOUT,
        )
        tree.make_project(self.path)


def _run(script, target, source):
    return tree.shell(f'cd "$1"; SOURCE=$2\n{script}', target.path, source.path, timeout=TIMEOUT)


def _seconds(program, target, source):
    """The time that the shell measures, without the start of an interpreter."""
    output = _run(
        f"{program.prepare}\nbegin=$EPOCHREALTIME\n{{ {program.script}; }} >/dev/null\n"
        "echo $begin $EPOCHREALTIME",
        target,
        source,
    )
    begin, end = map(float, output.split())
    return end - begin


def _requests(program, target, source):
    """The requests by opcode. Requests that arrive a moment after the program's end (closed files)
    belong to it."""
    _run(program.prepare, target, source)
    before = target.requests()
    _run(f"{{ {program.script}; }} >/dev/null", target, source)
    after = target.requests()
    return {name: count - before.get(name, 0) for name, count in after.items()}


def _round(target, source, measure, chosen=tuple(PROGRAMS)):
    """The value of each program, on a mount that is empty before and afterwards."""
    values = {program: measure(program, target, source) for program in chosen}
    _run(CLEAN_UP, target, source)
    target.settle()
    return values


def seconds_of(target, source, chosen):
    """The seconds of each of these programs, which must not need the results of others."""
    return _round(target, source, _seconds, chosen)


@contextlib.contextmanager
def filled_source(work, files, log):
    source = Source()
    source.mount(work)
    try:
        source.fill(files, log)
        yield source
    finally:
        source.unmount()


def measure_time(targets, work, rounds, files, log):
    """Samples by program, and a description of the tree."""
    with filled_source(work, files, log) as source:
        mount_all(targets, work, log)
        samples = Samples(lambda value: value)
        for round_number in range(rounds):
            for target in in_turn(targets, round_number):
                values = attempt(target, log, _round, target, source, _seconds)
                for program, value in (values or {}).items():
                    samples.add(program, target, round_number, value)
                if values:
                    shown = ", ".join(f"{p.name} {s:.3f}" for p, s in values.items())
                    log(f"round {round_number + 1}/{rounds} {target.label}: {shown} s")
    return samples, source


def count_requests(targets, work, files, log):
    """By target and program, the requests of each opcode per file. They are nearly the same each
    time, and therefore counted once."""
    with filled_source(work, files, log) as source:
        mount_all(targets, work, log)
        counts = {}
        for target in [target for target in targets if not target.failed]:
            values = attempt(target, log, _round, target, source, _requests)
            if values:
                counts[target] = {
                    program: {name: n / source.files[program.files] for name, n in by_name.items()}
                    for program, by_name in values.items()
                }
    return counts, source


def those_that_count(targets):
    """The targets that count their requests: those through /dev/fuse, if there are any, because the
    requests through io_uring are the same."""
    able = [target for target in targets if isinstance(target, Memfuse)]
    return [target for target in able if not target.ring] or able


def summary(samples, program, target):
    compared = samples.comparison(program, target)
    if compared is None:
        return None
    return compared | {"seconds": statistics.median(samples.values(program, target).values())}
