"""The commands: run, plan, parameters, report, sync-notebooks, clean-up.

Exit codes: 0 done, 1 a step failed, 2 the command line or a parameter is wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from runbook_lib.errors import ResumeError, RunbookError, SettingsError
from runbook_lib.journal import FILE_NAME
from runbook_lib.redaction import redact
from runbook_lib.run import cells, options, report
from runbook_lib.run.clean_up import clean_up
from runbook_lib.run.files import absolute
from runbook_lib.run.folder import RunFolder, runs_dir
from runbook_lib.run.planning import print_plans
from runbook_lib.run.report import summary
from runbook_lib.run.resume import stored_run
from runbook_lib.run.runner import Run, RunOutcome, run
from runbook_lib.settings import Settings
from runbook_lib.steps.catalog import CATALOG, DEFAULT_STEPS, entry_of

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(words: Sequence[str] | None = None) -> int:
    """Carry out one command and return its exit code."""
    try:
        arguments, rest = _parser().parse_known_args(words)
        options.refuse_rest(rest)
        command: Callable[[argparse.Namespace], int] = arguments.command
        return command(arguments)
    except (SettingsError, ResumeError) as e:
        _complain(e)
        return USAGE
    except RunbookError as e:
        _complain(e)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runbook_lib",
        description="From a bare cluster to a proven image build and push with BuildKit.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add(commands, "run", _run, "run the notebooks in order, without a browser", _run_options)
    _add(commands, "plan", _plan, "say what a run would change, and by which commands", _steps_option)
    _add(commands, "clean-up", _clean_up, "take away what the runbook made", _clean_up_options)
    _add(commands, "report", _report, "write a run's HTML report anew", _name_option)
    _add(commands, "parameters", _parameters, "list every parameter", None, with_parameters=False)
    sync = "draw the notebooks' parameters cells from the schema"
    _add(commands, "sync-notebooks", _sync, sync, _sync_options, with_parameters=False)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    command: Callable[[argparse.Namespace], int],
    help_text: str,
    more: Callable[[argparse.ArgumentParser], None] | None,
    *,
    with_parameters: bool = True,
) -> None:
    parser = commands.add_parser(
        name, help=help_text, description=f"{help_text.capitalize()}.", allow_abbrev=False
    )
    parser.set_defaults(command=command)
    if more is not None:
        more(parser)
    if with_parameters:
        options.add_parameters(parser)


def _steps_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--steps", default="", metavar="NAMES", help=f"comma-separated, of {', '.join(CATALOG)}"
    )


def _run_options(parser: argparse.ArgumentParser) -> None:
    _steps_option(parser)
    parser.add_argument("--plan", action="store_true", help="only say what would change")
    parser.add_argument(
        "--resume", nargs="?", const="", metavar="RUN", help="go on with a run: by name, else the newest"
    )


def _clean_up_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plan", action="store_true", help="only say what would change")
    _name_option(parser)


def _name_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--of-run", default="", metavar="RUN", help="which run: by name or path, else the newest"
    )


def _sync_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a notebook differs")


def _run(arguments: argparse.Namespace) -> int:
    settings = options.settings_of(arguments)
    steps = _steps(arguments.steps)
    if arguments.plan:
        return _plan(arguments)
    if arguments.resume is None:
        return _ended(run(settings, steps, Console()))
    folder = RunFolder.find(runs_dir(settings), arguments.resume)
    stored, stored_steps = stored_run(folder, settings)
    steps = steps if arguments.steps else stored_steps
    return _ended(Run(stored, folder, Console()).execute(steps, resumed=True))


def _plan(arguments: argparse.Namespace) -> int:
    possible = print_plans(options.settings_of(arguments), _steps(arguments.steps), Console())
    return DONE if possible else FAILED


def _clean_up(arguments: argparse.Namespace) -> int:
    """With the parameters of the run that is named, else of the newest; without any run, with those given."""
    given = options.settings_of(arguments)
    try:
        folder = _folder(given, arguments.of_run)
    except ResumeError:
        if arguments.of_run:
            raise
        folder = None
    return DONE if clean_up(folder, given, plan=arguments.plan) else FAILED


def _report(arguments: argparse.Namespace) -> int:
    print(report.write(_folder(options.settings_of(arguments), arguments.of_run)))
    return DONE


def _parameters(_: argparse.Namespace) -> int:
    for name, kind, default, help_text, variable in options.table():
        print(f"{name}\n    {help_text}\n    type {kind}; default {default}; variable {variable}")
    return DONE


def _sync(arguments: argparse.Namespace) -> int:
    changed = cells.synchronize(write=not arguments.check)
    for name in changed:
        print(f"{'differs' if arguments.check else 'rewritten'}: {name}")
    return FAILED if changed and arguments.check else DONE


def _steps(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(n.strip().replace("-", "_") for n in text.split(",") if n.strip()))
    return tuple(entry_of(name).name for name in names) or DEFAULT_STEPS


def _folder(settings: Settings, name: str) -> RunFolder:
    """The run of that name, else the newest, else the folder that interactive notebooks use."""
    interactive = runs_dir(settings) / "interactive"
    try:
        return RunFolder.find(runs_dir(settings), name)
    except ResumeError:
        # The folder of interactive notebooks or of the guided page has a journal and no run.json.
        named = absolute(name) if name else interactive
        with contextlib.suppress(OSError):  # a name too long, a folder that is another user's
            if (named / FILE_NAME).is_file():
                return RunFolder(named)
        raise


def _ended(outcome: RunOutcome) -> int:
    for line in summary(outcome.folder):
        print(line)
    if outcome.error is not None:
        _complain(outcome.error)
        return FAILED
    if outcome.interrupted:
        print("interrupted; go on with: python -m runbook_lib run --resume", file=sys.stderr)
        return INTERRUPTED
    return DONE


def _complain(error: RunbookError) -> None:
    Console(stderr=True).print(
        Text(redact(f"{type(error).__name__}: {error}")), soft_wrap=True, highlight=False
    )
