"""From a job that ran here to its files in a folder."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.whole_job.iod import Iod


def test_a_job_is_listed_and_fetched(iod: Iod) -> None:
    name = iod.submit("--exposures", "0,1")["name"]
    status = iod.wait(name)
    assert status["state"] == "done"
    listed = iod.json("ls", name)
    (dataset,) = listed["datasets"]
    assert (dataset["name"], dataset["n_files"]) == (f"{name}/v4242", len(listed["files"]))
    assert {file["role"] for file in listed["files"]} >= {"electron_image"}
    plain = iod.run("ls", name, "*E001*").stdout
    assert "_E001" in plain
    assert "_E000" not in plain

    said = iod.run("fetch", name, "lsst_e_*", "--to", "mine").stdout.splitlines()
    assert said[0].startswith("2/2 files")
    assert said[-1].startswith("2 files (")
    images = sorted(Path(status["output"]).glob("v4242/lsst_e_*"))
    fetched = sorted((iod.bench.folder / "mine").rglob("*.gz"))
    assert [path.relative_to(iod.bench.folder / "mine") for path in fetched] == [
        Path("v4242") / path.name for path in images
    ]
    assert [path.read_bytes() for path in fetched] == [path.read_bytes() for path in images]
    report = iod.json("fetch", name, "--to", "mine")
    assert (report["kept"], report["failed"], report["fetched"]) == (2, 0, len(listed["files"]) - 2)

    (iod.bench.folder / "mine/v4242" / images[0].name).unlink()
    images[0].write_bytes(b"")
    broken = iod.json("fetch", name, "--to", "mine", code=105)
    assert [file["name"] for file in broken["files"] if file["state"] == "failed"] == [images[0].name]
    assert "FETCH_INCOMPLETE" in iod.run("fetch", name, "--to", "mine", code=105).stderr
    assert iod.json("fetch", name, "../*", code=10)["error"]["name"] == "USAGE"
    assert iod.json("fetch", name, "R99", code=106)["error"]["name"] == "NOTHING_FITS"


def test_pictures_of_a_job(iod: Iod) -> None:
    name = iod.submit("--sensors", "R22_S1[12]")["name"]
    assert iod.wait(name)["state"] == "done"
    seen = iod.json("view", name, "all", "--out", "plane.png", "--width", "500")
    assert (seen["path"], len(seen["images"])) == (str(iod.bench.folder / "plane.png"), 2 - n_empty(iod, name))
    with Image.open(seen["path"]) as picture:
        assert picture.format == "PNG"
        assert picture.width <= 560
    said = iod.run("view", name, "v4242-R22_S11-E000", "--stretch", "linear", "--white", "20").stdout
    assert f"{name}-v4242-R22_S11-E000.png (1 image)" in said
    assert iod.json("view", name, "R9", code=10)["error"]["name"] == "USAGE"


def n_empty(iod: Iod, name: str) -> int:
    """Sensors without objects, which have no image."""
    return int(iod.json("status", name)["counts"]["empty"])
