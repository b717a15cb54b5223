"""What `benchmarks.gradients` found, as text: tables, targets, plots, and the section of README.md that holds them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gradient_peers import BOUND, CASADI, CONTESTANTS, FLOOR, MODULE, NUMPY, SCAN, C
from benchmarks.measuring import seconds, table
from benchmarks.reporting import README, times

Size = tuple[int, int, int]  # n, B, T
Found = tuple[float, str]  # what is judged, and of what it is made

EXACT = 1e-12
"""A contestant with a larger relative error is not ranked."""
PLOTS = Path(__file__).parent / "plots"
NAMES = [contestant.name for contestant in CONTESTANTS]
SCALAR_STEPS, MATRIX_STEPS = (3, 30, 100, 1000), (3, 30, 100)

WHY: dict[str, str] = {
    "call": "the gradient is 0.10 µs of it; the rest is Python: the call itself, six names looked up, six numbers and "
    "a dictionary made. With floats in the place of 0-d arrays it takes 0.48 µs",
    "n256-peers": "all of it is products: ours are those of NumPy's OpenBLAS, PyTorch brings a BLAS of its own",
    "setup-c": "gcc -O3 -march=native takes most of it, and takes longer the more equations a cell has. -O2 "
    "took a fifth to a third less, and made small networks a fifth slower",
    "setup-cached": "in a process that has compiled something before it is 4 ms for an elman network and 8 ms for an "
    "LSTM; the first time modules are imported too, and memory is touched for the first time",
    "setup-numpy": "in a process that has compiled something before it is 5 ms for an elman network and 10 ms for an "
    "LSTM; the first time modules are imported too, and memory is touched for the first time",
    "flat-numpy": "the program does not depend on T, but its memory does, and is touched for the first time",
}
"""Why a target is missed, by its key; printed only with a target that is."""


class Results:
    """The records, and the way to look one up."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.records = {(r["regime"], tuple(r["size"]), r["name"], r["threads"]): r for r in data["records"]}
        ready = [r for r in data["setups"] if r["status"] == "ok"]
        self.setups = {(r["regime"], tuple(r["size"]), r["name"], r["phase"]): r["seconds"] for r in ready}

    def median(self, regime: str, size: Size, name: str, threads: int = 1) -> float | None:
        """Seconds, unless there are none or the gradients are wrong."""
        record = self.records.get((regime, size, name, threads), {})
        exact = name == FLOOR or record.get("error", 1.0) <= EXACT
        return record.get("median") if exact else None

    def fastest(self, regime: str, size: Size, own: bool, threads: int = 1) -> Found | None:
        """The least median, of ours or of the peers, and whose it is."""
        names = [name for name in NAMES if name != FLOOR and name.startswith("ours") == own]
        found = [(m, name) for name in names if (m := self.median(regime, size, name, threads)) is not None]
        return min(found, default=None)

    def sizes(self, regime: str, threads: int) -> list[Size]:
        """The points measured, in their order."""
        return list(dict.fromkeys(key[1] for key in self.records if (key[0], key[3]) == (regime, threads)))

    def named(self, regime: str, threads: int) -> list[str]:
        """Who was measured there."""
        return [
            name for name in NAMES if any((key[0], key[2], key[3]) == (regime, name, threads) for key in self.records)
        ]


# --- targets ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """``measure`` gives what must be at most ``most``, or None if that was not measured."""

    key: str
    text: str
    most: float
    measure: Callable[[Results], Found | None]
    show: Callable[[float], str] = times


def ratio(regime: str, size: Size, own: str | None, other: str | None) -> Callable[[Results], Found | None]:
    """One median over another; without a name, the fastest of ours over the fastest peer."""

    def measure(results: Results) -> Found | None:
        pair = []
        for name, is_own in ((own, True), (other, False)):
            if name is None:
                pair.append(results.fastest(regime, size, is_own))
            else:
                value = results.median(regime, size, name)
                pair.append(None if value is None else (value, name))
        (above, below) = pair
        if above is None or below is None:
            return None
        parts = (f"{name} {seconds(value)}" for value, name in (above, below))
        return above[0] / below[0], " / ".join(parts)

    return measure


def call_time(size: Size) -> Callable[[Results], Found | None]:
    """Seconds of a call that takes NumPy arrays and returns new ones."""

    def measure(results: Results) -> Found | None:
        value = results.median("scalar", size, C)
        return None if value is None else (value, C)

    return measure


def slowest_setup(name: str, phase: str) -> Callable[[Results], Found | None]:
    """The longest set-up of all points."""

    def measure(results: Results) -> Found | None:
        found = [(s, place((r, z))) for (r, z, n, p), s in results.setups.items() if (n, p) == (name, phase)]
        return max(found, default=None)

    return measure


