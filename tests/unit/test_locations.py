"""Locations: who serves them, what is beside them, and what people may see of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformation.locations import (
    Kind,
    LocationInvalid,
    LocationUnknown,
    beside,
    did_of,
    file_name,
    folder_of,
    kind_of,
    local_path,
    redacted,
    redacted_deeply,
    resolve,
    scrubbed,
    without_redacted,
    without_user,
)


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("sky.txt", Kind.FILE),
        ("/data/a:b/sky.txt", Kind.FILE),
        ("file:sky.txt", Kind.FILE),
        ("file:///data/sky.txt", Kind.FILE),
        ("root://host//sky.txt", Kind.XROOTD),
        ("xroots://host:1094//sky.txt", Kind.XROOTD),
        ("https://host/sky.txt", Kind.HTTP),
        ("HTTPS://host/sky.txt", Kind.HTTP),
        ("davs://host/sky.txt", Kind.HTTP),
        ("rucio:user.tonyj:sky.txt", Kind.RUCIO),
        ("rucio:user.tonyj:run-1/v1/sky.txt", Kind.RUCIO),
    ],
)
def test_who_serves_it(location: str, kind: Kind) -> None:
    assert kind_of(location) is kind


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("s3://bucket/x", "no adapter for s3://bucket/x; known: bare paths, file:///path, root://"),
        ("ftp://me:hush@host/x?y=z", "no adapter for ftp://***@host/x?***; known"),
        ("a\nb", "holds control characters"),
        ("https://host/\x00", "holds control characters"),
        ("rucio:sky.txt", "is not of the form rucio:SCOPE:NAME"),
        ("rucio:a:b:c", "is not of the form"),
        ("rucio:a:sky txt", "is not of the form"),
    ],
)
def test_who_serves_nothing(location: str, words: str) -> None:
    with pytest.raises(LocationInvalid) as caught:
        kind_of(location)
    assert words in str(caught.value)
    assert isinstance(caught.value, LocationUnknown) is ("no adapter" in words)


def test_a_did() -> None:
    assert did_of("rucio:user.tonyj:run-1/v1/sky.txt") == ("user.tonyj", "run-1/v1/sky.txt")


@pytest.mark.parametrize(
    ("location", "base", "expected"),
    [
        ("sky.txt", "/base", "/base/sky.txt"),
        ("/abs/sky.txt", "/base", "/abs/sky.txt"),
        ("file:sky.txt", "/base", "/base/sky.txt"),
        ("file:///abs/a%20b.txt", "/base", "/abs/a b.txt"),
        ("a%20b.txt", "/base", "/base/a%20b.txt"),
        ("root://host//sky.txt", "/base", "root://host//sky.txt"),
        ("sky.txt", "https://host/a/", "https://host/a/sky.txt"),
        ("file:sub/sky.txt", "https://host/a/?authz=x", "https://host/a/sub/sky.txt?authz=x"),
        ("./a%20b?.txt", "https://host/a/", "https://host/a/a%2520b%3F.txt"),
        ("sky.txt", "root://host//store/", "root://host//store/sky.txt"),
        ("sky.txt", "rucio:user.tonyj:run-1", "rucio:user.tonyj:run-1/sky.txt"),
        ("sky.txt", "rucio:user.tonyj:", "rucio:user.tonyj:sky.txt"),
        ("/abs/sky.txt", "https://host/a/", "/abs/sky.txt"),
        ("file:///abs/sky.txt", "rucio:user.tonyj:", "/abs/sky.txt"),
        ("https://other/sky.txt", "rucio:user.tonyj:", "https://other/sky.txt"),
    ],
)
def test_relative_to_any_folder(location: str, base: str, expected: str) -> None:
    assert resolve(location, base) == expected


@pytest.mark.parametrize("base", ["https://host/a/", "root://host//a/", "rucio:user.tonyj:a"])
@pytest.mark.parametrize("location", ["../sky.txt", "a/../../sky.txt", "file:../x"])
def test_nothing_leads_out_of_a_folder_elsewhere(location: str, base: str) -> None:
    with pytest.raises(LocationInvalid, match="leads out of"):
        resolve(location, base)


@pytest.mark.parametrize(
    ("location", "folder", "other"),
    [
        ("https://host/a/sky.txt?x=1", "https://host/a/?x=1", "https://host/a/o.txt?x=1"),
        ("root://host//store/sky.txt", "root://host//store/", "root://host//store/o.txt"),
        ("root://host//sky.txt", "root://host//", "root://host//o.txt"),
        ("rucio:s:a/sky.txt", "rucio:s:a", "rucio:s:a/o.txt"),
        ("rucio:s:sky.txt", "rucio:s:", "rucio:s:o.txt"),
    ],
)
def test_what_is_beside_it(location: str, folder: str, other: str) -> None:
    assert folder_of(location) == folder
    assert beside(location, "o.txt") == resolve("o.txt", folder) == other


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("https://host/a/sky.txt?x=/y", "sky.txt"),
        ("rucio:s:a/sky.txt.gz", "sky.txt.gz"),
        ("https://host/%2e%2e%2fx;rm -rf", "_2e_2e_2fx_rm_-rf"),
        ("https://host/.hidden", "hidden"),
        ("https://host/...", "file"),
        ("https://host/" + "x" * 300, "x" * 80),
        ("https://host/é.txt", "_.txt"),
    ],
)
def test_a_name_for_a_copy(location: str, name: str) -> None:
    assert file_name(location) == name


@given(st.text())
def test_no_name_for_a_copy_is_a_path(text: str) -> None:
    name = file_name(text)
    assert name
    assert Path(name).name == name
    assert not name.startswith(".")
    assert name.isascii()
    assert len(name) <= 80


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://tonyj:hush@host/a", "https://***@host/a"),
        ("https://to@ken@host/a", "https://***@host/a"),
        ("root://imsim@host//a?authz=Bearer%20x&y=1", "root://***@host//a?***"),
        ("https://host/a@b?", "https://host/a@b?***"),
        ("https://host/a", "https://host/a"),
        ("/data/a?b@c", "/data/a?b@c"),
        ("rucio:s:n", "rucio:s:n"),
    ],
)
def test_what_people_see(location: str, shown: str) -> None:
    assert redacted(location) == shown
    assert redacted(shown) == shown
    assert "***" not in without_redacted(shown)
    assert without_redacted(location) == location


def test_a_whole_spec_for_people() -> None:
    item = "https://a:b@h/x?c=d"
    document = {
        "catalogs": [item, {"url": item, "size": 1}],
        "comment": item,
        "commands": [{"inline": item}],
        "n": None,
    }
    assert redacted_deeply(document) == {
        "catalogs": ["https://***@h/x?***", {"url": "https://***@h/x?***", "size": 1}],
        "comment": item,
        "commands": [{"inline": item}],
        "n": None,
    }


@pytest.mark.parametrize(
    "text",
    [
        "cannot open /a?authz=Bearer%20hush%2Bhush&y=psst",
        "url: /a?authz=Bearer hush+hush",
        "for tonyj:p%40ss, with p@ss",
        "p%40ss",
    ],
)
def test_what_others_say(text: str) -> None:
    location = "https://tonyj:p%40ss@host/a?authz=Bearer%20hush%2Bhush&y=psst&n=1"
    said = scrubbed(text, location)
    assert "***" in said
    assert not [secret for secret in ("hush", "psst", "p@ss", "p%40ss") if secret in said]
    assert scrubbed("answered with status 401", location) == "answered with status 401"


def test_a_user_by_itself() -> None:
    assert without_user("https://tonyj:p%40ss@host/a?b=c@d") == ("https://host/a?b=c@d", "tonyj:p%40ss")
    assert without_user("https://host/a@b") == ("https://host/a@b", None)


def test_only_local_files_have_paths() -> None:
    for location in ("https://host/a", "file://host/a"):
        with pytest.raises(LocationUnknown):
            local_path(location, Path("/base"))
