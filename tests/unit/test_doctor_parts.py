"""The parts of the doctor: children that can be left behind, which checks there are, what CVMFS says."""

from __future__ import annotations

import os
import signal
import tarfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from site_configs.schema import Cvmfs, Endpoint, Site, Storage
from transformation.doctor.command import NAMES, all_checks
from transformation.doctor.cvmfs import parse_manifest
from transformation.doctor.examine import examine
from transformation.doctor.reading import Case, Check, Checked, Reading, Verdict, ok

pytestmark = [
    pytest.mark.allow_processes,
    # pytest-xdist has threads; the doctor has none.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]
REPOSITORY = Path(__file__).parents[3] / "shared/data/cvmfs_test_repo/test-repo.tar.gz"


def look_with(*looks: Callable[[Case], Reading], limit_s: float = 20.0, subject: str = "") -> list[Checked]:
    checks = [Check(name=f"check-{n}", subject=subject, look=look, limit_s=limit_s) for n, look in enumerate(looks)]

    def case_of(check: Check, note: Callable[[str], None]) -> Case:
        return Case(
            site=Site(name="x"),
            file=Path("x.toml"),
            gaps=(),
            subject=check.subject,
            workdir=Path(),
            short=False,
            note=note,
        )

    return examine(checks, case_of)


def stuck(case: Case) -> Reading:
    """Ends at nothing but SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    case.note("half done")
    while True:
        time.sleep(10)


def test_a_check_that_hangs_is_left_behind() -> None:
    hung, good = look_with(stuck, lambda case: ok("fine", figure=3), limit_s=0.5)
    assert (hung.verdict, good.verdict) == (Verdict.BAD, Verdict.OK)
    assert hung.found.startswith("no answer in ")
    assert hung.found.endswith("last: half done")
    assert hung.action
    assert good.facts == {"figure": 3}


def test_which_of_several_hangs_is_said() -> None:
    (hung,) = look_with(stuck, limit_s=0.1, subject="root://door//store")
    assert "(root://door//store); last: half done" in hung.found


def test_a_check_that_dies_or_has_a_bug() -> None:
    dead, wrong = look_with(lambda case: os._exit(7), lambda case: ok(str(1 // 0)))
    assert dead.found == "ended without an answer"
    assert "ZeroDivisionError" in wrong.found
    assert {dead.verdict, wrong.verdict} == {Verdict.BAD}


def test_a_check_holds_nobodys_output_open() -> None:
    (found,) = look_with(
        lambda case: ok(" ".join(str(Path(f"/proc/self/fd/{number}").readlink()) for number in range(3)))
    )
    assert found.found == "/dev/null /dev/null /dev/null"


def test_a_long_answer_comes_whole() -> None:
    (found,) = look_with(lambda case: ok("x" * 1_000_000))
    assert len(found.found) == 1_000_000


def test_which_checks_there_are() -> None:
    site = Site(
        name="x",
        cvmfs=Cvmfs(repositories=["a.org", "b.org"]),
        storage=Storage(endpoints=[Endpoint(url="root://h//x", credential="token"), Endpoint(url="/y")]),
    )
    checks = all_checks(site, Path("/w"), short=False)
    found = [(one.name, one.subject) for one in checks]
    assert list(dict.fromkeys(name for name, _ in found)) == list(NAMES)
    assert [subject for name, subject in found if name == "cvmfs"] == ["a.org", "b.org"]
    assert [subject for name, subject in found if name == "credential"] == ["token"]
    assert [subject for name, subject in found if name == "storage"] == ["root://h//x", "/y"]
    assert max(one.limit_s for one in checks) < 60
    assert max(one.limit_s for one in all_checks(site, Path("/w"), short=True)) < 10


def test_the_manifest_of_a_real_repository() -> None:
    if not REPOSITORY.exists():
        pytest.skip(f"{REPOSITORY} is not here")
    with tarfile.open(REPOSITORY) as archive:
        names = [name for name in archive.getnames() if name.endswith("/.cvmfspublished")]
        content = archive.extractfile(names[0])
        assert content is not None
        published = parse_manifest(content.read())
    assert published.revision > 1
    assert datetime.fromtimestamp(published.published_s, UTC).year == 2026


@pytest.mark.parametrize("text", [b"", b"S12\n--\n", b"S1x\nT5\n--\n", b"S1\n--\nT5\n"])
def test_what_is_no_manifest(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"no field|invalid literal"):
        parse_manifest(text)
