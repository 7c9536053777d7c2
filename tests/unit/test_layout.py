"""Names at the destination."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformation.layout import (
    JobPlace,
    aside_name,
    failure_name,
    is_aside,
    is_failure,
    is_manifest,
    join_url,
    manifest_name,
    place_of,
    unit_of,
)
from transformation.model.manifest import temporary_name, temporary_owner

UNIT = "v87393588-R22_S11-E000"
WORDS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,12}", fullmatch=True)


@pytest.mark.parametrize(
    ("base", "names", "url"),
    [
        ("/store", ("a", "b"), "/store/a/b"),
        ("/store/", ("a",), "/store/a"),
        ("/", ("a",), "/a"),
        ("/50%25?", ("a b#+%",), "/50%25?/a b#+%"),
        ("file:///store", ("a b#+%",), "file:///store/a%20b%23%2B%25"),
        ("https://host:8443/store/", ("a b",), "https://host:8443/store/a%20b"),
        ("davs://host/store?authz=x", ("a",), "davs://host/store/a?authz=x"),
        ("root://host:1094//store", ("a b",), "root://host:1094//store/a b"),
        ("root://host//", ("a",), "root://host//a"),
        ("root://host//store?svcClass=x", ("a",), "root://host//store/a?svcClass=x"),
        ("memory:/store", ("a",), "memory:/store/a"),
    ],
)
def test_join_url(base: str, names: tuple[str, ...], url: str) -> None:
    assert join_url(base, *names) == url


def test_where_a_job_stands() -> None:
    place = JobPlace(base="/store", user="tonyj", job="run-00019")
    assert place.folder == "/store/tonyj/run-00019"
    assert place.visit_folder("87393588") == "/store/tonyj/run-00019/v87393588"
    assert place.file_url("87393588", "f.fits.gz") == "/store/tonyj/run-00019/v87393588/f.fits.gz"
    assert place.units_folder("87393588") == "/store/tonyj/run-00019/v87393588/.units"
    assert place.receipt_url("87393588", manifest_name(UNIT)) == f"/store/tonyj/run-00019/v87393588/.units/{UNIT}.json"
    assert failure_name(UNIT) == f"{UNIT}.failed.json"
    assert place.dataset("87393588") == "run-00019/v87393588"
    assert place.record_name("87393588", "f.fits.gz") == "run-00019/v87393588/f.fits.gz"


@pytest.mark.parametrize("word", ["", ".", "..", "a/b", ".hidden", "a b", "a\n", "a%2Fb", "-x", "a?b"])
def test_names_that_lead_elsewhere_are_refused(word: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        JobPlace(base="/store", user=word, job="run")
    with pytest.raises(ValueError, match="not a name"):
        JobPlace(base="/store", user="tonyj", job=word)


def test_names_in_the_units_folder_tell_what_they_are() -> None:
    names = {
        manifest_name(UNIT): is_manifest,
        failure_name(UNIT): is_failure,
        aside_name(UNIT, "token-0"): is_aside,
        f".{manifest_name(UNIT)}.0a1b.new": None,
    }
    for name, kind in names.items():
        assert unit_of(name) == UNIT
        assert [test(name) for test in (is_manifest, is_failure, is_aside)] == [
            test is kind for test in (is_manifest, is_failure, is_aside)
        ]


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        (".f.fits.gz.tok-1.part", "f.fits.gz"),
        (".f.fits.gz.tok-1.part.0a1b.new", "f.fits.gz"),
        (".f.part.tok.part", "f.part"),
        ("f.fits.gz.tok.part", None),
        (".f.fits.gz", None),
        (".f.part", None),
        (".f.fits.gz.tok.part.bak", None),
        (".nfs000", None),
    ],
)
def test_temporaries_tell_whose_they_are(name: str, owner: str | None) -> None:
    assert temporary_owner(name) == owner


@given(name=WORDS, token=st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True))
def test_a_temporary_belongs_to_its_file(name: str, token: str) -> None:
    assert temporary_owner(temporary_name(name, token)) == name


@given(
    base=st.sampled_from(
        ["/", "/store", "/a b/c", "file:/x", "file:///store", "root://host//", "root://host//store", "https://h/s?x=1"]
    ),
    user=WORDS,
    job=WORDS.filter(lambda word: not word.startswith("v")),
)
def test_a_location_leads_back_to_its_job(base: str, user: str, job: str) -> None:
    place = JobPlace(base=base, user=user, job=job)
    for location, visit in ((place.folder, None), (place.visit_folder("161899"), "161899")):
        found = place_of(location)
        assert found is not None
        assert found[1] == visit
        assert found[0].file_url("161899", "f") == place.file_url("161899", "f")
        assert place_of(location + "/") == found or "?" in location


@pytest.mark.parametrize(
    "location", ["", "/", "/job", "root://host", "/user/a b", "/a b/job", "/user/../job/..", "/v1"]
)
def test_a_location_that_is_no_jobs(location: str) -> None:
    assert place_of(location) is None
