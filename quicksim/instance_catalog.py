"""Instance catalogs as PhoSim reads them: loosely.

Rules: a header name is looked for anywhere in a line, and the first of a fixed chain that is found wins, so prefixes
are decoration (`Opsim_`, `SIM_`, `Unrefracted_`) and an object line whose text contains one would be taken for that
header. The last value of a name wins. Whatever else contains `include` or `object` is an include or an object; anything
else is ignored. The release's `default_instcat` is read first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from quicksim.pars import StageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEADER_NAMES = (
    ("obshistid", "obshistid"),
    ("moonra", "moonra"),
    ("moondec", "moondec"),
    ("sunalt", "solaralt"),
    ("moonalt", "moonalt"),
    ("dist2moon", "moondist"),
    ("moonphase", "phaseang"),
    ("mjd", "tai"),
    ("seeing", "constrainseeing"),
    ("rottelpos", "spiderangle"),
    ("Azimuth", "azimuth"),
    ("azimuth", "azimuth"),
    ("Altitude", "altitude"),
    ("altitude", "altitude"),
    ("altvar", "altvar"),
    ("temperature", "temperature"),
    ("tempvar", "tempvar"),
    ("pressure", "pressure"),
    ("pressvar", "pressvar"),
    ("overdepbias", "overdepbias"),
    ("ccdtemp", "ccdtemp"),
    ("actuator", "actuator"),
    ("control", "control"),
    ("rotskypos", "rotationangle"),
    ("Unrefracted_RA", "pointingra"),
    ("rightascension", "pointingra"),
    ("Unrefracted_Dec", "pointingdec"),
    ("declination", "pointingdec"),
    ("SEED", "obsseed"),
    ("seed", "obsseed"),
    ("date", "monthnum"),
    ("filter", "filter"),
    ("VISTIME", "vistime"),
    ("vistime", "vistime"),
    ("CAMCONFIG", "camconfig"),
    ("camconfig", "camconfig"),
    ("TELCONFIG", "telconfig"),
    ("telconfig", "telconfig"),
    ("MINSOURCE", "minsource"),
    ("minsource", "minsource"),
    ("domeint", "domelight"),
    ("domewav", "domewave"),
    ("NSNAP", "nsnap"),
    ("nsnap", "nsnap"),
)
"""The chain: what is looked for in a line, and the key of the .pars files that takes its value."""

WHOLE_LINE_KEYS = ("actuator",)


@dataclass
class InstanceCatalog:
    """What the driver keeps of a catalog: header values by their .pars keys, and includes. Objects are passed on."""

    values: dict[str, str] = field(default_factory=dict)
    includes: list[str] = field(default_factory=list)
    objects: int = 0

    def read(self, path: Path, pass_on: Callable[[str], object]) -> None:
        """Read one file; every object line is given to `pass_on` as it stands."""
        with path.open(encoding="utf-8", errors="replace") as lines:
            found = self._read_lines(lines, path, pass_on)
        if not found:
            raise StageError(f"{path} holds no line that a catalog may have")

    def _read_lines(self, lines: TextIO, path: Path, pass_on: Callable[[str], object]) -> bool:
        found = False
        for number, line in enumerate(lines, start=1):
            key = header_key(line)
            if key is not None:
                self.values[key] = _header_value(key, line, f"{path}:{number}")
            elif "include" in line:
                self.includes.append(_second_word(line, f"{path}:{number}"))
            elif "object" in line:
                pass_on(line if line.endswith("\n") else line + "\n")
                self.objects += 1
            else:
                continue
            found = True
        return found


def header_key(line: str) -> str | None:
    """The .pars key whose header name the line contains, or None."""
    for name, key in HEADER_NAMES:
        if name in line:
            return key
    return None


def _second_word(line: str, place: str) -> str:
    words = line.split()
    if len(words) < 2:
        raise StageError(f"{place}: '{line.strip()}' has no value")
    return words[1]


def _header_value(key: str, line: str, place: str) -> str:
    value = _second_word(line, place)
    if key in WHOLE_LINE_KEYS:
        return " ".join(line.split()[1:])
    if key == "monthnum":
        return _month(value, place)
    return value


def _month(date: str, place: str) -> str:
    """The month of a date `year/month/day/fraction`, the only part of it that is used."""
    parts = date.split("/")
    if len(parts) < 2:
        raise StageError(f"{place}: the date '{date}' is not of the form year/month/day/fraction")
    return parts[1]
