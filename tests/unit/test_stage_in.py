"""The request's inputs: found, checked, read; nothing from outside is a path unchecked."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.memory_source import MemorySource, inputs_of
from tests.unit.samples import failure_of, make_release
from transformation.inputs import local_path
from transformation.instance_catalog import SizeLimits
from transformation.model.failures import Failure, JobError
from transformation.model.spec import JobSpec, parse_spec
from transformation.simulator.release import Release, open_release
from transformation.stage_in import StagedVisit, stage_in
from transformation.workdir import VisitDir

DEFAULTS = """\
obshistid 9999
seed 1000
filter 2
nsnap 2
vistime 33
minsource 1
camconfig 1
telconfig 0
rightascension 0
declination 0
rotskypos 0
seeing 0.67
"""
STAR = "object 1 60.5 -38.1 20 ../sky/sed_flat.txt 0 0 0 0 0 0 point none none\n"


class Desk:
    """A folder with inputs, and the release that they are for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "request"
        self.folder.mkdir()
        self.spool = folder / "spool"
        self.spool.mkdir()
        root = make_release(folder / "phosim-3.4.2")
        (root / "default_instcat").write_text(DEFAULTS)
        (root / "examples").mkdir()
        (root / "examples" / "nobackground").write_text("zenith_v 1000\n")
        (root / "examples" / "star").write_text(STAR)
        (root / "secret").write_text("zenith_v 1\n")
        self.release: Release = open_release(root)
        self.source: MemorySource | None = None
        self.sizes = SizeLimits()
        self.visit_folder = VisitDir(root=folder / "visit-0", logs=folder / "logs")
        self.catalog("sky.txt", 4242)

    def catalog(self, name: str, obshistid: int, more: str = STAR) -> Path:
        path = self.folder / name
        path.write_text(f"obshistid {obshistid}\n{more}")
        return path

    def stage(self, **changes: object) -> list[StagedVisit]:
        import json

        document = {"schema_version": 1, "name": "n", "user": "u", "sensors": "R22_S11", "catalogs": ["sky.txt"]}
        document = {key: value for key, value in {**document, **changes}.items() if value is not None}
        spec: JobSpec = parse_spec(json.dumps(document).encode())
        folders = [self.visit_folder if len(spec.visit_items()) == 1 else None] * len(spec.visit_items())
        inputs = inputs_of(self.spool / "fetched", base=str(self.folder), source=self.source, sizes=self.sizes)
        return stage_in(spec, self.release, inputs, folders, self.spool)

    def refused(self, **changes: object) -> tuple[Failure, str]:
        with pytest.raises(JobError) as caught:
            self.stage(**changes)
        return failure_of(caught.value)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_visit_is_staged(desk: Desk) -> None:
    (visit,) = desk.stage(commands=["$(PHOSIMDIR)/examples/nobackground", {"inline": "extraid 007\ncentroidfile 1\n"}])
    assert visit.visit == "4242007"
    assert (visit.facts.seed, visit.facts.nsnap, visit.facts.vistime_s) == (1000, 2, 33.0)
    assert (visit.facts.has_sky, visit.facts.centroids, visit.facts.throughput) == (False, True, False)
    assert desk.visit_folder.objects.read_text() == STAR
    assert visit.catalog.n_objects == 1


@pytest.mark.parametrize(
    "location", [str.__str__, lambda path: f"file:{path}", lambda path: Path(path).as_uri(), lambda _: "sky.txt"]
)
def test_every_form_of_a_local_place(desk: Desk, location: Callable[[str], str]) -> None:
    assert desk.stage(catalogs=[location(str(desk.folder / "sky.txt"))])[0].visit == "4242"


