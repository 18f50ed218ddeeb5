"""JupyterLab as `make lab` opens it: loopback only, with a token, and no pop-up in the way."""

from pathlib import Path

c = get_config()  # type: ignore[name-defined] # noqa: F821 - Jupyter gives it

c.ServerApp.ip = "127.0.0.1"
c.ServerApp.open_browser = False
c.ServerApp.root_dir = str(Path(__file__).resolve().parent)
c.ServerApp.allow_root = True  # the sandbox needs root; without root this changes nothing
c.LabApp.news_url = None
c.LabApp.default_url = "/lab/workspaces/guided"  # laid out by guided.jupyterlab-workspace

# Voila belongs to `make app`, which serves the guided page alone. Here, opening an address would be enough to
# run any notebook, the one that cleans up included.
c.ServerApp.jpserver_extensions = {"voila.server_extension": False}
