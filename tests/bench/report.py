"""Results as text, Markdown and JSON."""

from cells import HEADLINE, PRESETS
from machine import sentence
from memory import SMALL_FILES, SMALL_SIZE


class Table:
    """Rows of strings; the first row is the head."""

    def __init__(self, title, rows):
        self.title = title
        self.rows = rows

    def text(self):
        widths = [max(len(row[i]) for row in self.rows) for i in range(len(self.rows[0]))]
        lines = []
        for row in self.rows:
            rest = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
            lines.append("  ".join([row[0].ljust(widths[0]), *rest]).rstrip())
        return "\n".join([self.title, "", *lines])

    def markdown(self):
        head, *body = ["| " + " | ".join(row) + " |" for row in self.rows]
        rule = "|" + "|".join(["---"] + ["---:"] * (len(self.rows[0]) - 1)) + "|"
        return "\n".join([self.title, "", head, rule, *body])


def failed(reason, cells):
    """A failed target's row or column: the reason once, then dashes."""
    short = reason if len(reason) <= 60 else reason[:57] + "..."
    return [f"failed: {short}"] + ["-"] * (cells - 1)


def _ratio(summary):
    if summary is None:
        return ""
    return f"{summary['ratio']:.2f} ({summary['ratio_min']:.2f}-{summary['ratio_max']:.2f})"


def _shown(targets, cells, results):
    """The targets of these cells, including failed ones."""
    return [
        target
        for target in targets
        if any(cell.wanted_of(target) for cell in cells)
        and (target.failed or any(results[cell].get(target.label) for cell in cells))
    ]


def headline(targets, results):
    cells = {title: cell for title, cell in HEADLINE.items() if cell in results}
    if not cells:
        return None
    rows = [["", *cells]]
    for target in _shown(targets, cells.values(), results):
        if target.failed:
            rows.append([target.label, *failed(target.failed, len(cells))])
        else:
            found = [results[cell].get(target.label) for cell in cells.values()]
            rows.append([target.label, *map(_ratio, found)])
    return Table(
        "Throughput relative to tmpfs in the same round, median (min-max); more is better.", rows
    )


def _by_cell(title, cells, targets, results, show):
    """Cells as rows, targets as columns."""
    columns = [[""] + [cell.name for cell in cells]]
    for target in _shown(targets, cells, results):
        if target.failed:
            column = failed(target.failed, len(cells))
        else:
            found = [results[cell].get(target.label) for cell in cells]
            column = ["" if summary is None else show(summary) for summary in found]
        columns.append([target.label, *column])
    return Table(title, [list(row) for row in zip(*columns)])


def transport(targets, results):
    cells = [cell for cell in PRESETS["transport"] if cell in results]
    if not cells:
        return None
    return _by_cell(
        "Requests alone: thousands of operations per second, median (ratio to tmpfs).",
        cells,
        targets,
        results,
        lambda summary: f"{summary['iops'] / 1e3:.1f} ({summary['ratio']:.2f})",
    )


def everything(targets, results):
    cells = [cell for cell in results if not cell.transport and cell not in HEADLINE.values()]
    if not cells:
        return None
    cells = [cell for cell in results if not cell.transport]
    return _by_cell(
        "All cells: throughput relative to tmpfs in the same round, median (min-max).",
        cells,
        targets,
        results,
        _ratio,
    )


def tables(targets, results):
    made = (headline(targets, results), transport(targets, results), everything(targets, results))
    return [table for table in made if table]


def memory_tables(results):
    titles = {
        "one file": "Memory for one file of {:.0f} MiB (MB, median and min-max).",
        "small files": f"Memory for {SMALL_FILES:,} files of {SMALL_SIZE} bytes"
        " (MB, median and min-max).",
    }
    made = []
    for kind, title in titles.items():
        chosen = [result for result in results if result["kind"] == kind]
        rows = [["", "content", "machine", "returned", "held", "returned", "verdict"]]
        rows += [_memory_row(result) for result in chosen]
        if chosen:
            made.append(Table(title.format(chosen[0]["content_bytes"] / 2**20), rows))
    return made


def _memory_row(result):
    if "cost" not in result:
        return [result["target"], *failed(result["failed"] or "not measured", 6)]
    costs = [sample["cost"] for sample in result["samples"]]
    return [
        result["target"],
        f"{result['content_bytes'] / 1e6:.1f}",
        f"{result['cost'] / 1e6:.1f} ({min(costs) / 1e6:.1f}-{max(costs) / 1e6:.1f})",
        f"{result['returned']:.1%}",
        f"{result['held'] / 1e6:.1f}",
        f"{result['held_returned']:.1%}",
        "; ".join(result["misses"]) or "good",
    ]


def document(made, machine, settings, markdown):
    """Tables, and the circumstances of the measurement."""
    tail = f"{sentence(machine)}; {settings}."
    parts = [table.markdown() if markdown else table.text() for table in made]
    return "\n\n".join([*parts, tail]) + "\n"


def as_json(targets, results):
    """The measurements, as a part of the JSON document."""
    return {
        "targets": {
            target.label: {"what": target.what, "o_direct": target.direct, "failed": target.failed}
            for target in targets
        },
        "cells": [
            {
                "name": cell.name,
                "engine": cell.engine,
                "depth": cell.depth,
                "block": cell.block,
                "mode": cell.mode,
                "new": cell.new,
                "jobs": cell.jobs,
                "transport": cell.transport,
                "results": {label: found for label, found in by_target.items() if found},
            }
            for cell, by_target in results.items()
        ],
    }
