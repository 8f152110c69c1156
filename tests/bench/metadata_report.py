"""The results of run_metadata.py as tables, and as a part of the JSON document."""

import names_memory
import operations
import programs
import scale
from report import Table, failed

SHARE_THAT_SHOWS = 0.05  # Requests for a file.


def _grid(title, items, name, targets, show):
    """Items as rows, targets as columns; `show(item, target)` is None if nothing was measured."""
    columns = [[""] + [name(item) for item in items]]
    for target in targets:
        if target.failed:
            column = failed(target.failed, len(items))
        else:
            column = [show(item, target) or "" for item in items]
        columns.append([target.label, *column])
    return Table(title, [list(row) for row in zip(*columns)])


def _spread(summary):
    return f"{summary['ratio']:.2f} ({summary['ratio_min']:.2f}-{summary['ratio_max']:.2f})"


def _entries(items, named, targets, summary):
    """For JSON: the measurements of each item, by target."""
    entries = []
    for item in items:
        found = {target.label: summary(item, target) for target in targets}
        entries.append(named(item) | {"results": {k: v for k, v in found.items() if v}})
    return entries


def of_operations(targets, samples):
    def summary(cell, target):
        return operations.summary(samples, cell, target)

    def scaling(operation, target):
        return operations.scaling(samples, operation, target)

    def rate(clients):
        def show(operation, target):
            found = summary(operations.Cell(operation, clients), target)
            return found and f"{found['operations_per_second'] / 1e3:.1f} ({found['ratio']:.2f})"

        return show

    def shown_scaling(operation, target):
        found = scaling(operation, target)
        return found and _spread(found)

    def table(title, show):
        return _grid(title, operations.OPERATIONS, str, targets, show)

    made = [
        table("Thousands of operations per second, 1 client, median (ratio to tmpfs).", rate(1)),
        table("Thousands of operations per second, 2 clients together, the same.", rate(2)),
        table("2 clients together as a multiple of 1, median (min-max).", shown_scaling),
    ]
    entries = _entries(
        operations.CELLS,
        lambda cell: {"operation": cell.operation, "clients": cell.clients},
        targets,
        summary,
    )
    factors = _entries(operations.OPERATIONS, lambda name: {"operation": name}, targets, scaling)
    return made, {"operations": entries, "scaling": factors}


def _tree(source):
    return {"files": source.files["tree"], "bytes": source.size, "c_files": source.files["project"]}


def of_programs(targets, samples, source):
    def summary(program, target):
        return programs.summary(samples, program, target)

    def show(program, target):
        found = summary(program, target)
        if found is None:
            return None
        return f"{found['seconds']:.3f} s" if target is targets[0] else _spread(found)

    title = (
        "Time of programs: tmpfs in seconds, the others as multiples of it in the same round,"
        f" median (min-max); less is better. {source.files['tree']:,} files, together"
        f" {source.size / 1e6:.0f} MB."
    )
    made = [_grid(title, programs.PROGRAMS, lambda program: program.name, targets, show)]
    entries = _entries(
        programs.PROGRAMS, lambda program: {"program": program.name}, targets, summary
    )
    return made, {"programs": entries, "tree": _tree(source)}


def of_requests(targets, counts, source):
    made = []
    for target in targets:
        title = (
            f"Requests for each file, {target.label} ({source.files['tree']:,} files; make:"
            f" {source.files['project']} C files)."
        )
        if target not in counts:
            reason = failed(target.failed or "not measured", 1)
            made.append(Table(title, [["", "total"], [target.label, *reason]]))
            continue
        of_programs_ = counts[target]
        names = [
            name
            # The counts of the last program name every opcode that occurred, in order.
            for name in list(of_programs_.values())[-1]
            if any(by_name.get(name, 0) > SHARE_THAT_SHOWS for by_name in of_programs_.values())
        ]
        rows = [["", "total", *names]]
        for program, by_name in of_programs_.items():
            shares = [by_name.get(name, 0) for name in names]
            cells = [f"{share:.2f}" if share > SHARE_THAT_SHOWS else "" for share in shares]
            rows.append([program.name, f"{sum(by_name.values()):.2f}", *cells])
        made.append(Table(title, rows))
    entries = {
        target.label: {program.name: by_name for program, by_name in by_program.items()}
        for target, by_program in counts.items()
    }
    return made, {"requests_per_file": entries, "tree": _tree(source)}


def of_scale(targets, samples, populations):
    kinds = ["populate"] + [what for what, _ in scale.PHASES.values()]
    cells = [scale.Cell(population, what) for what in kinds for population in populations]

    def summary(cell, target):
        return scale.summary(samples, cell, target)

    def show(cell, target):
        found = summary(cell, target)
        return found and f"{found['microseconds']:.2f} ({found['ratio']:.2f})"

    def name(cell):
        return f"{cell.what}, {cell.population.name}"

    title = "Microseconds for an operation by the number of files, median (ratio to tmpfs)."
    entries = _entries(
        cells,
        lambda cell: {
            "operation": cell.what,
            "files": cell.population.files,
            "per_directory": cell.population.per_directory,
        },
        targets,
        summary,
    )
    return [_grid(title, cells, name, targets, show)], {"scale": entries}


def of_memory(results):
    rows = [["", "machine", "held", "held empty", "full", "emptied", "kept", "verdict"]]
    for result in results:
        if "held" not in result:
            rows.append([result["target"], *failed(result["failed"] or "not measured", 7)])
            continue
        rows.append(
            [
                result["target"],
                f"{result['machine']:.0f} B",
                f"{result['held']:.0f} B",
                *(f"{held / 1e6:.1f} MB" for held in result["held_bytes"]),
                f"{result['kept'] / 1e6:.1f} MB",
                "; ".join(result["misses"]) or "good",
            ]
        )
    title = (
        f"Memory for each of {results[0]['files']:,} empty files, and what is held before, with"
        f" them and after they were deleted, median. {names_memory.KEPT_SHARE:.0%} of the"
        f" first, or {names_memory.KEPT_BYTES / 1e6:.0f} MB, may be kept."
    )
    return [Table(title, rows)], {"memory": results}
