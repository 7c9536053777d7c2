"""Small decisions around destinations: room, credentials, what rests, what is kept, what is recorded."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from site_configs.schema import Endpoint, Site
from site_configs.schema import Storage as SiteStorage
from tests.unit.commit_world import DIGEST, OTHER_DIGEST, UNIT, made_files
from tests.unit.destination_world import Destinations
from transformation import kept as kept_module
from transformation.bases import endpoint_of, output_bases
from transformation.doorkeeper import Doorkeeper, check_user
from transformation.journal import Journal
from transformation.kept import Kept, find_kept, forget_kept, keep
from transformation.ledger import Ledger
from transformation.model.failures import Failed, Failure, JobError
from transformation.model.manifest import Measured
from transformation.model.spec import parse_spec
from transformation.outcomes import Transfer
from transformation.ports import Retry
from transformation.room import Room, check_room
from transformation.targets import REST_S, Target, Targets, worst
from transformation.transfers import TransferLog

UNREACHABLE = Failed(failure=Failure.STORAGE_UNREACHABLE, detail="no answer")
DENIED = Failed(failure=Failure.STORAGE_DENIED, detail="no")


def everywhere(number: int, operation: str) -> bool:
    return True


# -- room


@pytest.mark.parametrize(
    ("free", "needed", "largest", "passed_over", "fails", "n_warnings"),
    [
        ([1000], 1000, 100, [False], False, 0),
        ([1000], 1001, 100, [False], True, 0),
        ([None], 1001, 100, [False], False, 1),
        ([50, 1000], 1000, 100, [True, False], False, 0),
        ([50, 99], 100, 100, [True, True], True, 0),
        ([600, 600], 1000, 100, [False, False], False, 1),
        ([600, 300], 1000, 100, [False, False], True, 0),
        ([50, None], 1000, 100, [True, False], False, 1),
        ([0], 0, 0, [False], False, 0),
    ],
)
def test_room(
    free: list[int | None], needed: int, largest: int, passed_over: list[bool], fails: bool, n_warnings: int
) -> None:
    rooms = [Room(address=f"store{number}", free_bytes=one) for number, one in enumerate(free)]
    found = check_room(rooms, needed_bytes=needed, largest_bytes=largest)
    assert [one is not None for one in found.full] == passed_over
    assert (found.failed is not None) == fails
    assert len(found.warnings) == n_warnings
    assert all(one is None or one.failure is Failure.STORAGE_FULL for one in (*found.full, found.failed))


# -- what rests


def test_what_failed_rests_for_a_while(tmp_path: Path) -> None:
    now = [0.0]
    world = Destinations(3, tmp_path)
    targets = Targets(world.targets(everywhere).all, clock=lambda: now[0])
    first, second, third = targets.all
    targets.leave(first, UNREACHABLE)
    assert targets.in_order() == [second, third, first]
    assert targets.storage_of(second) is second.hasty
    targets.leave(third, DENIED)
    assert targets.in_order() == [second, first, third]
    assert targets.storage_of(second) is second.storage, "nobody is left to go to"
    now[0] = REST_S + 1
    assert targets.in_order() == [first, second, third]
    report = targets.report(first)
    assert (report.failure, report.detail, report.n_failures) == ("STORAGE_UNREACHABLE", "no answer", 1)


def test_the_problem_that_can_pass_speaks() -> None:
    assert worst([DENIED, UNREACHABLE]) == UNREACHABLE
    assert worst([DENIED]) == DENIED


# -- credentials


def shown(place: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, expires_s: float) -> Target:
    (tmp_path / "keytab").write_text(f"0 u:tonyj c:1 e:{expires_s:.0f} k:00\n")
    monkeypatch.setenv("XrdSecSSSKT", str(tmp_path / "keytab"))
    return replace(place, place=replace(place.place, base="root://h//s"), credential="sss")


@pytest.mark.parametrize(
    ("left_s", "needed_s", "late"),
    [(3600.0, 10.0, False), (3600.0, 4000.0, True), (-5.0, 0.0, True), (90.0, 60.0, True)],
)
def test_a_unit_that_would_outlive_the_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_s: float, needed_s: float, late: bool
) -> None:
    now = time.time()
    target = shown(Destinations(1, tmp_path).targets(everywhere).all[0], tmp_path, monkeypatch, expires_s=now + left_s)
    failed = Doorkeeper([target], clock=lambda: now).too_late("u", needed_s=needed_s, size_bytes=10)
    assert (failed is not None) == late
    assert failed is None or failed.failure is Failure.CREDENTIAL_EXPIRED
    other = replace(target, credential="none")
    assert Doorkeeper([target, other], clock=lambda: now).too_late("u", needed_s=needed_s, size_bytes=10) is None


def test_a_refusal_after_the_end_is_that_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = shown(Destinations(1, tmp_path).targets(everywhere).all[0], tmp_path, monkeypatch, expires_s=1000)
    before, after = (Doorkeeper([target], clock=clock) for clock in (lambda: 999.0, lambda: 1001.0))
    assert before.explain(target, DENIED) == DENIED
    assert after.explain(target, DENIED).failure is Failure.CREDENTIAL_EXPIRED
    assert after.explain(target, UNREACHABLE) == UNREACHABLE
    assert "of tonyj" in after.describe(target)


def test_another_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(JobError, match="has none") as caught:
        check_user("tonyj", [], "subject")
    assert caught.value.failed.failure is Failure.USER_REFUSED
    check_user("tonyj", [], "none")


# -- which destinations


def test_which_destinations(tmp_path: Path) -> None:
    def of(output: str, **storage: object) -> list[str]:
        spec = f'{{"schema_version":1,"name":"n","user":"u","sensors":"R22_S11","catalogs":["c"],"output":{output}}}'
        site = Site(name="s", storage=SiteStorage(**storage))  # type: ignore[arg-type]
        return output_bases(parse_spec(spec.encode()), site, str(tmp_path), tmp_path / "work")

    endpoints = [Endpoint(url="root://r//s", use=["read"]), Endpoint(url="root://w//s")]
    assert of("{}") == [str(tmp_path / "work")]
    assert of("{}", endpoints=endpoints) == ["root://w//s"]
    assert of("{}", bases=["/b"], endpoints=endpoints) == ["/b"]
    assert of('{"base":["out","root://h//x","out"]}', bases=["/b"]) == [str(tmp_path / "out"), "root://h//x"]
    for bad in ("s3://bucket/x", "rucio:user.tonyj:x"):
        with pytest.raises(JobError):
            of(f'{{"base":["{bad}"]}}')


def test_what_the_site_says_of_a_base() -> None:
    near, far = Endpoint(url="root://h:1//a/b", credential="sss"), Endpoint(url="root://h:1//a")
    site = Site(name="s", storage=SiteStorage(endpoints=[far, near]))
    found = [
        endpoint_of(site, base) for base in ("root://h:1//a/b/c", "root://h:1//a/x", "root://h:1//z", "root://o//a")
    ]
    assert found == [near, far, far, None]
    assert endpoint_of(site, "/a/b") is None


# -- images that could not be stored


@pytest.fixture
def made(tmp_path: Path) -> Kept:
    (tmp_path / "attempt").mkdir()
    files = tuple(made_files(tmp_path / "attempt", "a"))
    return Kept(files=files, attempt=2, notes=("odd",), measured=Measured(wall_s=1.5))


def test_kept_images_come_back_as_they_were(tmp_path: Path, made: Kept) -> None:
    folder = keep(tmp_path, UNIT, made, digest=DIGEST)
    assert folder == tmp_path / "kept" / UNIT.id
    assert list((tmp_path / "attempt").iterdir()) == []
    again = find_kept(tmp_path, UNIT, digest=DIGEST)
    assert again is not None
    assert [file.path for file in again.files] == [folder / file.name for file in made.files]
    moved = tuple(replace(file, path=again.files[number].path) for number, file in enumerate(made.files))
    assert again == replace(made, files=moved)
    assert keep(tmp_path, UNIT, again, digest=DIGEST) == folder
    forget_kept(tmp_path, UNIT)
    assert find_kept(tmp_path, UNIT, digest=DIGEST) is None
    assert not (tmp_path / "kept").exists()


def spoil(folder: Path) -> None:
    next(folder.glob("*.fits.gz")).write_bytes(b"other bytes, other size")


def lose(folder: Path) -> None:
    next(folder.glob("*.fits.gz")).unlink()


def cut(folder: Path) -> None:
    (folder / "kept.json").write_bytes((folder / "kept.json").read_bytes()[:50])


def link(folder: Path) -> None:
    image = next(folder.glob("*.fits.gz"))
    image.rename(folder.parent / "elsewhere")
    image.symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize("damage", [spoil, lose, cut, link])
def test_kept_images_that_are_not_as_judged_do_not_count(
    tmp_path: Path, made: Kept, damage: Callable[[Path], None]
) -> None:
    folder = keep(tmp_path, UNIT, made, digest=DIGEST)
    assert folder is not None
    damage(folder)
    assert find_kept(tmp_path, UNIT, digest=DIGEST) is None


def test_kept_images_of_another_request_do_not_count(tmp_path: Path, made: Kept) -> None:
    keep(tmp_path, UNIT, made, digest=DIGEST)
    assert find_kept(tmp_path, UNIT, digest=OTHER_DIGEST) is None


def test_nothing_is_kept_on_a_full_disk(tmp_path: Path, made: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_module, "free_bytes", lambda folder: 10**9)
    assert keep(tmp_path, UNIT, made, digest=DIGEST) is None
    assert all(file.path.exists() for file in made.files)


# -- transfers


def test_every_try_is_on_record(tmp_path: Path) -> None:
    ledger = Ledger(Journal(tmp_path / "journal.jsonl", "run"), lambda event, unit: None)
    ledger.plan([UNIT])
    log = TransferLog(ledger, Journal(tmp_path / "journal.jsonl", "run"))
    first, second = (Transfer(name="f", url=f"root://{host}//x", size_bytes=1000, wall_s=2.0) for host in "ab")
    log.retried(Retry(operation="put", url=first.url, tried=1, wait_s=0.5, problem="timed out"))
    log.retried(Retry(operation="stat", url=first.url, tried=1, wait_s=0.5, problem="timed out"))
    log.sent(UNIT, replace(first, failed=UNREACHABLE))
    log.sent(UNIT, second)
    (unit,) = ledger.units()
    told = [(one.number, one.outcome, one.url, one.detail) for one in unit.transfers]
    assert told == [
        (1, "retried", first.url, "timed out"),
        (2, "STORAGE_UNREACHABLE", first.url, "no answer"),
        (3, "good", second.url, ""),
    ]
    good = unit.transfers[2]
    assert (good.size, good.wall_s) == (1000, pytest.approx(2.0, abs=0.1))
    assert good.bytes_per_s == pytest.approx(1000 / good.wall_s, rel=0.01)
    assert [one.bytes_per_s for one in unit.transfers[:2]] == [0.0, 0.0]
    assert not math.isnan(sum(one.wall_s for one in unit.transfers))
    lines = (tmp_path / "journal.jsonl").read_text().splitlines()
    events = [line.partition('"event":"')[2].partition('"')[0] for line in lines]
    assert events == ["storage_retry", "storage_retry", "transfer", "transfer", "transfer"]
