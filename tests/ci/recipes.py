#!/usr/bin/env python3
"""recipes.py RECIPES: the YAML files say what their readers expect, and their scripts call
scratch.sh with what they were given."""

import os
import subprocess
import sys
import tempfile

import yaml

recipes = sys.argv[1]


def load(name):
    with open(os.path.join(recipes, name), encoding="utf-8") as file:
        return yaml.safe_load(file)


def run(script, directory, **environment):
    """The last line that the fake scratch.sh wrote."""
    environment["PATH"] = directory + ":" + os.environ["PATH"]
    environment["GITHUB_ACTION_PATH"] = directory
    subprocess.run(["bash", "-eo", "pipefail", "-c", script], env=environment, check=True)
    with open(os.path.join(directory, "said"), encoding="utf-8") as file:
        return file.read().splitlines()[-1]


def stand_in(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)


def check(got, wanted):
    if got != wanted:
        sys.exit(f"expected {wanted!r}, got {got!r}")


def check_action(directory):
    action = load("action.yml")
    check(action["runs"]["using"], "composite")
    (step,) = action["runs"]["steps"]
    check(step["shell"], "bash")
    given = {name: f"${{{{ inputs.{name} }}}}" for name in action["inputs"]}
    check({value for value in step["env"].values() if "inputs." in value}, set(given.values()))
    for name, value in action["outputs"].items():
        check(value["value"], f"${{{{ steps.{step['id']}.outputs.{name} }}}}")
    # The content of an input is never part of the script.
    check("${{" in step["run"], False)

    common = {
        "MEMFUSE_COMMAND": "mount",
        "ACTION_REPOSITORY": "https://host.example/owner/memfuse",
        "ACTION_REF": "v1.2.3",
    }
    base = "mount https://host.example/owner/memfuse/releases/download/"
    check(
        run(step["run"], directory, MEMFUSE_PACKAGE="", MEMFUSE_VERSION="", **common),
        base + "v1.2.3/memfuse_1.2.3_riscv.deb",
    )
    check(
        run(step["run"], directory, MEMFUSE_PACKAGE="", MEMFUSE_VERSION="2.0", **common),
        base + "v2.0/memfuse_2.0_riscv.deb",
    )
    check(
        run(step["run"], directory, MEMFUSE_PACKAGE="a b.deb", MEMFUSE_VERSION="2.0", **common),
        "mount a b.deb",
    )


def check_template(directory):
    job = load("gitlab-ci.yml")[".memfuse"]
    variables = dict(job["variables"])
    check(variables.pop("MEMFUSE_SCRATCH"), "packaging/ci/scratch.sh")
    check(all(isinstance(value, str) for value in variables.values()), True)
    variables["MEMFUSE_SCRATCH"] = os.path.join(directory, "scratch.sh")
    check(run("\n".join(job["before_script"]), directory, **variables), "mount ")
    check(run("\n".join(job["after_script"]), directory, **variables), "unmount ")


with tempfile.TemporaryDirectory() as scratch:
    stand_in(scratch, "scratch.sh", f'echo "$1 $MEMFUSE_PACKAGE" >> "{scratch}/said"\n')
    stand_in(scratch, "dpkg", "echo riscv\n")
    check_action(scratch)
    check_template(scratch)
