"""What the tests of sites share: the sites that come with the package, and a file with everything wrong."""

from __future__ import annotations

from pathlib import Path

from site_configs.load import known_sites

SITES = ("BNL", "IN2P3", "NERSC", "SLAC", "UKDF", "UTA", "local")
assert list(SITES) == known_sites()

WRONG = """\
nam = "wrong"
[relases]
roots = []
[storage]
bases = "root://x"
[[storage.endpoints]]
url = "relative/path"
use = [
    "read",
    "wirte",
]
credential = "x509"
[worker]
cores = "four"
memory_mb = 0
core_speed = true
[catalog]
kind = "rucio"
patience_s = 900
[catalog.rucio]
host = "SET-BY-SITE: the server"
account = "imsim"
secret = "hunter2"
rse = "SET-BY-SITE"
"""


def write_site(folder: Path, text: str, name: str = "example") -> Path:
    """A site file, with its name in it."""
    path = folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\n{text}')
    return path
