"""`python -m sandbox`: an embedded Kubernetes node with a registry, for trying the runbook out.

up      build what is missing, start or repair the instance, wait until it can be used
down    stop it and leave nothing behind; images and the cluster's objects other than bare pods are kept
reset   down, and delete its state
status  what runs, and whether it is well (exit code 0 only then)
env     export lines for a shell
exec    run a command with those variables set, and take its exit code
logs    the end of the components' logs
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict

import humanize

from sandbox.cluster.down import down
from sandbox.cluster.layout import Layout, layout_for
from sandbox.cluster.processes import tail
from sandbox.cluster.report import environment, export_lines, follow, log_files, prefixed, read_status
from sandbox.cluster.up import up
from sandbox.console import Reporter
from sandbox.errors import RefusedError, SandboxError, UsageError


def _up(layout: Layout, options: argparse.Namespace) -> int:
    timings = up(layout, Reporter(quiet=options.json), options.binaries)
    if options.json:
        print(json.dumps({"instance": layout.name, "seconds": timings}))
    else:
        print(f"{layout.name}: ready in {timings['ready']} s (node Ready after {timings['node_ready']} s)")
        print(f'use it with: eval "$(python -m sandbox env --instance {layout.name})"')
    return 0


def _down(layout: Layout, options: argparse.Namespace) -> int:
    left = down(layout, Reporter(quiet=options.json), remove_state=options.command == "reset")
    if options.json:
        print(json.dumps({"instance": layout.name, "left": asdict(left)}))
    else:
        print(f"{layout.name}: stopped, {left.total()} things left behind")
    return 0


def _status(layout: Layout, options: argparse.Namespace) -> int:
    status = read_status(layout)
    if options.json:
        print(json.dumps(asdict(status) | {"healthy": status.healthy}, indent=1))
        return 0 if status.healthy else 1
    for name, facts in status.components.items():
        size = humanize.naturalsize(facts["rss"], binary=True) if facts else ""
        state = f"running  pid {facts['pid']:<8} {size}" if facts else "stopped"
        print(f"{name:20} {state}")
    print(f"{'memory, all':20} {humanize.naturalsize(status.memory, binary=True)} ({status.shims} shims)")
    print(f"{'node Ready':20} {'yes' if status.node_ready else 'no'}")
    print(f"{'registry ready':20} {'yes' if status.registry_ready else 'no'}")
    for name, value in status.endpoints.items():
        print(f"{name:20} {value}")
    print(f"{'versions':20} {', '.join(f'{name} {value}' for name, value in status.versions.items())}")
    return 0 if status.healthy else 1


def _env(layout: Layout, options: argparse.Namespace) -> int:
    values = prefixed(environment(layout), options.prefix)
    print(json.dumps(values, indent=1) if options.json else export_lines(values))
    return 0


def _exec(layout: Layout, options: argparse.Namespace) -> int:
    command = options.program[1:] if options.program[:1] == ["--"] else options.program
    if not command:
        raise UsageError("no command is given", "exec", "Write it behind two dashes: exec -- COMMAND.")
    values = prefixed(environment(layout), options.prefix)
    try:
        # The command takes this process's place, so that signals and the exit code are its own.
        os.execvpe(command[0], command, {**os.environ, **values})  # noqa: S606
    except OSError as error:
        raise UsageError("the command cannot be run", command[0], f"{error.strerror}.") from None


def _logs(layout: Layout, options: argparse.Namespace) -> int:
    files = log_files(layout, options.component)
    for path in files:
        print(f"==> {path}\n    {tail(path, options.lines)}")
    if options.follow:
        if options.component is None:
            raise UsageError("nothing to follow", "logs --follow", "Name the component.")
        for path in files:
            for line in follow(path):
                print(line, flush=True)
    return 0


_COMMANDS: dict[str, Callable[[Layout, argparse.Namespace], int]] = {
    "up": _up,
    "down": _down,
    "reset": _down,
    "status": _status,
    "env": _env,
    "exec": _exec,
    "logs": _logs,
}


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--instance", default="default", metavar="NAME", help="which sandbox (default: default)"
    )
    common.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    made = {name: commands.add_parser(name, parents=[common]) for name in _COMMANDS}
    made["up"].add_argument("--binaries", choices=["build", "release"], help="where programs come from")
    for name in ("env", "exec"):
        made[name].add_argument("--prefix", default="SANDBOX_", help="before each name (default: SANDBOX_)")
    made["exec"].add_argument("program", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    made["logs"].add_argument("component", nargs="?")
    made["logs"].add_argument("--follow", action="store_true")
    made["logs"].add_argument("--lines", type=int, default=40)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 for success, 1 for a failure that is explained on standard error, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        return _COMMANDS[options.command](layout_for(options.instance), options)
    except SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {RefusedError.by(error)}", file=sys.stderr)
        return RefusedError.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