def test_checking_only_writes_nothing(desk: Desk) -> None:
    desk.catalog("b.txt", 4243)
    desk.stage(catalogs=None, visits=[{"catalogs": ["sky.txt"]}, {"catalogs": ["b.txt"]}])
    assert not desk.visit_folder.root.exists()
    assert list(desk.spool.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "failure", "words"),
    [
        ({"catalogs": ["gone.txt"]}, Failure.CATALOG_MISSING, "catalog gone.txt does not exist"),
        ({"catalogs": ["sky.txt/below"]}, Failure.CATALOG_MISSING, "does not exist"),
        ({"catalogs": ["."]}, Failure.CATALOG_MISSING, "catalog . is not a file"),
        ({"catalogs": ["sky.txt\n"]}, Failure.SPEC_INVALID, r"'catalogs': 'sky.txt\n' holds control characters"),
        ({"catalogs": ["sky\x00.txt"]}, Failure.SPEC_INVALID, "holds control characters"),
        ({"catalogs": ["rucio:sky.txt"]}, Failure.SPEC_INVALID, "'catalogs': rucio:sky.txt is not of the form rucio:S"),
        ({"catalogs": ["s3://bucket/sky.txt"]}, Failure.STORAGE_UNKNOWN, "no adapter for s3://bucket/sky.txt; known:"),
        ({"catalogs": ["file://host/sky.txt"]}, Failure.STORAGE_UNKNOWN, "known: bare paths, file:///path, root://"),
        ({"commands": ["gone"]}, Failure.COMMANDS_INVALID, "'commands': gone: No such file"),
        ({"commands": ["."]}, Failure.COMMANDS_INVALID, "Is a directory"),
        ({"commands": ["a\nb"]}, Failure.SPEC_INVALID, "'commands': 'a\\nb' holds control characters"),
        ({"commands": ["ftp://host/x"]}, Failure.STORAGE_UNKNOWN, "'commands': no adapter"),
        ({"options": {"seds": "root://host//x"}}, Failure.STORAGE_UNKNOWN, "'options.seds': root://host//x is not on"),
        ({"commands": [{"inline": "zenith_v\x1b 3\n"}]}, Failure.COMMANDS_INVALID, "inline commands:1"),
    ],
)
def test_what_cannot_be_staged(desk: Desk, changes: dict[str, object], failure: Failure, words: str) -> None:
    found, detail = desk.refused(**changes)
    assert found is failure
    assert words in detail
    assert not desk.visit_folder.objects.exists()


@pytest.mark.parametrize(
    "item",
    [
        "$(HOME)/x",
        "$HOME/x",
        "$(PHOSIMDIR)/secret",
        "$(PHOSIMDIR)/examples/../secret",
        "$(PHOSIMDIR)/examples/",
        "$(PHOSIMDIR)/examples/a/b",
        "$(PHOSIMDIR)/examples/.hidden",
        "/$(PHOSIMDIR)/examples/star",
        "$(PHOSIMDIR)/examples/nobackground ",
        "$(PHOSIMDIR)/examples/nobackground\n",
        "$(touch pwned)",
        "${PHOSIMDIR}/examples/star",
    ],
)
def test_only_an_example_of_the_release_is_filled_in(desk: Desk, item: str) -> None:
    failure, detail = desk.refused(commands=[item])
    assert failure is Failure.COMMANDS_INVALID
    assert detail == f"'commands': in {item!r} only $(PHOSIMDIR)/examples/NAME is filled in"


def test_an_unknown_example_is_told_what_there_is(desk: Desk) -> None:
    assert desk.refused(commands=["$(PHOSIMDIR)/examples/quickbackground"]) == (
        Failure.COMMANDS_INVALID,
        "'commands': release phosim-3.4.2 has no example 'quickbackground'; it has nobackground, star",
    )


def test_commands_of_a_huge_file_are_refused(desk: Desk) -> None:
    (desk.folder / "huge").write_text("# x\n" * 300_000)
    failure, detail = desk.refused(commands=["huge"])
    assert failure is Failure.COMMANDS_INVALID
    assert "larger than 1,000,000 bytes" in detail


@pytest.mark.parametrize("include", ["../outside.txt", "/etc/passwd", "sub/../../outside.txt", ".."])
def test_an_include_cannot_leave_the_catalogs_folder(desk: Desk, include: str) -> None:
    (desk.folder.parent / "outside.txt").write_text(STAR)
    (desk.folder / "sub").mkdir()
    desk.catalog("sky.txt", 4242, f"includeobj {include}\n")
    assert desk.refused()[0] is Failure.PATH_REFUSED


def test_an_include_that_links_outside_is_refused(desk: Desk) -> None:
    (desk.folder.parent / "outside.txt").write_text(STAR)
    (desk.folder / "inside.txt").symlink_to(desk.folder.parent / "outside.txt")
    desk.catalog("sky.txt", 4242, "includeobj inside.txt\n")
    assert desk.refused()[0] is Failure.PATH_REFUSED


