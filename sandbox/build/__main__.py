"""`python -m sandbox.build [TOOL …]`: build what the cache lacks and print where each program lies."""

import argparse
import sys

from sandbox.build import TOOLS, ensure_tools
from sandbox.console import Reporter
from sandbox.errors import RefusedError, SandboxError


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when every program is there, 1 when one could not be had, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.build", description=__doc__)
    parser.add_argument("tools", nargs="*", metavar="TOOL", help=f"any of {', '.join(TOOLS)} (default all)")
    parser.add_argument("--binaries", choices=["build", "release"], help="where programs come from")
    parser.add_argument("--verify", action="store_true", help="compare every byte with the recorded digests")
    parser.add_argument("--quiet", action="store_true", help="do not list the programs")
    options = parser.parse_args(arguments)
    try:
        programs = ensure_tools(
            options.tools or None, Reporter(), binaries=options.binaries, verify=options.verify
        )
    except SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {RefusedError.by(error)}", file=sys.stderr)
        return RefusedError.exit_code
    for name, path in programs.items() if not options.quiet else ():
        print(f"{name}\t{path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
