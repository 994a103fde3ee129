"""Print the comparison as Markdown, or with --update put it into docs/PAPER.md."""

import argparse

from tools.paper.report import PAGE, report, updated


def main() -> None:
    """Run from the repository's root: python -m tools.paper [--update]."""
    parser = argparse.ArgumentParser(prog="make paper", description=__doc__)
    parser.add_argument("--update", action="store_true", help="rewrite docs/PAPER.md's tables")
    if parser.parse_args().update:
        PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(report())


if __name__ == "__main__":
    main()
