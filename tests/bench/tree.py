"""A source tree and a C project that are the same in every run. The measured programs use them."""

import os
import random
import shlex

from commands import run

SEED = 8500
FILES_PER_DIRECTORY = 14
MEDIAN_SIZE = 4000
SPREAD = 1.1  # Of the logarithm; mean/median is almost 2, as in source trees.
LARGEST = 512 << 10

C_FILES = 60
HEADERS = 20
FUNCTIONS = 8

ABSENT = "no_line_has_these_words"  # For grep, which then reads every file.

GIT_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "nobody",
    "GIT_AUTHOR_EMAIL": "nobody@localhost",
    "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "nobody",
    "GIT_COMMITTER_EMAIL": "nobody@localhost",
    "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
}
ENVIRONMENT = {"LC_ALL": "C", "CCACHE_DISABLE": "1"} | GIT_ENVIRONMENT


def shell(script, *arguments, timeout):
    """The output of bash, in an environment without user settings."""
    names = " ".join(f"{name}={shlex.quote(value)}" for name, value in ENVIRONMENT.items())
    script = f"set -e -o pipefail; unset GIT_DIR GIT_WORK_TREE; export {names}\n{script}"
    return run(["bash", "-c", script, "bash", *map(str, arguments)], timeout)


def _words(chance):
    letters = "abcdefghijklmnopqrstuvwxyz"
    return ["".join(chance.choices(letters, k=chance.randint(2, 10))) for _ in range(2000)]


def _lines(chance):
    words = _words(chance)
    return [
        " " * chance.choice((0, 2, 4, 6)) + " ".join(chance.choices(words, k=chance.randint(1, 12)))
        for _ in range(5000)
    ]


def _directories(chance, words, count):
    """Each directory is inside an existing one, at most six levels deep."""
    paths = ["tree"]
    while len(paths) < count:
        parent = chance.choice(paths)
        path = f"{parent}/{chance.choice(words)}"
        if parent.count("/") < 6 and path not in paths:
            paths.append(path)
    return paths


def _text(chance, lines):
    size = min(int(chance.lognormvariate(0, SPREAD) * MEDIAN_SIZE), LARGEST)
    parts, length = [], 0
    while length < size:
        part = chance.choice(lines)
        parts.append(part)
        length += len(part) + 1
    return "\n".join(parts) + "\n" if parts else ""


def _write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def make_tree(directory, files):
    """Makes `files` files in `directory`/tree, committed to git and packed. Returns the number of
    all files, and their bytes, including git's own."""
    chance = random.Random(SEED)
    words, lines = _words(chance), _lines(chance)
    directories = _directories(chance, words, max(1, files // FILES_PER_DIRECTORY))
    for path in directories:
        os.mkdir(os.path.join(directory, path))
    for number in range(files):
        # Every directory has some files, and a few have many.
        path = directories[number] if number < len(directories) else chance.choice(directories)
        suffix = chance.choice((".c", ".h", ".cc", ".py", ".txt"))
        name = f"{chance.choice(words)}_{number}{suffix}"
        _write(os.path.join(directory, path, name), _text(chance, lines))
    # Packed, and without sample hooks, like a fresh clone.
    shell(
        'cd "$1/tree"; git init -q --template= -b main; '
        # Without automatic maintenance, which would change the files during the packing.
        "git config gc.auto 0; git config maintenance.auto false; git add .; "
        "git commit -q -m tree; git repack -a -d -q; git prune-packed -q",
        directory,
        timeout=300,
    )
    sizes = [
        os.path.getsize(os.path.join(top, name))
        for top, _, names in os.walk(os.path.join(directory, "tree"))
        for name in names
    ]
    return len(sizes), sum(sizes)


def _function(chance, name):
    operators = "+-*^|&"
    steps = "\n".join(
        f"    sum = (sum {chance.choice(operators)} values[(i + {chance.randint(0, 63)}) % 64])"
        f" {chance.choice(operators)} {chance.randint(1, 1000)}u;"
        for _ in range(chance.randint(3, 8))
    )
    return (
        f"unsigned {name}(const unsigned *values, int count) {{\n"
        f"  unsigned sum = 0;\n  for (int i = 0; i < count; ++i) {{\n{steps}\n  }}\n"
        f"  return sum;\n}}\n"
    )


def make_project(directory):
    """Makes `directory`/project: a Makefile, headers, and C files that each take a moment to
    compile."""
    chance = random.Random(SEED)
    project = os.path.join(directory, "project")
    os.mkdir(project)
    for header in range(HEADERS):
        declarations = "".join(
            f"unsigned f{file}_{function}(const unsigned *values, int count);\n"
            for file in range(header, C_FILES, HEADERS)
            for function in range(FUNCTIONS)
        )
        text = f"#ifndef H{header}\n#define H{header}\n{declarations}#endif\n"
        _write(f"{project}/h{header}.h", text)
    for file in range(C_FILES):
        included = "".join(f'#include "h{h}.h"\n' for h in chance.sample(range(HEADERS), 6))
        functions = "\n".join(_function(chance, f"f{file}_{n}") for n in range(FUNCTIONS))
        system = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
        _write(f"{project}/c{file}.c", f"{system}{included}\n{functions}")
    _write(f"{project}/main.c", "int main(void) { return 0; }\n")
    objects = " ".join(f"c{file}.o" for file in range(C_FILES))
    _write(
        f"{project}/Makefile",
        # -pipe: no intermediate file is written to a file system outside the measurement.
        f"CC = cc\nCFLAGS = -O1 -pipe\nprogram: main.o {objects}\n\t$(CC) -o $@ $^\n",
    )