def flat(name: str, phase: str) -> Callable[[Results], Found | None]:
    """How much longer a set-up takes at the greatest T of a regime and size than at the least."""

    def measure(results: Results) -> Found | None:
        groups: dict[Any, list[tuple[int, float]]] = {}
        for (regime, (n, B, T), who, which), s in results.setups.items():
            if (who, which) == (name, phase):
                groups.setdefault((regime, n, B), []).append((T, s))
        pairs = [(min(group), max(group)) for group in groups.values() if len(group) > 1]
        found = [(b[1] / a[1], f"T = {b[0]} / {a[0]}: {seconds(b[1])} / {seconds(a[1])}") for a, b in pairs if a[1] > 0]
        return max(found, default=None)

    return measure


def _targets() -> Iterator[Target]:
    for T in SCALAR_STEPS:
        yield Target(
            "scalar", f"scalar, T = {T}, buffers bound / CasADi C", 0.6, ratio("scalar", (1, 1, T), BOUND, CASADI)
        )
    yield Target("call", "scalar, T = 3, a call with NumPy in and out", 0.5e-6, call_time((1, 1, 3)), seconds)
    yield Target("n4", "n = 4, B = 1, T = 100 / the fastest peer", 0.5, ratio("elman", (4, 1, 100), None, None))
    yield Target("n64-b1", "n = 64, B = 1, T = 100 / JAX scan", 0.75, ratio("elman", (64, 1, 100), None, SCAN))
    for n, most in ((64, 1.25), (256, 1.1)):
        for T in MATRIX_STEPS:
            what = f"n = {n}, B = 32, T = {T}"
            yield Target(f"n{n}-floor", f"{what} / {FLOOR}", most, ratio("elman", (n, 32, T), None, FLOOR))
            yield Target(f"n{n}-peers", f"{what} / the fastest peer", 1.0, ratio("elman", (n, 32, T), None, None))
    for n in (64, 256):
        for B in (1, 32):
            what = f"LSTM, n = {n}, B = {B}, T = 100 / nn.LSTM"
            yield Target(f"lstm-n{n}", what, 1.0, ratio("lstm", (n, B, 100), None, MODULE))
    yield Target("setup-c", "set-up, C", 0.2, slowest_setup(C, "first"), seconds)
    yield Target("setup-cached", "set-up, C, cached", 0.01, slowest_setup(C, "cached"), seconds)
    yield Target("setup-numpy", "set-up, NumPy", 0.02, slowest_setup(NUMPY, "first"), seconds)
    yield Target("flat-c", "set-up, C: flat in T", 1.3, flat(C, "first"))
    yield Target("flat-numpy", "set-up, NumPy: flat in T", 1.3, flat(NUMPY, "first"))


TARGETS = tuple(_targets())


def target_table(results: Results) -> str:
    """Each target that was measured: reached or not, and if not by how much and why; the others by name below."""
    rows, unmeasured = [], []
    for target in TARGETS:
        found = target.measure(results)
        if found is None:
            unmeasured.append(target.text)
            continue
        value, detail = found
        reached = value <= target.most
        why = "" if reached else f"by {value / target.most - 1:.0%}: {WHY.get(target.key, 'not explained yet')}"
        shown = f"{target.show(value)} ({detail})"
        rows.append((target.text, target.show(target.most), "yes" if reached else "**no**", shown, why))
    text = table(("target", "at most", "reached", "measured", "missed by how much, and why"), rows)
    return text.replace("-:|", "--|") + (
        f"\n\nNot measured in this run: {'; '.join(unmeasured)}." if unmeasured else ""
    )


# --- tables -------------------------------------------------------------------------------------------------------


def micro(value: float) -> str:
    """Seconds as microseconds with three digits.

    >>> micro(1.43e-7), micro(4.05e-4), micro(0.0098765)
    ('0.143', '405', '9,876')
    """
    return f"{value * 1e6:,.0f}" if value >= 99.95e-6 else f"{value * 1e6:#.3g}"


def place(point: tuple[str, Size]) -> str:
    """A point in words."""
    regime, (n, B, T) = point
    return f"scalar, T = {T}" if regime == "scalar" else f"{regime}, n = {n}, B = {B}, T = {T}"


