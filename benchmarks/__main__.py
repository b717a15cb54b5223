"""``python -m benchmarks [--quick] [--json FILE]``: everything that is measured."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from benchmarks import derivation
from benchmarks.measuring import load, machine


def main() -> None:
    """Measure, print the tables, and on request keep the records."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How long things take.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, once each: to see that it runs")
    parser.add_argument("--json", metavar="FILE", help="write machine and records here as well")
    args = parser.parse_args()
    about = {**machine(), "load_before": load()}
    print("\n".join(f"{key:<12} {value}" for key, value in about.items()), flush=True)
    records = derivation.main(quick=args.quick)
    about["load_after"] = load()
    print(f"\n{'load_after':<12} {about['load_after']}")
    if args.json:
        report = {"machine": about, "records": [asdict(record) for record in records]}
        Path(args.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
