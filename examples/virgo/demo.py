"""The demo: simulate the core of the Virgo cluster, then show what was made and where it is.

`make demo` runs this. All it writes, and all it removes from an earlier demo, is `demo-output/`.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from submitter.picture import Label, draw_mosaic

ROOT = Path(__file__).resolve().parents[2]
HERE = Path("examples/virgo")
OUTPUT = Path("demo-output")
BANDS = "ugrizy"
FAINTEST_LABEL = 15.0


def main() -> int:
    """Run the job, draw its images; the job's exit code."""
    shutil.rmtree(ROOT / OUTPUT, ignore_errors=True)
    command = [str(Path(sys.executable).with_name("lsst-trf")), "run", "--job", str(HERE / "job.json")]
    code = subprocess.run([*command, "--site", "local", "--workdir", str(OUTPUT)], cwd=ROOT, check=False).returncode
    if code:
        return code
    report = json.loads((ROOT / OUTPUT / "jobReport.json").read_bytes())
    print("\ndrawing the picture ...", flush=True)
    draw_picture(report, ROOT / OUTPUT / "preview.png")
    print(f"""
images   {OUTPUT / "store" / report["user"] / report["name"]}
dataset  {describe_dataset(Path(report["catalog"]), report["visits"][0]["dataset"])}
report   {OUTPUT / "jobReport.json"}, events in {OUTPUT / "journal.jsonl"}
picture  {OUTPUT / "preview.png"}""")
    return 0


def draw_picture(report: dict[str, Any], picture: Path) -> None:
    """A mosaic of all e-images of the job."""
    from astropy.io import fits

    files = [file for unit in report["units"] for file in unit["files"] if file["role"] == "electron_image"]
    images = [Path(file["url"].removeprefix("file://")) for file in files]
    sensors = sorted({unit["sensor"] for unit in report["units"]})
    exposures = len({unit["exposure"] for unit in report["units"]})
    header = fits.getheader(images[0])
    caption = (
        f"The core of the Virgo cluster, simulated with {report['release']['name']}\n"
        f"job {report['name']}, visit {header['OBSID']}, filter {BANDS[header['FILTNM']]},"
        f" {exposures} exposures of {header['EXPTIME']:.0f} s, sensors {' and '.join(sensors)}"
    )
    draw_mosaic(images, caption, labels=bright_galaxies(ROOT / HERE / "virgo.txt")).save(picture, optimize=True)


def bright_galaxies(catalog: Path) -> list[Label]:
    """Names of the catalog's bright galaxies: the comment in front of each, a Messier number if there is one."""
    labels = []
    lines = catalog.read_text(encoding="ascii").splitlines()
    for comment, line in pairwise(lines):
        words = line.split()
        if comment.startswith("# ") and "sersic2d" in words and float(words[4]) < FAINTEST_LABEL:
            kind, number = re.findall(r"([A-Z]+)0*(\d+)", comment)[-1]
            name = f"M{number}" if kind == "M" else f"{kind} {number}"
            labels.append(Label(text=name, ra_deg=float(words[2]), dec_deg=float(words[3])))
    return labels


def describe_dataset(catalog: Path, dataset: str) -> str:
    """What the catalog of images has under the dataset's name."""
    with sqlite3.connect(catalog) as connection:
        count, size_bytes = connection.execute(
            "SELECT count(*), sum(size_bytes) FROM file JOIN dataset ON dataset.id = dataset WHERE dataset.name = ?",
            (dataset,),
        ).fetchone()
    return f"{dataset}: {count} files, {size_bytes / 1e6:.1f} MB, in {OUTPUT / 'store' / catalog.name}"


if __name__ == "__main__":
    sys.exit(main())
