"""Sites are files over defaults: which values are in force, where each comes from, and what is left to the site."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from site_configs import cli
from site_configs.check import check_file
from site_configs.gaps import GAP
from site_configs.json_schema import json_schema
from site_configs.load import DEFAULTS, SiteInvalid, find_site, load_site, load_with_gaps, read_layer
from site_configs.load import SITES as FOLDER
from tests.unit.site_configs.site_files import SITES, WRONG, write_site


def test_local_is_as_it_always_was() -> None:
    site = load_site("local")
    assert site.storage.bases == []  # images go to the job's work folder
    assert site.catalog.kind == "sqlite"
    assert site.catalog.path is None
    assert site.releases.roots == ["$PACKAGE/.demo/cvmfs", "~/.local/share/imsim-on-demand/releases"]
    assert site.releases.default == "quicksim-1.0"
    assert (site.worker.cores, site.worker.memory_mb, site.worker.scratch) == (None, None, None)


@pytest.mark.parametrize("name", [one for one in SITES if one != "local"])
def test_no_job_runs_with_a_gap(name: str) -> None:
    _, gaps = load_with_gaps(find_site(name))
    with pytest.raises(SiteInvalid) as caught:
        load_site(name)
    assert "releases.default" in str(caught.value)
    for gap in gaps:
        assert str(gap).split("'")[1] in str(caught.value)


@pytest.mark.parametrize("alias", ["USDF", "SWT2", "FrDF", "RAL", "Perlmutter"])
def test_other_names(alias: str) -> None:
    site, _ = load_with_gaps(find_site(alias))
    assert alias in site.aliases


def test_names_are_names_of_one_site_each() -> None:
    names = [name for site in SITES for name in (site, *load_with_gaps(find_site(site))[0].aliases)]
    assert len(set(names)) == len(names)


def test_a_wrong_file_is_told_by_line_and_where_the_rest_is_listed(tmp_path: Path) -> None:
    path = write_site(tmp_path, '[worker]\ncores = "four"\nmemory = 3\n')
    with pytest.raises(SiteInvalid) as caught:
        load_site(str(path))
    first = f"{path}:3: 'worker.cores': expected a whole number from 1, got 'four'"
    assert str(caught.value) == f"{first}; and 1 more: `iod-site check {path}` lists all"


def test_an_unknown_site() -> None:
    with pytest.raises(SiteInvalid, match="unknown site 'SLCA', did you mean 'SLAC'") as caught:
        find_site("SLCA")
    assert all(name in str(caught.value) for name in SITES)


def test_where_values_come_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_site(
        tmp_path,
        "[worker]\nmax_unit_hours = 3.0\n"
        '[[storage.endpoints]]\nurl = "root://a//x"\n'
        '[[storage.endpoints]]\nurl = "https://b/x"\nuse = ["read"]\n'
        '[[storage.endpoints]]\nurl = "/c"\nuse = ["write"]\n[releases]\ndefault = "SET-BY-SITE: which"\n',
    )
    assert cli.main(["show", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["values"]["storage"]["bases"] == ["root://a//x", "/c"]
    assert shown["values"]["storage"]["endpoints"][1]["use"] == ["read"]
    assert shown["values"]["worker"]["max_idle_hours"] == 2.0
    assert shown["to_set"] == ["releases.default"]
    origins = shown["origins"]
    assert origins["name"] == "example.toml:1"
    assert origins["worker.max_unit_hours"] == "example.toml:3"
    assert origins["storage.endpoints[2].url"] == "example.toml:10"
    assert origins["storage.endpoints[2].rse"] == "built in"
    assert origins["storage.bases"] == "storage.endpoints"
    line = int(origins["worker.max_idle_hours"].removeprefix("defaults.toml:"))
    assert DEFAULTS.read_text().split("\n")[line - 1].startswith("max_idle_hours")

    assert cli.main(["show", str(path)]) == 0
    text = capsys.readouterr().out
    assert 'releases.default = "SET-BY-SITE: which"' in text
    assert "# worker.cores = none" in text


def test_bases_that_are_named_come_before_endpoints(tmp_path: Path) -> None:
    path = write_site(tmp_path, '[storage]\nbases = ["/a"]\n[[storage.endpoints]]\nurl = "/b"\n')
    assert load_site(str(path)).storage.bases == ["/a"]


def test_lists_replace_and_tables_add(tmp_path: Path) -> None:
    site = load_site(str(write_site(tmp_path, '[releases]\nroots = ["/a"]\n[worker]\ncores = 3\n')))
    assert site.releases.roots == ["/a"]
    assert (site.worker.cores, site.worker.max_unit_hours) == (3, 120.0)


@pytest.mark.parametrize("name", SITES)
def test_the_schema_for_editors_takes_every_site(name: str) -> None:
    jsonschema.validate(read_layer(find_site(name)).document, json_schema())


def test_the_schema_for_editors_refuses_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(WRONG)
    errors = list(jsonschema.Draft202012Validator(json_schema()).iter_errors(read_layer(path).document))
    assert {"nam", "relases"} <= {word for one in errors for word in ("nam", "relases") if f"'{word}'" in one.message}
    assert ["worker", "cores"] in [list(one.absolute_path) for one in errors]


def test_every_key_is_explained_to_editors() -> None:
    site = json_schema()["$defs"]["Queue"]["properties"]
    assert site["mode"]["description"].startswith("`pull`: the pilot asks")
    assert site["cores"]["anyOf"][1]["pattern"].startswith(f"^{GAP}")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["check", "SLAC"], 0, "8 warnings"),
        (["check", "local"], 0, "good"),
        (["check", "nowhere"], 30, "unknown site"),
        (["check", "/nowhere/x.toml"], 30, "No such file"),
        (["show", "/nowhere/x.toml"], 30, "No such file"),
        (["export", "local", "--to", "cric", "--queue", "IMSIM_LOCL"], 30, "it has IMSIM_LOCAL"),
        (["export", "local", "--to", "nothing"], 10, "invalid choice"),
        ([], 10, "COMMAND"),
        (["list"], 0, "SLAC, USDF"),
        (["schema"], 0, '"$defs"'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_commands(arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == code
    out, error = capsys.readouterr()
    assert says in out + error
    assert bool(error) == (code != 0 and "ERROR" in error)


@pytest.mark.allow_processes
def test_output_that_cannot_be_written() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "site_configs", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (42, "ERROR: stdout: No space left on device\n")


def test_dates_in_what_a_release_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_site(tmp_path, '[releases.sidecars."p-1"]\ntree = "/x"\nfacts = {built = 2026-11-22}\n')
    assert cli.main(["show", str(path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["values"]["releases"]["sidecars"]["p-1"]["facts"]
    assert facts == {"built": "2026-11-22"}


def test_check_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(WRONG)
    assert cli.main(["check", str(path), "--json"]) == 30
    found = json.loads(capsys.readouterr().out)
    assert found["valid"] is False
    assert {"level": "error", "line": 14, "key": "worker.cores"}.items() <= found["problems"][7].items()


def test_the_example_of_the_guide_is_good(tmp_path: Path) -> None:
    guide = FOLDER.parents[1] / "docs/how-to/describe-a-site.md"
    path = tmp_path / "EXAMPLE.toml"
    path.write_text(guide.read_text().split("```toml\n")[1].split("```")[0])
    assert check_file(path) == []
    assert load_site(str(path)).storage.bases == ["root://door.example.org:1094//store/imsim"]
