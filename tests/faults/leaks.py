"""Where the login's secret is found after a case, other than in docker's config, where it belongs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from canaries import Watch, forms_of, hits, stray
from world import World

from runbook_lib.registry.safe_file import TEMPORARY_SUFFIX

_BELONGS = (Path("docker_config/config.json"), Path("docker_config/config.json.buildkit-runbook.bak"))
_LOOK = 0.5  # seconds between two looks at all processes


def leaks_in_files(world: World, number: int) -> list[str]:
    """Hits in what the case wrote (journal, output, parameters), in homes and in temporary files."""
    forms = forms_of(world.env["REGISTRY_USERNAME"], world.token)
    found: list[str] = []
    for folder in ("docker_config", "home", "tmp"):
        found += hits(world.folder / folder, forms)
    found += hits(world.run_dir(number), forms)
    for path in (world.output(number), world.run_dir(number).with_suffix(".json")):
        content = path.read_bytes() if path.exists() else b""
        found += [f"{path}: {name}" for name, form in forms.items() if form in content]
    found = [f.removeprefix(f"{world.folder}/") for f in found]
    # A writer that is killed leaves its temporary file, as private as the one beside it. The next one takes
    # it away, and one that stays is told as left behind.
    unfinished = (world.folder / "docker_config").glob(f".config.json{TEMPORARY_SUFFIX}*")
    return stray(found, *_BELONGS, *(p.relative_to(world.folder) for p in unfinished))


def leaks_in_events(world: World) -> list[str]:
    """Hits in the namespace's events; the API server must answer."""
    forms = forms_of(world.env["REGISTRY_USERNAME"], world.token)
    events = world.kubectl("-n", world.namespace, "get", "events", "-o", "json").stdout
    return [f"events: {name}" for name, form in forms.items() if form.decode() in events]


def leaks_in_logs(world: World) -> list[str]:
    """Hits in the logs of all components of the sandbox, the audit log among them."""
    return hits(world.layout.logs, forms_of(world.env["REGISTRY_USERNAME"], world.token))


class ProcessWatch(Watch):
    """Reads argument lists and environments of all processes; `seen` tells the programs.

    The login is given by file, so no process at all needs it in either. `looked` counts processes looked at.
    """

    pause = _LOOK
    looked = 0

    def look(self) -> Iterator[str]:
        for folder in Path("/proc").glob("[0-9]*"):
            self.looked += 1
            yield from self._found(folder)

    def _found(self, folder: Path) -> Iterator[str]:
        for name in ("cmdline", "environ"):
            try:
                content = (folder / name).read_bytes()
                program = (folder / "comm").read_text().strip()
            except OSError:
                continue
            yield from (f"{name} of {program}: {f}" for f, form in self.forms.items() if form in content)
