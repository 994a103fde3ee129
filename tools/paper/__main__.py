"""Print the comparison as Markdown; --update and --profiles write what is kept of it."""

import argparse

from tools.paper.profiles import write_profiles
from tools.paper.report import PAGE, report, updated


def main() -> None:
    """Run from the repository's root: python -m tools.paper [--update | --profiles]."""
    parser = argparse.ArgumentParser(prog="make paper", description=__doc__)
    parser.add_argument("--update", action="store_true", help="rewrite docs/PAPER.md's tables")
    parser.add_argument(
        "--profiles", action="store_true", help="rewrite the derived assets/hardware/*-paper-*.json"
    )
    arguments = parser.parse_args()
    if arguments.update:
        PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    elif arguments.profiles:
        print("\n".join(f"wrote {path.name}" for path in write_profiles()))
    else:
        print(report())


if __name__ == "__main__":
    main()
