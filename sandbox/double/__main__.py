"""`python -m sandbox.double --config FILE`: serve in the foreground, log to standard error."""

import argparse
import logging
import sys
from pathlib import Path

from sandbox.double.config import load_config
from sandbox.double.errors import DoubleError
from sandbox.double.server import run


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM; 1 with one readable message when the double cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.double", description="Serve the registry double."
    )
    parser.add_argument(
        "--config", type=Path, required=True, help="JSON file, keys in sandbox/double/config.py"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    # asyncio would otherwise report each handshake a client breaks off, with a traceback.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        run(load_config(options.config))
    except DoubleError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