@pytest.mark.parametrize(
    ("more", "failure"),
    [
        ("includeobj gone.txt\n", Failure.CATALOG_MISSING),
        ("object 1 2\n", Failure.CATALOG_INVALID),
        ("obshistid 7\n", None),
    ],
)
def test_what_a_catalog_says(desk: Desk, more: str, failure: Failure | None) -> None:
    desk.catalog("sky.txt", 4242, more + STAR)
    if failure is None:
        assert desk.stage()[0].visit == "7"
    else:
        found, detail = desk.refused()
        assert found is failure
        assert "sky.txt:2" in detail


def test_catalogs_that_contradict_each_other(desk: Desk) -> None:
    desk.catalog("b.txt", 4243)
    failure, detail = desk.refused(catalogs=["sky.txt", "b.txt"])
    assert failure is Failure.CATALOG_CONFLICT
    assert "4242" in detail
    assert "4243" in detail


def test_two_visits_with_one_number(desk: Desk) -> None:
    desk.catalog("b.txt", 4243)
    desk.catalog("c.txt", 4242)
    visits: list[dict[str, object]] = [{"catalogs": [name]} for name in ("sky.txt", "b.txt", "c.txt")]
    assert desk.refused(catalogs=None, visits=visits) == (
        Failure.SPEC_INVALID,
        "'visits': 1 and 3 are both obshistid 4242; give each image its own",
    )
    visits[2]["commands"] = [{"inline": "extraid 1"}]
    assert [visit.visit for visit in desk.stage(catalogs=None, visits=visits)] == ["4242", "4243", "42421"]


# -- pinned bytes


def test_pinned_bytes_that_agree(desk: Desk) -> None:
    content = (desk.folder / "sky.txt").read_bytes()
    adler32 = f"{zlib.adler32(content):08X}"
    assert desk.stage(catalogs=[{"url": "sky.txt", "size": len(content), "adler32": adler32}])


@pytest.mark.parametrize(
    ("pin", "words"),
    [
        ({"size": 1}, "bytes, not 1"),
        ({"size": 0}, "bytes, not 0"),
        ({"adler32": "00000001"}, "not 00000001"),
        ({"adler32": "ABCDEF01"}, "not abcdef01"),
    ],
)
def test_pinned_bytes_that_differ(desk: Desk, pin: dict[str, object], words: str) -> None:
    failure, detail = desk.refused(catalogs=[{"url": "sky.txt", **pin}])
    assert failure is Failure.CATALOG_CHANGED
    assert detail.startswith("catalog sky.txt has ")
    assert detail.endswith(words)


# -- what decides the pixels


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"comment": "another look", "attempts": 1, "debug": True, "sensors": "R22_S12", "exposures": [0]}, True),
        ({"commands": [{"inline": "zenith_v 1000"}]}, True),
        ({"commands": [{"inline": "# why\nzenith_v   1000\n\n"}]}, True),
        ({"commands": [{"inline": "zenith_v 999"}]}, False),
        ({"commands": []}, False),
        ({"amplifiers": False}, False),
        ({"catalogs": ["sky.txt", "more.txt"]}, False),
    ],
)
def test_equal_digests_mean_equal_pixels(desk: Desk, changes: dict[str, object], same: bool) -> None:
    desk.catalog("more.txt", 4242)
    base: dict[str, object] = {"commands": ["$(PHOSIMDIR)/examples/nobackground"]}
    digest = desk.stage(**base)[0].digest
    assert (desk.stage(**{**base, **changes})[0].digest == digest) is same


def test_the_digest_knows_the_bytes_of_catalog_and_release(desk: Desk) -> None:
    before = desk.stage()[0].digest
    desk.catalog("sky.txt", 4242, STAR.replace("20", "21", 1))
    changed = desk.stage()[0].digest
    path = desk.release.root / "release.json"
    path.write_text(path.read_text() + "\n")
    desk.release = open_release(desk.release.root)
    assert len({before, changed, desk.stage()[0].digest}) == 3


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("sky.txt", "/base/sky.txt"),
        ("/abs/sky.txt", "/abs/sky.txt"),
        ("file:sky.txt", "/base/sky.txt"),
        ("file:/abs/sky.txt", "/abs/sky.txt"),
        ("file:///abs/a%20b.txt", "/abs/a b.txt"),
        ("a%20b.txt", "/base/a%20b.txt"),
        ("~/sky.txt", "/base/~/sky.txt"),
        ("$(HOME)/sky.txt", "/base/$(HOME)/sky.txt"),
        ("a;touch b.txt", "/base/a;touch b.txt"),
    ],
)
def test_local_places(location: str, path: str) -> None:
    assert local_path(location, Path("/base"), "catalogs") == Path(path)
