"""The headline table as horizontal bars, in SVG."""

from cells import HEADLINE
from commands import Failure

COLOURS = {
    "passthrough": "#1f6fb4",
    "passthrough-huge": "#7db8e8",
    "arena": "#c8501e",
    "arena-writeback": "#e88a55",
    "arena-user": "#f4bd98",
}
OTHER = "#8a8f98"
LINE = 0.165  # Inches per bar.


def load():
    """Fails early if matplotlib is missing, before the measurement."""
    try:
        import matplotlib
    except ImportError:
        raise Failure("--svg needs matplotlib: apt-get install python3-matplotlib") from None
    matplotlib.use("svg")
    # The same numbers give the same file.
    matplotlib.rcParams["svg.hashsalt"] = "memfuse"
    matplotlib.rcParams["font.size"] = 8.5


def _limit(summaries):
    """The end of the axis. A single store that is several times faster than tmpfs must not compress
    the other bars; its bar is cut and labelled with its number."""
    highest = sorted(summary["ratio"] for summary in summaries)
    rest = [ratio for ratio in highest if ratio <= 2.5]
    return min(highest[-1], max([1.5, *rest])) * 1.12


def draw(targets, results, path, note):
    from matplotlib import pyplot

    cells = {title: cell for title, cell in HEADLINE.items() if cell in results}
    if not cells:
        raise Failure("the chart shows the cells of '--cells=quick', and none was measured")
    shown = [
        target
        for target in targets[1:]  # tmpfs is the line at 1.
        if any(results[cell].get(target.label) for cell in cells.values())
    ]
    if not shown:
        raise Failure("there is nothing to draw: no target but tmpfs was measured")
    limit = _limit(
        results[cell][target.label]
        for cell in cells.values()
        for target in shown
        if results[cell].get(target.label)
    )
    rows = len(cells) * (len(shown) + 1.4)
    figure, axes = pyplot.subplots(figsize=(8.6, rows * LINE + 1.1), layout="constrained")
    places, labels = [], []
    y = 0.0
    for title, cell in cells.items():
        axes.text(0, y, title, fontweight="bold", va="center", ha="left")
        y += 1
        for target in shown:
            summary = results[cell].get(target.label)
            if summary:
                _bar(axes, y, summary, limit, COLOURS.get(target.label, OTHER))
            places.append(y)
            labels.append(target.label)
            y += 1
        y += 0.4
    axes.axvline(1, color="#222222", linewidth=1.2, zorder=1)
    axes.annotate(
        "tmpfs = 1",
        (1, 1),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        xytext=(0, 3),
        ha="center",
    )
    axes.set_xlim(0, limit)
    axes.set_ylim(y - 0.8, -0.8)
    axes.set_yticks(places, labels)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel(f"Throughput relative to tmpfs; longer is faster. {note}")
    figure.savefig(path, format="svg", facecolor="white", metadata={"Date": None})


def _bar(axes, y, summary, limit, colour):
    ratio = summary["ratio"]
    cut = ratio > limit
    axes.barh(y, min(ratio, limit), height=0.86, color=colour, zorder=2)
    place = {"va": "center_baseline", "fontsize": 7.5, "zorder": 4}
    if cut:
        axes.text(limit * 0.99, y, f"{ratio:.1f} »", ha="right", color="#222222", **place)
        return
    low, high = summary["ratio_min"], min(summary["ratio_max"], limit)
    axes.plot([low, high], [y, y], color="#333333", linewidth=0.9, zorder=3)
    # A background behind the number, so that the line at 1 does not cross it.
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    end = max(ratio, high) + limit * 0.006
    axes.text(end, y, f"{ratio:.2f}", ha="left", bbox=paper, **place)
