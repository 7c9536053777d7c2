"""One visit as the driver sees it: its names, and the text of every `.pars` file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quicksim.focal_plane import Device, read_layout, selected_devices
from quicksim.pars import Settings, StageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OBSERVATION_KEYS = (
    *("obshistid", "moonra", "moondec", "solaralt", "moonalt", "moondist", "phaseang", "tai", "constrainseeing"),
    *("spiderangle", "azimuth", "altitude", "altvar", "temperature", "tempvar", "pressure", "pressvar", "overdepbias"),
    *("ccdtemp", "actuator", "control", "rotationangle", "pointingra", "pointingdec", "obsseed", "monthnum", "filter"),
    *("vistime", "camconfig"),
)
"""The lines that every .pars file begins with, in PhoSim's order; then the folders, then the instrument's state."""

STATE_KEYS = ("telconfig", "minsource", "domelight", "domewave")

GROUP_OF_CHIPS = 9
"""One trim looks after this many consecutive sensors."""

LARGEST_ID = 2**31 - 1


@dataclass(frozen=True)
class Folders:
    """Where a run reads and writes; all absolute."""

    install: Path
    work: Path
    output: Path
    bin: Path
    data: Path
    seds: Path
    images: Path
    instrument: Path


@dataclass(frozen=True)
class Unit:
    """One image to make: a sensor and an exposure."""

    device: Device
    exposure: int

    @property
    def name(self) -> str:
        """As in file names: R22_S11_E000."""
        return f"{self.device.name}_E{self.exposure:03d}"


@dataclass(frozen=True)
class Visit:
    """A visit: header values by their .pars key, the lines of the command file, the sensors asked for."""

    values: dict[str, str]
    commands: list[str]
    folders: Folders
    wanted: frozenset[str] | None
    """Names of sensors; None is all."""

    threads: int

    @property
    def number(self) -> str:
        """The visit's id in all file names: obshistid, with `extraid` of the command file behind it."""
        return self.values["obshistid"] + self.command("extraid")

    @property
    def filter(self) -> int:
        """0 to 5 for u g r i z y."""
        return self._whole("filter")

    @property
    def nsnap(self) -> int:
        """Exposures of a CCD."""
        return self._whole("nsnap")

    @property
    def minsource(self) -> int:
        """How many sources a sensor must have to be simulated, as PhoSim counts them."""
        return self._whole("minsource")

    def _whole(self, key: str) -> int:
        return Settings([f"{key} {self.values[key]}"]).integer(key)

    def command(self, key: str) -> str:
        """The value of a key that the driver itself looks for in the command file; empty without."""
        return Settings(self.commands).text(key, "")

    def check(self) -> None:
        """Refuse a visit id that the stages could not turn into the same file names again."""
        if not re.fullmatch(r"[1-9][0-9]*", self.number) or int(self.number) > LARGEST_ID:
            raise StageError(
                f"obshistid '{self.number}' is not a whole number from 1 to {LARGEST_ID} without leading zeros"
            )
        for key in ("filter", "nsnap", "camconfig", "minsource", "vistime"):
            self._whole(key)

    def devices(self) -> list[Device]:
        """The sensors that `camconfig` selects, whether wanted or not."""
        return selected_devices(read_layout(self.folders.instrument), self._whole("camconfig"))

    def chip_groups(self) -> Iterator[tuple[int, list[Device], list[Device]]]:
        """The trims to do: number, its sensors, and those of them that are wanted (at least one)."""
        devices = self.devices()
        for number, first in enumerate(range(0, len(devices), GROUP_OF_CHIPS)):
            group = devices[first : first + GROUP_OF_CHIPS]
            wanted = [device for device in group if self.wanted is None or device.name in self.wanted]
            if wanted:
                yield number, group, wanted

    def exposures(self, device: Device) -> list[Unit]:
        """The images to make of one sensor."""
        return [Unit(device, number) for number in range(device.exposures(self.nsnap, float(self.values["vistime"])))]

    # The text of the .pars files -------------------------------------------------------------------------------------

    def observation_pars(self) -> str:
        """What every stage is told."""
        values = {**self.values, "obshistid": self.number, "vistime": f"{float(self.values['vistime']):g}"}
        folders = self.folders
        lines = [f"{key} {values[key]}" for key in OBSERVATION_KEYS]
        lines += [f"seddir {folders.seds}", f"imagedir {folders.images}", f"datadir {folders.data}"]
        lines += [f"instrdir {folders.instrument}", f"bindir {folders.bin}"]
        lines += [f"{key} {values[key]}" for key in STATE_KEYS]
        return "\n".join(lines) + "\n"

    def command_pars(self) -> str:
        """The command file, line by line."""
        return "".join(line + "\n" for line in self.commands)

    def trim_pars(self, devices: list[Device], catalogs: str) -> str:
        """What the trim of one group is told."""
        chips = "".join(f"chipid {number} {device.name}\n" for number, device in enumerate(devices))
        return chips + self.observation_pars() + catalogs

    def unit_pars(self, unit: Unit) -> str:
        """Which image is to be made."""
        threads = f"thread {self.threads}\n" if self.threads > 1 else ""
        return f"{threads}chipid {unit.device.name}\nexposureid {unit.exposure}\nnsnap {self.nsnap}\n"

    def raytrace_pars(self, unit: Unit) -> str:
        """What raytrace is told, but for the objects: visit, atmosphere, optics and chip, image, commands."""
        work, number = self.folders.work, self.number
        parts = [
            self.observation_pars(),
            (work / f"atmosphere_{number}.pars").read_text(encoding="ascii"),
            (work / f"optics_{number}.pars").read_text(encoding="ascii"),
            (work / f"chip_{number}_{unit.device.name}.pars").read_text(encoding="ascii"),
            self.unit_pars(unit),
            self.command_pars(),
        ]
        return "".join(parts)

    def e2adc_pars(self, unit: Unit) -> str:
        """What e2adc is told: the visit, the chip's electronics, the image."""
        readout = self.folders.work / f"readout_{self.number}_{unit.device.name}.pars"
        return self.observation_pars() + readout.read_text(encoding="ascii") + self.unit_pars(unit)

    # File names ------------------------------------------------------------------------------------------------------

    @property
    def prefix(self) -> str:
        """What image names begin with: the instrument's name."""
        return self.folders.instrument.name

    def unit_id(self, unit: Unit) -> str:
        """As in the names of .pars files: OBS_SENSOR_Eeee."""
        return f"{self.number}_{unit.name}"

    def image_name(self, unit: Unit) -> str:
        """The e-image, without its extension."""
        return f"{self.prefix}_e_{self.number}_f{self.filter}_{unit.name}"

    def amplifier_name(self, unit: Unit, amplifier: str) -> str:
        """An amplifier image; `amplifier` is a full name such as R22_S11_C00."""
        return f"{self.prefix}_a_{self.number}_f{self.filter}_{amplifier}_E{unit.exposure:03d}.fits.gz"
