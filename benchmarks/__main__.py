"""``python -m benchmarks [--quick] [--only elman|matrix] [--json FILE] [--readme]``: everything that is measured."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks import derivation, matrix_form
from benchmarks.measuring import load, machine, table
from benchmarks.reporting import README, Report, marked, with_tables

PARTS = {"elman": derivation.measure, "matrix": matrix_form.measure}


def run(parts: list[str], quick: bool) -> tuple[dict[str, str], Report]:
    """Measure these parts: what machine it was, and the report with the machine's own table."""
    about, report, start = {**machine(), "load before": load()}, Report(), time.perf_counter()
    print("\n".join(f"{key:<12} {value}" for key, value in about.items()), flush=True)
    for part in parts:
        PARTS[part](report, quick)
    about |= {"load after": load(), "duration": f"{time.perf_counter() - start:.0f} s"}
    print(f"\nload after {about['load after']}, duration {about['duration']}")
    report.tables["machine"] = table(("", ""), list(about.items()))
    return about, report


def main() -> None:
    """Measure, print the tables, and on request keep the records."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How long things take.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, once each: to see that it runs")
    parser.add_argument("--only", choices=PARTS, help="the elman network in scalar form, or matrix form")
    parser.add_argument("--json", metavar="FILE", help="write machine and records here as well")
    parser.add_argument("--readme", action="store_true", help="put the tables into benchmarks/README.md")
    args = parser.parse_args()
    if args.readme and (args.quick or args.only):
        parser.error("--readme keeps the tables of one whole run; leave --quick and --only out")
    about, report = run([args.only] if args.only else list(PARTS), args.quick)
    if args.json:
        records = {"machine": about, "records": [asdict(record) for record in report.records]}
        Path(args.json).write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    if args.readme:
        text = README.read_text(encoding="utf-8")
        assert set(marked(text)) == set(report.tables), "a table without a place in the README, or a place without one"
        README.write_text(with_tables(text, report.tables), encoding="utf-8")


if __name__ == "__main__":
    main()
