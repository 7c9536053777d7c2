"""The focal plane as it is known without a release, and as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from site_configs.load import load_site
from submitter.camera import lsst_sensors, open_camera
from submitter.focal_picture import focal_plane_rows
from tests.unit.samples import focal_plane
from transformation.model.failures import Failure, JobError

DEVICES = [sensor.name for sensor in lsst_sensors()]


def test_the_camera_is_that_of_every_release() -> None:
    for known, told in zip(lsst_sensors(), focal_plane(), strict=True):
        for name in ("name", "x_um", "y_um", "pixel_um", "nx", "ny", "group", "is_cmos", "frame_s", "amplifiers"):
            assert getattr(known, name) == getattr(told, name), (told.name, name)


def test_a_release_that_cannot_be_seen_is_no_obstacle_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IOD_RELEASES", str(tmp_path))
    site = load_site("local")
    camera = open_camera("phosim-3.4.2", site, runs_here=False)
    assert camera.root is None
    assert (camera.facts.simulator, camera.facts.version, camera.model.name) == ("phosim", "3.4.2", "phosim-3")
    with pytest.raises(JobError) as caught:
        open_camera("phosim-3.4.2", site, runs_here=True)
    assert caught.value.failed.failure is Failure.RELEASE_UNKNOWN


def test_the_picture_has_the_camera_s_outline() -> None:
    rows = focal_plane_rows(DEVICES, set())
    assert len(rows) == 15
    assert rows[0] == "       . . .  . . .  . . ."
    assert rows[7] == "  ".join([". . ."] * 5)


def test_x_grows_to_the_left_and_y_upwards() -> None:
    rows = focal_plane_rows(DEVICES, {"R10_S00", "R34_S22"})
    assert rows[-1].index("#") == len("xxx  xxx  xxx  ".replace("xxx", ". . .")) + 4
    assert rows[0].index("#") == 7


def test_the_boldest_mark_wins_where_halves_share_a_place() -> None:
    rows = focal_plane_rows(DEVICES, {"R00_S22_C0", "R22_S11"}, empty={"R22_S11"})
    text = "\n".join(rows)
    assert (text.count("#"), text.count("o")) == (1, 1)