def times_table(results: Results, regime: str, threads: int, sizes: Sequence[Size]) -> str:
    """Medians and minima at these points, and what they come to for the fastest of ours."""
    rows = []
    for name in results.named(regime, threads):
        cells = []
        for size in sizes:
            record = results.records.get((regime, size, name, threads), {})
            cell = f"{micro(record['median'])} ({micro(record['minimum'])})" if "median" in record else "–"
            if record.get("status", "ok") != "ok":
                cell = record["status"].split(":")[0]
            elif "median" in record and results.median(regime, size, name, threads) is None:
                cell = f"error {record['error']:.0e}"
            cells.append(cell)
        if any(cell != "–" for cell in cells):
            rows.append((name, *cells))
    own, peer = ([results.fastest(regime, size, who, threads) for size in sizes] for who in (True, False))
    floor: list[Found | None] = []
    for size in sizes:
        value = results.median(regime, size, FLOOR, threads)
        floor.append(None if value is None else (value, FLOOR))
    for label, above, below in (
        ("fastest of ours / products", own, floor),
        ("fastest peer / products", peer, floor),
        ("fastest of ours / fastest peer", own, peer),
    ):
        cells = [times(a[0] / b[0]) if a and b else "–" for a, b in zip(above, below, strict=True)]
        if any(cell != "–" for cell in cells):
            rows.append((label, *cells))
    rows.append(("fastest peer", *(found[1] if found else "–" for found in peer)))
    heads = [f"T = {T}" if regime == "scalar" else f"B = {B}, T = {T}" for _, B, T in sizes]
    return table(("µs", *heads), rows)


def error_table(results: Results) -> str:
    """The greatest relative error of each contestant in each regime, on any number of threads."""
    regimes = list(dict.fromkeys(key[0] for key in results.records))
    rows = []
    for name in NAMES:
        cells = []
        for regime in regimes:
            found = [r for (g, _, who, _), r in results.records.items() if (g, who) == (regime, name) and "error" in r]
            worst = max(found, key=lambda r: r["error"], default=None)
            cells.append("–" if worst is None else f"{worst['error']:.0e} ({worst['worst']})")
        if set(cells) != {"–"}:
            rows.append((name, *cells))
    return table(("", *regimes), rows)


def setup_table(results: Results) -> str:
    """By how much the first result takes longer than a later one."""
    points = list(dict.fromkeys(key[:2] for key in results.setups))
    rows = []
    for name, phase in sorted({key[2:] for key in results.setups}, key=lambda k: (NAMES.index(k[0]), k[1] == "cached")):
        found = [results.setups.get((*point, name, phase)) for point in points]
        cells = ["–" if s is None else seconds(s) if s >= 1e-6 else "0" for s in found]
        rows.append((f"{name}, cached" if phase == "cached" else name, *cells))
    return table(("", *map(place, points)), rows)


# --- the section --------------------------------------------------------------------------------------------------

INTRO = """\
## Gradients as compiled functions

    python -m benchmarks.gradients              # one thread, then two; --quick, --only scalar|elman|lstm|setup
    python -m benchmarks.gradients --readme     # the same, and this section is replaced, with its plots

L and every gradient at one point, float64: h_t = tanh(W_h h_{t−1} + W_x x_t + b_h), squared error at every step,
gradients by all weights, biases and initial states. In matrix form n_x = n_h = n_y = n and y is linear, in scalar form
y = tanh(o). All contestants of a regime take turns in one process, pinned to one core (then two); times are
microseconds, **median (minimum)**, a sample being as many calls as take 20 ms. The fastest peer is the one with the
least median."""

NOTES = """\
- **products alone** are the eight matrix products of every exact gradient in NumPy, over all steps at once where
  nothing recurs, into arrays that are there already: the floor. For small n it is the overhead of 2T + 6 calls of NumPy
  and bounds nothing: a compiled function is below it.
- **ours: C** is an ordinary call with NumPy arrays (0-d for numbers) in and new ones out; **out=** writes into those of
  an earlier call; **bound** has its arguments bound once, as CasADi's `buffer()` has. **ours: JAX** waits for its
  result.
- **PyTorch nn** is `nn.RNN` or `nn.LSTM` in eager mode, **loop** the same network step by step; both `autograd.grad`.
- **JAX scan** is `jit(value_and_grad(…))` of `lax.scan`, its arguments on the device.
- **CasADi C** is an SX graph in C, compiled with -O2 for this processor; in matrix form only at n = 4, B = 1.
- **SymEngine LLVM** is its derivative by LLVM with common subexpressions, called by `unsafe_real`.
- **numba** is the recursion by hand, compiled: loops in scalar form, `np.dot` in matrix form; **HIPS autograd** traces
  each call.
- The loop that counts the calls is Python's, about 20 ns a call, in everybody's time."""


