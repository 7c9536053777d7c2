"""What the instance catalogs of one visit say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from transformation.instance_catalog.places import Places


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceCatalog:
    """One visit, validated. Header names are PhoSim's short ones, values their text in plain form.

    A dataclass: structs cannot leave a field out of comparisons.
    """

    header: Mapping[str, str]
    """Every key with a value, the release's defaults included."""
    given: Mapping[str, str]
    """Only what the catalogs themselves say."""
    n_objects: int
    sha256: tuple[str, ...]
    """Of each file as it lies on disk, in order; includes come after the catalog that names them."""
    size_bytes: int
    """Of all files as they lie on disk."""
    places: Places = field(default_factory=Places, compare=False)
    """Where the objects stand in these files."""
    warnings: tuple[str, ...]
    """One line each: accepted, but worth telling the user."""

    @property
    def obshistid(self) -> int:
        """The visit's number, without the `extraid` of the physics commands."""
        return int(self.header["obshistid"])

    @property
    def filter(self) -> int:
        """0 to 5 for u, g, r, i, z, y."""
        return int(self.header["filter"])

    @property
    def seed(self) -> int:
        """Of the first snap; each further one adds 1."""
        return int(self.header["seed"])

    @property
    def nsnap(self) -> int:
        """Exposures of the visit."""
        return int(self.header["nsnap"])

    @property
    def vistime_s(self) -> float:
        """Duration of the visit, the read-outs between its snaps included."""
        return float(self.header["vistime"])

    @property
    def minsource(self) -> int:
        """Sensors with fewer objects are not simulated."""
        return int(self.header["minsource"])

    @property
    def camconfig(self) -> int:
        """Bit mask: 1 science, 2 wavefront, 4 guiders; 0 is all."""
        return int(self.header["camconfig"])

    @property
    def telconfig(self) -> int:
        """0 sky, 1 dome closed, 2 and 3 dome light."""
        return int(self.header["telconfig"])

    @property
    def ra_deg(self) -> float:
        """Right ascension of the boresight."""
        return float(self.header["rightascension"])

    @property
    def dec_deg(self) -> float:
        """Declination of the boresight."""
        return float(self.header["declination"])

    @property
    def rotskypos_deg(self) -> float:
        """Angle of the sky on the camera."""
        return float(self.header["rotskypos"])

    @property
    def seeing_arcsec(self) -> float:
        """At 500 nm and zenith; 0 is no turbulence (PhoSim 3.4), -1 is drawn at random (5/6)."""
        return float(self.header["seeing"])


ESSENTIAL_KEYS = (
    "obshistid",
    "filter",
    "seed",
    "nsnap",
    "vistime",
    "minsource",
    "camconfig",
    "telconfig",
    "rightascension",
    "declination",
    "rotskypos",
    "seeing",
)
"""What the properties above rest on: given by the catalog or by the release."""
