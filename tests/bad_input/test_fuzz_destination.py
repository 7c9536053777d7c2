"""Receipts at a destination, written by a dying process or by somebody else."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from tests.bad_input.mutations import damaged, examples, json_texts, odd_texts, spoilt
from tests.bad_input.sandbox import Sandbox
from tests.unit.commit_world import DIGEST, NAMES, RECEIPT, UNIT, VISIT, made_files, make_unit
from transformation.layout import JobPlace, claim_name, failure_name, manifest_name
from transformation.model.manifest import (
    Claim,
    FailureRecord,
    UnitManifest,
    encode,
    parse_claim,
    parse_failure,
    parse_manifest,
)
from transformation.resume import Done, what_is_done
from transformation.stage_out import commit_unit
from transformation.storage.file import FileStorage


def committed(sandbox: Sandbox) -> tuple[FileStorage, JobPlace]:
    """A unit, committed well."""
    sandbox.clear()
    scratch = sandbox.here / "scratch"
    scratch.mkdir()
    storage, place = FileStorage(), JobPlace(base=str(sandbox.here / "store"), user="tonyj", job="run-00019")
    commit_unit(
        storage, place, UNIT, made_files(scratch, "a"), receipt=RECEIPT, token="a", clock=lambda: 0.0,
        record=lambda transfer: None,
    )  # fmt: skip
    return storage, place


def _good() -> dict[str, Any]:
    files = [
        {
            "name": name, "role": "electron_image", "size_bytes": 64, "adler32": "01234567",
            "temporary": f".{name}.a.part", "replaces": ["01234567"],
        }
        for name in NAMES
    ]  # fmt: skip
    return {
        "schema_version": 1, "unit": UNIT.id, "visit": VISIT, "sensor": "R22_S11", "exposure": 0, "filter": 2,
        "state": "committed", "digest": DIGEST, "request": {"seed": 1}, "token": "a", "attempt": 1,
        "written": "1970-01-01T00:00:00+00:00", "replaces": [], "files": files, "metadata": {"release": "q", "id": 1},
        "notes": ["n"], "measured": {"wall_s": 1.0, "cpu_s": 1.0, "max_rss_bytes": 1},
    }  # fmt: skip


MANIFEST = _good()
FAILURE = {"schema_version": 1, "unit": UNIT.id, "digest": DIGEST, "failure": "SED_MISSING", "detail": "x",
           "attempt": 1, "written": "1970-01-01T00:00:00+00:00"}  # fmt: skip
CLAIM = {"schema_version": 1, "unit": UNIT.id, "destination": "/store", "token": "a", "written": "1970"}


def bytes_of(good: dict[str, Any]) -> st.SearchStrategy[bytes]:
    return st.one_of(json_texts(spoilt(good)), damaged(json.dumps(good).encode()), st.binary(max_size=100))


def _stays_inside(name: str) -> bool:
    return "/" not in name and name not in {"", ".", ".."} and "\0" not in name


@examples(100)
@given(bytes_of(MANIFEST))
@example(b"[" * 100_000)
@example(b'{"unit": ' * 100_000)
def test_manifests_are_read_or_refused(content: bytes) -> None:
    found = parse_manifest(content, unit=UNIT.id)
    if isinstance(found, UnitManifest):
        assert found.unit == UNIT.id
        assert all(_stays_inside(name) for file in found.files for name in (file.name, file.temporary))
        msgspec.json.decode(encode(found), type=UnitManifest)
    else:
        assert found


@examples(66)
@given(bytes_of(FAILURE), bytes_of(CLAIM))
def test_failures_and_claims_are_read_or_refused(failure: bytes, claim: bytes) -> None:
    found, said = parse_failure(failure, unit=UNIT.id), parse_claim(claim, unit=UNIT.id)
    assert isinstance(found, str) or (found.unit == UNIT.id and isinstance(found, FailureRecord))
    assert isinstance(said, str) or (said.unit == UNIT.id and isinstance(said, Claim))


def _write(place: JobPlace, name: str, content: bytes) -> None:
    path = Path(place.units_folder(VISIT)) / name
    path.unlink(missing_ok=True)
    path.write_bytes(content)


receipt_names = st.sampled_from(
    [
        manifest_name(UNIT.id), manifest_name(UNIT.id), failure_name(UNIT.id), claim_name(UNIT.id),
        f".{manifest_name(UNIT.id)}.x.aside", f"{make_unit('R22_S12').id}.json", "..json", "x.json", ".json", "x",
        "a b.json", "\udcff.json", "a\nb.json",
    ]
)  # fmt: skip
any_receipt = st.one_of(bytes_of(MANIFEST), bytes_of(FAILURE), bytes_of(CLAIM))


@examples(20)
@given(st.lists(st.tuples(receipt_names, any_receipt), min_size=1, max_size=3))
def test_an_attempt_at_any_destination(sandbox: Sandbox, receipts: list[tuple[str, bytes]]) -> None:
    """It finds the unit done, or makes it again, and ends with a good manifest; other folders are left alone."""
    storage, place = committed(sandbox)
    for name, content in receipts:
        _write(place, name, content)
    verdict = what_is_done(storage, place, [UNIT], {VISIT: DIGEST}).get(UNIT.id)
    if not isinstance(verdict, Done):
        scratch = sandbox.here / "scratch2"
        scratch.mkdir()
        commit_unit(
            storage, place, UNIT, made_files(scratch, "b"), receipt=RECEIPT, token="b", clock=lambda: 0.0,
            record=lambda transfer: None,
        )  # fmt: skip
    assert [path.name for path in sandbox.outside.iterdir()] == ["secret.txt"]
    folder = Path(place.visit_folder(VISIT))
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} <= {*NAMES}


@examples(6)
@given(
    st.lists(st.tuples(receipt_names, any_receipt), min_size=1, max_size=3),
    st.sampled_from([["register"], ["reconcile"], ["reconcile", "--json", "--checksums"]]),
)
@example([(manifest_name(UNIT.id), b"{" + b" " * (1 << 21))], ["register"])
@example([("x.json", json.dumps({**MANIFEST, "unit": "x"}).encode())], ["register"])
def test_register_and_reconcile_any_destination(
    sandbox: Sandbox, receipts: list[tuple[str, bytes]], words: list[str]
) -> None:
    _, place = committed(sandbox)
    for name, content in receipts:
        _write(place, name, content)
    sandbox.check("lsst-trf", *words, str(place.folder), "--site", "local")


@examples(5)
@given(
    st.one_of(st.binary(max_size=200), damaged(b"SQLite format 3\0" + bytes(84)), st.just(b"")),
    st.sampled_from([["register"], ["reconcile"]]),
)
def test_any_catalog_file(sandbox: Sandbox, content: bytes, words: list[str]) -> None:
    _, place = committed(sandbox)
    sandbox.put("store/catalog.sqlite", content)
    sandbox.check("lsst-trf", *words, str(place.folder), "--site", "local")


@examples(6)
@given(odd_texts)
def test_any_location(sandbox: Sandbox, location: str) -> None:
    committed(sandbox)
    if "\0" in location or "://" in location:
        return
    sandbox.check("lsst-trf", "register", location, "--site", "local")
    sandbox.check("lsst-trf", "reconcile", location, "--site", "local")


def test_a_catalog_of_other_tables(sandbox: Sandbox) -> None:
    _, place = committed(sandbox)
    with sqlite3.connect(sandbox.here / "store/catalog.sqlite") as base:
        base.execute("create table file (x blob)")
    base.close()
    answer = sandbox.check("lsst-trf", "register", str(place.folder), "--site", "local")
    assert answer.code
