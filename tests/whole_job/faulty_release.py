"""Releases with a scripted fault: a stage is replaced by a shell script around the original.

The script finds `real` (a function that runs the original), `$attempt` (`attempt-2`; for steps of the visit the number
of this start), `$unit` (`v4242-R22_S11-E000`), `$notes` (a folder of the test), and `doctor` (see `doctor_image`).
Each start is written to `$notes/<stage>.starts` first.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

DRIVER = "phosim.py"
_OF_UNITS = {"raytrace", "e2adc"}

_SCRIPT = """\
#!/bin/sh
notes={notes} arguments="$*"
real() {{ {real} $arguments; }}
doctor() {{ {python} {doctor} "$@"; }}
{facts}
{script}
"""

_FACTS_OF_UNIT = """\
unit=${{PWD%/work}}
attempt=${{unit##*/}} unit=${{unit%/*}}
unit=${{unit##*/}}
echo "$unit/$attempt" >> "$notes/{stage}.starts"
"""

_FACTS_OF_VISIT = """\
echo start >> "$notes/{stage}.starts"
attempt=attempt-$(wc -l < "$notes/{stage}.starts")
"""

_DRIVER = """\
import os, sys
os.execv("/bin/sh", ["sh", {script!r}, *sys.argv[1:]])
"""


def copy_release(original: Path, folder: Path) -> Path:
    """A copy to break: hard links where possible, so it costs nothing."""
    shutil.copytree(original, folder, copy_function=_link_or_copy)
    return folder


def break_stage(release: Path, stage: str, script: str, notes: Path) -> None:
    """Put the script in the place of `bin/<stage>`, or of `phosim.py`."""
    if stage == DRIVER:
        original, place = release / "phosim_real.py", release / "phosim.sh"
        real = f'"$QUICKSIM_PYTHON" {shlex.quote(str(original))}'
        (release / DRIVER).rename(original)
        (release / DRIVER).write_text(_DRIVER.format(script=str(place)))
    else:
        original, place = release / "bin" / f"{stage}.real", release / "bin" / stage
        real = shlex.quote(str(original))
        place.rename(original)
    facts = (_FACTS_OF_UNIT if stage in _OF_UNITS else _FACTS_OF_VISIT).format(stage=stage)
    text = _SCRIPT.format(
        notes=shlex.quote(str(notes)),
        real=real,
        python=shlex.quote(sys.executable),
        doctor=shlex.quote(str(Path(__file__).with_name("doctor_image.py"))),
        facts=facts,
        script=script,
    )
    place.write_text(text)
    place.chmod(0o755)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
