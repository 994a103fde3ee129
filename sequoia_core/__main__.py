"""Entry point of `python -m sequoia_core`."""

import sys

from sequoia_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
