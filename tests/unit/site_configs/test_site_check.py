"""Everything wrong in a site file is said at once, with its line."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from site_configs.check import Problem, check_file, has_errors
from site_configs.load import DEFAULTS, load_site, load_with_gaps, merge, read_layer
from site_configs.schema import Site
from site_configs.walk import findings
from tests.unit.site_configs.site_files import SITES, WRONG, write_site

UNUSED_RUCIO = """[catalog.rucio]
host = "https://rucio.example.org"
account = "a"
auth = "x509_proxy"
secret = "file:p"
rse = "R"
"""


def problems(folder: Path, text: str) -> list[Problem]:
    path = folder / "wrong.toml"
    path.write_text(text)
    return check_file(path)


def test_all_errors_at_once_with_their_lines(tmp_path: Path) -> None:
    found = problems(tmp_path, WRONG)
    assert [(one.line, one.level, one.key) for one in found] == [
        (1, "error", ""),  # `name` is missing
        (1, "error", "nam"),
        (2, "error", "relases"),
        (5, "error", "storage.bases"),
        (7, "error", "storage.endpoints[0].url"),
        (8, "error", "storage.endpoints[0].use[1]"),
        (12, "error", "storage.endpoints[0].credential"),
        (14, "error", "worker.cores"),
        (15, "error", "worker.memory_mb"),
        (16, "error", "worker.core_speed"),
        (19, "error", "catalog.patience_s"),
        (20, "error", "catalog.rucio"),  # no username
        (21, "warning", "catalog.rucio.host"),
        (23, "error", "catalog.rucio.secret"),
        (24, "warning", "catalog.rucio.rse"),
    ]
    said = {one.key: one.message for one in found}
    assert said["nam"] == "unknown key, did you mean 'name'?"
    assert said["relases"] == "unknown key, did you mean 'releases'?"
    assert said["storage.endpoints[0].use[1]"].endswith("got 'wirte'; did you mean 'write'?")
    assert said["worker.cores"] == "expected a whole number from 1, got 'four'"
    assert said["catalog.rucio"] == "auth 'userpass' needs a username"
    assert said["catalog.rucio.host"].endswith(": the server")
    assert has_errors(found)


def test_a_secret_in_a_wrong_place_is_not_repeated(tmp_path: Path) -> None:
    assert "hunter2" not in "".join(map(str, problems(tmp_path, WRONG)))


@pytest.mark.parametrize(
    ("text", "line"), [('name = "x"\n[worker\n', 2), ('name = "x"\nname = "y"\n', 2), ('name = "x"\n\n\nx = ', 4)]
)
def test_what_is_no_toml(tmp_path: Path, text: str, line: int) -> None:
    (problem,) = problems(tmp_path, text)
    assert (problem.level, problem.line) == ("error", line)


def test_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_bytes(b'name = "caf\xe9"\n')
    (problem,) = check_file(path)
    assert problem.message == "no UTF-8 text: byte 11 is 0xe9"


def test_the_beginning_of_a_key_is_enough_for_a_hint(tmp_path: Path) -> None:
    (problem,) = check_file(write_site(tmp_path, "[cvmfs]\nrepos = []\n"))
    assert problem.message == "unknown key, did you mean 'repositories'?"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (problem,) = check_file(tmp_path / "nowhere.toml")
    assert problem.message == "No such file or directory"


def test_gaps_that_stand_together_with_rules_are_no_errors(tmp_path: Path) -> None:
    text = '[catalog]\nkind = "rucio"\n[catalog.rucio]\nauth = "x509_proxy"\n' + "".join(
        f'{key} = "SET-BY-SITE"\n' for key in ("host", "account", "secret", "rse")
    )
    found = check_file(write_site(tmp_path, text))
    assert [one.level for one in found] == ["warning"] * 4


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[releases]\ndefault = "a-1"\noffered = ["b-1"]\n', "releases.default"),
        ('[[panda.queues]]\nname = "Q"\n[[panda.queues]]\nname = "Q"\n', "panda.queues"),
        ('[[panda.queues]]\nname = "Q"\nmin_memory_mb = 4000\nmemory_mb = 4000\n', "panda.queues[0].memory_mb"),
        (UNUSED_RUCIO, "catalog.rucio"),
    ],
    ids=["default-not-offered", "two-queues-of-one-name", "queue-for-no-job", "rucio-not-used"],
)
def test_what_is_valid_and_probably_not_meant(tmp_path: Path, text: str, key: str) -> None:
    path = write_site(tmp_path, text)
    assert [(one.level, one.key) for one in check_file(path)] == [("warning", key)]
    load_site(str(path))


def test_the_name_of_the_file(tmp_path: Path) -> None:
    path = write_site(tmp_path, "").rename(tmp_path / "other.toml")
    (problem,) = check_file(path)
    assert problem.key == "name"


@pytest.mark.parametrize("name", SITES)
def test_the_sites_of_the_package(name: str) -> None:
    path = DEFAULTS.with_name(f"{name}.toml")
    found = check_file(path)
    assert not has_errors(found), [str(one) for one in found]
    _, gaps = load_with_gaps(path)
    assert len(found) == len(gaps)  # nothing else is doubtful in them
    assert bool(gaps) == (name != "local")


VALUES = st.one_of(
    st.booleans(),
    st.integers(-5, 700),
    st.floats(-5, 700),
    st.sampled_from(
        ["", "x", "rucio", "sqlite", "token", "https://x.org", "env:X", "file:/x", "root://h//p", "online"]
    ),
    st.lists(st.sampled_from(["x", "write", 3]), max_size=2),
    st.dictionaries(st.sampled_from(["name", "url", "kind", "zzz"]), st.just("x"), max_size=2),
)


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a document."""
    found = [path]
    if isinstance(value, dict):
        for key, item in value.items():
            found += places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += places(item, (*path, index))
    return found


FULL = json.loads(
    msgspec.json.encode(load_with_gaps(DEFAULTS.with_name("SLAC.toml"))[0]).replace(b"SET-BY-SITE", b"set")
)
PLACES = places(FULL)[1:]


@given(path=st.sampled_from(PLACES), value=VALUES, key=st.sampled_from(["", "cores", "nmae", "kind"]))
def test_the_walk_and_the_decoder_agree(path: tuple[str | int, ...], value: Any, key: str) -> None:
    """A document is without findings exactly if a job would take it."""
    document = copy.deepcopy(FULL)
    here: Any = document
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = value
    if key and isinstance(here, dict):
        here.setdefault(key, "x")
    document = without_nothing(document)
    try:
        msgspec.convert(document, Site)
        good = True
    except msgspec.ValidationError:
        good = False
    assert bool(list(findings(document, msgspec.inspect.type_info(Site)))) != good


def without_nothing(value: Any) -> Any:
    """TOML has no null."""
    if isinstance(value, dict):
        return {key: without_nothing(item) for key, item in value.items() if item is not None}
    return [without_nothing(item) for item in value] if isinstance(value, list) else value


def test_defaults_are_valid_and_say_what_the_schema_says() -> None:
    document = merge(read_layer(DEFAULTS).document, {"name": "x"})
    assert msgspec.convert(document, Site) == Site(name="x")


def test_a_missing_key_is_said_once(tmp_path: Path) -> None:
    text = UNUSED_RUCIO.replace('account = "a"\n', "").replace('"file:p"', '"env:P"')
    found = check_file(write_site(tmp_path, f'[catalog]\nkind = "rucio"\n{text}'))
    assert [one.message for one in found] == [
        "the key 'catalog.rucio.account' is missing",
        "a proxy is a file: secret = 'file:PATH'",
    ]