def section(results: Results, plots: Sequence[str] = ()) -> str:
    """The whole section in Markdown, with links to the plots that there are."""
    about = results.data["about"]
    images = {name.split(".")[0].split("-")[1]: f"![{name}](plots/{name})" for name in plots}
    parts = [INTRO, table(("", ""), list(about.items()))]
    reasons: dict[str, list[str]] = {}
    for name, why in results.data["left out"].items():
        reasons.setdefault(why, []).append(name)
    if reasons:
        parts.append("; ".join(f"Left out because {why}: {'; '.join(names)}" for why, names in reasons.items()) + ".")
    judged = (
        "Judged by medians on one thread; ours is the fastest of ours unless named. Flat means 1, and 0.3 for noise."
    )
    parts += ["### Targets", judged, target_table(results)]
    if results.records:
        text = f"Relative errors in the max-norm; above {EXACT:.0e} a contestant is not ranked."
        parts += ["### The gradients compared", text, error_table(results)]
    every = [*results.data["records"], *results.data["setups"]]
    failed = Counter((r["name"], r["regime"], r["status"]) for r in every if r["status"] != "ok")
    if failed:
        each = (f"{name}, {regime}, {number}×: {status}" for (name, regime, status), number in failed.items())
        parts.append(f"Failed: {'; '.join(each)}.")
    for regime, title in (("scalar", "Scalar form"), ("elman", "Matrix form"), ("lstm", "LSTM")):
        for threads in sorted({key[3] for key in results.records if key[0] == regime}):
            sizes = results.sizes(regime, threads)
            tables = []
            for n in dict.fromkeys(size[0] for size in sizes):
                head = [] if regime == "scalar" else [f"n = {n}:"]
                tables += [*head, times_table(results, regime, threads, [size for size in sizes if size[0] == n])]
            if threads == 1:
                parts += [f"### {title}, one thread", *([images[regime]] if regime in images else []), *tables]
            else:
                parts += [f"<details>\n<summary>{title}, {threads} threads</summary>", *tables, "</details>"]
    if results.setups:
        text = "By how much the first result takes longer than a later one, in a fresh process, the library imported."
        parts += ["### Set-up", text, *([images["setup"]] if "setup" in images else []), setup_table(results)]
    return "\n\n".join([*parts, "### What is what", NOTES])


def print_report(data: Mapping[str, Any]) -> None:
    """All tables to the terminal."""
    print(section(Results(data)))


BEGIN, END = "<!-- gradients:begin -->", "<!-- gradients:end -->"


def with_section(text: str, body: str) -> str:
    """A text with what stands between its markers replaced; without markers, with the section at its end.

    >>> with_section("a <!-- gradients:begin --> b <!-- gradients:end --> c", "new").split()[3:6]
    ['-->', 'new', '<!--']
    """
    marked = f"{BEGIN}\n\n{body}\n\n{END}"
    if BEGIN not in text:
        return f"{text.rstrip()}\n\n{marked}\n"
    return re.sub(f"{BEGIN}.*?{END}", lambda _: marked, text, flags=re.DOTALL)


def write_readme(data: Mapping[str, Any], readme: Path = README, folder: Path = PLOTS) -> None:
    """Draw the plots, replace the section."""
    results = Results(data)
    body = section(results, draw(results, folder))
    readme.write_text(with_section(readme.read_text(encoding="utf-8"), body), encoding="utf-8")


# --- plots --------------------------------------------------------------------------------------------------------

COLOURS = {
    FLOOR: "#000000", NUMPY: "#7fb2e5", C: "#2a6fbb", "ours: C, out=": "#4f93d6", BOUND: "#0b3c75",
    "ours: JAX": "#59c1c9", MODULE: "#d1495b", "PyTorch loop": "#e89aa4", SCAN: "#e08e1b", CASADI: "#4d9a51",
    "CasADi C, F(…)": "#a5cfa7", "SymEngine LLVM": "#8a63b8", "numba": "#8c6d46", "HIPS autograd": "#9a9a9a",
}  # fmt: skip


def draw(results: Results, folder: Path) -> list[str]:
    """The plots of what was measured on one thread, as SVG that depends on nothing else; their file names."""
    import matplotlib as mpl

    folder.mkdir(exist_ok=True)
    drawings = {"scalar": draw_scalar, "elman": draw_elman, "lstm": draw_lstm, "setup": draw_setup}
    style = {"svg.hashsalt": "gradients", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False}
    names = []
    for kind, drawing in drawings.items():
        if not (results.setups if kind == "setup" else results.sizes(kind, 1)):
            continue
        with mpl.rc_context(style | {"axes.spines.right": False, "axes.grid": True, "grid.color": "#e4e4e4"}):
            drawing(results).savefig(folder / f"gradients-{kind}.svg", metadata={"Date": None}, facecolor="white")
        names.append(f"gradients-{kind}.svg")
    return names


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _style(name: str) -> dict[str, Any]:
    own = name.startswith("ours")
    dashes = "--" if name == FLOOR else "-"
    return {"color": COLOURS[name], "lw": 2.2 if own else 1.2, "ls": dashes, "marker": "o", "ms": 4 if own else 3}


