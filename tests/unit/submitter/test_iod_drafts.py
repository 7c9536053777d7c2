"""From job files and options to specs that mean the same anywhere."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest

from submitter.drafts import Draft, Wishes, make_draft
from submitter.folders import Folders
from submitter.settings import Settings
from submitter.troubles import IodError
from transformation.model.failures import Failure, JobError
from transformation.model.spec import CatalogItem

SETTINGS = Settings(user="tonyj", task="stars")


def draft(job: str | None = None, **wishes: object) -> Draft:
    return make_draft(job, Wishes(**wishes), SETTINGS)  # type: ignore[arg-type]


def write_job(folder: Path, **keys: object) -> str:
    document = {"schema_version": 1, "catalogs": ["sky.txt"], "sensors": "R22_S11", **keys}
    path = folder / "job.json"
    path.write_text(json.dumps({key: value for key, value in document.items() if value is not None}))
    return str(path)


def refusal(job: str | None = None, **wishes: object) -> tuple[Failure, str]:
    with pytest.raises(JobError) as caught:
        draft(job, **wishes)
    return caught.value.failed.failure, caught.value.failed.detail


def test_a_job_file_gets_what_it_leaves_out(tmp_path: Path) -> None:
    spec = draft(write_job(tmp_path)).spec
    assert (spec.user, spec.task, spec.name) == ("tonyj", "stars", "tonyj-stars-00000")
    assert spec.catalogs == [str(tmp_path / "sky.txt")]


def test_an_account_without_name_and_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "IOD_HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 23_456_789)
    assert Settings().user_name == "uid23456789"
    with pytest.raises(IodError, match="set HOME"):
        Folders()


def test_locations_of_a_file_are_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = write_job(
        tmp_path,
        catalogs=None,
        visits=[{"catalogs": [{"url": "a.txt", "size": 3}, "https://example.org/b.txt"], "commands": ["deep"]}],
        commands=["$(PHOSIMDIR)/examples/nobackground", "mine", {"inline": "zenith_v 22"}],
        output={"base": "../store"},
        options={"seds": "seds"},
    )
    monkeypatch.chdir("/")
    spec = draft(job).spec
    assert spec.visits is not None
    assert spec.visits[0].catalogs == [CatalogItem(url=f"{tmp_path}/a.txt", size=3), "https://example.org/b.txt"]
    assert spec.visits[0].commands == [f"{tmp_path}/deep"]
    assert spec.commands[:2] == ["$(PHOSIMDIR)/examples/nobackground", f"{tmp_path}/mine"]
    assert spec.options.seds == f"{tmp_path}/seds"
    assert spec.output.base == f"{tmp_path}/../store"


def test_options_win_and_are_relative_to_where_they_are_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    job = write_job(elsewhere, comment="of the file", release="phosim-3.4.2")
    monkeypatch.chdir(tmp_path)
    spec = draft(job, catalogs=["one.txt", "root://host//two"], sensors="R11_S..", exposures="0,1", debug=True).spec
    assert spec.catalogs == [str(tmp_path / "one.txt"), "root://host//two"]
    assert (spec.sensors, spec.exposures, spec.debug) == ("R11_S..", [0, 1], True)
    assert (spec.comment, spec.release) == ("of the file", "phosim-3.4.2")


def test_visits_come_from_lists_and_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("v2.txt", "v1.txt", "v10.txt"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    visits = draft(visits=["v*.txt", "https://example.org/a.txt,b.txt"], sensors="R22_S11").visits
    names = ["v1.txt", "v10.txt", "v2.txt"]
    expected = [*(str(tmp_path / name) for name in names), "https://example.org/a.txt", str(tmp_path / "b.txt")]
    assert [item.catalogs for item in visits] == [[one] for one in expected]
    assert refusal(visits=["nothing*.txt"], sensors="R22_S11")[0] is Failure.CATALOG_MISSING


def test_a_catalog_option_replaces_the_visits_of_the_file(tmp_path: Path) -> None:
    job = write_job(tmp_path, catalogs=None, visits=[{"catalogs": ["a"]}])
    assert draft(job, catalogs=["/sky.txt"]).spec.visits is None


def test_standard_input_and_data_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b'schema_version = 1\ncatalogs = ["/sky.txt"]\nsensors = "R22_S11"\n'
    url = "data:;base64," + base64.b64encode(text).decode()
    assert draft(url).spec.sensors == "R22_S11"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert draft("-").spec.catalogs == ["/sky.txt"]


@pytest.mark.parametrize(
    ("keys", "failure", "words"),
    [
        ({"sensor": "R22"}, Failure.SPEC_INVALID, "did you mean 'sensors'?"),
        ({"visits": [{"catalogs": ["a"]}]}, Failure.SPEC_INVALID, "exactly one of 'catalogs' and 'visits'"),
        ({"user": "../x"}, Failure.SPEC_INVALID, "'user'"),
        ({"name": "a b"}, Failure.SPEC_INVALID, "'name'"),
        ({"sensors": None}, Failure.SPEC_INVALID, "'sensors' is missing"),
        ({"catalogs": ["ftp://example.org/a"]}, Failure.STORAGE_UNKNOWN, "ftp"),
        ({"catalogs": ["a\nb"]}, Failure.STORAGE_UNKNOWN, "control"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, keys: dict[str, object], failure: Failure, words: str) -> None:
    found, detail = refusal(write_job(tmp_path, **keys))
    assert found is failure
    assert words in detail


@pytest.mark.parametrize(
    ("job", "failure"),
    [
        ("/nowhere/job.json", Failure.SPEC_MISSING),
        ("https://example.org/job.json", Failure.SPEC_INVALID),
        ("data:no-comma", Failure.SPEC_INVALID),
        ("data:;base64,%%%", Failure.SPEC_INVALID),
        ("data:,not [ a document", Failure.SPEC_INVALID),
        ("data:,%FF%FE", Failure.SPEC_INVALID),
    ],
)
def test_what_is_no_job_file_is_refused(job: str, failure: Failure) -> None:
    assert refusal(job)[0] is failure


def test_exposures_are_numbers() -> None:
    assert refusal(catalogs=["/a"], sensors="R22_S11", exposures="first")[0] is Failure.USAGE
