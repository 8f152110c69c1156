"""How long programs take over a source tree, and what they ask of a server."""

import statistics
from dataclasses import dataclass

import tree
from measure import Samples, attempt, in_turn, mount_all
from targets import Memfuse, Tmpfs

PATIENCE = 600


@dataclass(frozen=True)
class Program:
    """Scripts of bash, run in the mount with the directory of tarball and project as $SOURCE."""

    name: str
    script: str  # The part that counts.
    prepare: str = ":"
    files: str = "tree"  # Whose files it goes over.


# One round: each finds what those before it have left.
PROGRAMS = [
    Program("tar x", 'tar xf "$SOURCE/tree.tar"'),
    Program("find", "find tree"),
    Program("grep -r", f"grep -rF {tree.ABSENT} tree || [ $? -eq 1 ]"),
    # Of a tree that is not git's own yet, the first writes the index, as after every clone. That
    # nothing is changed is checked on the way.
    Program(
        "git status",
        "git -C tree status --porcelain",
        prepare="git -C tree status >/dev/null; [ -z \"$(git -C tree status --porcelain)\" ]",
    ),
    Program("tar c", "tar c tree | cat"),  # tar knows /dev/null, and reads nothing then.
    Program("cp -r", "cp -r tree copy"),
    Program("rm -rf", "rm -rf copy"),
    Program("make -j2", "make -s -j2 -C project", 'cp -r "$SOURCE/project" .', files="project"),
]
CLEAN_UP = "rm -rf tree copy project"


class Source(Tmpfs):
    """What is unpacked: on a tmpfs of its own, beside those that are compared."""

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
            timeout=PATIENCE,
        )
        tree.make_project(self.path)


def _run(script, target, source):
    return tree.shell(f'cd "$1"; SOURCE=$2\n{script}', target.path, source.path, timeout=PATIENCE)


def _seconds(program, target, source):
    """Taken by the shell, which is there already: without the start of an interpreter."""
    output = _run(
        f"{program.prepare}\nbegin=$EPOCHREALTIME\n{{ {program.script}; }} >/dev/null\n"
        "echo $begin $EPOCHREALTIME",
        target,
        source,
    )
    begin, end = map(float, output.split())
    return end - begin


def _requests(program, target, source):
    """By opcode. What it asks a moment after its end (closed files) belongs to it."""
    _run(program.prepare, target, source)
    before = target.requests()
    _run(f"{{ {program.script}; }} >/dev/null", target, source)
    after = target.requests()
    return {name: count - before.get(name, 0) for name, count in after.items()}


def _round(target, source, measure):
    """Each program's value, on a mount that is empty before and afterwards."""
    values = {program: measure(program, target, source) for program in PROGRAMS}
    _run(CLEAN_UP, target, source)
    target.settle()
    return values


def _with_source(work, files, log):
    source = Source()
    source.mount(work)
    source.fill(files, log)
    return source


def measure_time(targets, work, rounds, files, log):
    """Samples by program, and what the tree was."""
    source = _with_source(work, files, log)
    try:
        mount_all(targets, work, log)
        samples = Samples(lambda seconds: seconds)
        for round_number in range(rounds):
            for target in in_turn(targets, round_number):
                values = attempt(target, log, _round, target, source, _seconds)
                for program, seconds in (values or {}).items():
                    samples.add(program, target, round_number, seconds)
                if values:
                    shown = ", ".join(f"{p.name} {s:.3f}" for p, s in values.items())
                    log(f"round {round_number + 1}/{rounds} {target.label}: {shown} s")
    finally:
        source.unmount()
    return samples, source


def count_requests(targets, work, files, log):
    """By target and program, the requests of each opcode for one file; the same every time, or
    nearly so, and so counted once."""
    source = _with_source(work, files, log)
    try:
        mount_all(targets, work, log)
        counts = {}
        for target in [target for target in targets if not target.failed]:
            values = attempt(target, log, _round, target, source, _requests)
            if values:
                counts[target] = {
                    program: {name: n / source.files[program.files] for name, n in by_name.items()}
                    for program, by_name in values.items()
                }
    finally:
        source.unmount()
    return counts, source


def those_that_count(targets):
    """Of the targets that count their requests those that take them through /dev/fuse, if there are
    any: through io_uring come the same ones."""
    able = [target for target in targets if isinstance(target, Memfuse)]
    return [target for target in able if not target.ring] or able


def summary(samples, program, target):
    compared = samples.comparison(program, target)
    if compared is None:
        return None
    return compared | {"seconds": statistics.median(samples.values(program, target).values())}