def draw_scalar(results: Results) -> Any:
    """Time over T, each line named at its end."""
    figure = _figure(7.5, 5)
    axes, ends = figure.subplots(), []
    for name in results.named("scalar", 1):
        line = [(z[2], m * 1e6) for z in results.sizes("scalar", 1) if (m := results.median("scalar", z, name))]
        if line:
            axes.loglog(*zip(*line, strict=True), **_style(name))
            ends.append((line[-1][1], line[-1][0], name))
    lowest = 0.0
    for y, x, name in sorted(ends):
        lowest = max(y, lowest * 1.9)  # names stand apart
        axes.annotate(name, (x, y), (x * 1.25, lowest), va="center", color=COLOURS[name], fontsize=8,
                      arrowprops={"arrowstyle": "-", "color": COLOURS[name], "lw": 0.5})  # fmt: skip
    steps = sorted(z[2] for z in results.sizes("scalar", 1))
    axes.set(xlabel="T", ylabel="µs", title="Scalar form, one thread: L and six gradients", xticks=steps)
    axes.set_xticks(steps, map(str, steps), minor=False)
    axes.set_xlim(steps[0] * 0.8, steps[-1] * 4)
    axes.set_ylim(top=max(axes.get_ylim()[1], lowest * 1.5))
    return figure


def draw_elman(results: Results) -> Any:
    """Time over that of the products, a panel for each n and B."""
    sizes = results.sizes("elman", 1)
    columns, rows, steps = (sorted({size[k] for size in sizes}) for k in range(3))
    figure = _figure(2.4 * len(columns) + 0.5, 2.3 * len(rows) + 1)
    panels, lines = figure.subplots(len(rows), len(columns), squeeze=False, sharex=True), {}
    for i, B in enumerate(rows):
        for j, n in enumerate(columns):
            axes = panels[i][j]
            for name in results.named("elman", 1):
                line = []
                for size in sizes:
                    m, floor = results.median("elman", size, name), results.median("elman", size, FLOOR)
                    if size[:2] == (n, B) and m and floor:
                        line.append((size[2], m / floor))
                if line:
                    lines[name] = axes.loglog(*zip(*line, strict=True), **_style(name))[0]
            axes.set_title(f"n = {n}, B = {B}", fontsize=9)
            axes.set_xticks(steps, map(str, steps))
            axes.minorticks_off()
    for axes in panels[-1]:
        axes.set_xlabel("T")
    figure.supylabel("time / time of the products alone", fontsize=9)
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def _dots(groups: Mapping[str, Mapping[str, float]], title: str, label: str) -> Any:
    """A line for each name, a mark for each group."""
    names = [name for name in dict.fromkeys(n for group in groups.values() for n in group)][::-1]
    figure = _figure(7.5, 0.3 * len(names) + 1.8)
    axes = figure.subplots()
    for (group, values), marker in zip(groups.items(), "os^Dv<>p*hXd", strict=False):
        rows = [names.index(name) for name in values]
        axes.scatter(values.values(), rows, marker=marker, label=group, s=28, zorder=3)
    axes.set(xscale="log", xlabel=label, title=title)
    axes.set_yticks(range(len(names)), names)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def draw_lstm(results: Results) -> Any:
    """Time over that of the products."""
    groups: dict[str, dict[str, float]] = {}
    for size in results.sizes("lstm", 1):
        found = {name: results.median("lstm", size, name) for name in results.named("lstm", 1)}
        floor = found[FLOOR]
        groups[place(("LSTM", size))] = {name: m / floor for name, m in found.items() if m and floor and m != floor}
    return _dots(groups, "LSTM, one thread", "time / time of the products alone")


def draw_setup(results: Results) -> Any:
    """Seconds before the first result; what takes none is left out."""
    groups: dict[str, dict[str, float]] = {}
    for (regime, size, name, phase), value in results.setups.items():
        if value > 1e-5:
            groups.setdefault(place((regime, size)), {})[f"{name}, cached" if phase == "cached" else name] = value
    return _dots(groups, "Set-up", "seconds")
