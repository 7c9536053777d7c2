"""From the sky to pixels: a tangent plane, PhoSim's rotation and scale, and a little distortion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quicksim.focal_plane import Device
    from quicksim.pars import Settings

    Floats = NDArray[np.float64]

UM_PER_DEGREE = 179_920.0
"""Scale at the centre of the field. Fitted on real PhoSim output in r and i, with DISTORTION: at most 0.7 pixel rms in
a sensor is left, after one constant shift per sensor."""

DISTORTION = 2.1e-4
"""Growth of the scale with the square of the distance from the axis, per degree squared (same fit)."""

ARCSEC_PER_DEGREE = 3600.0


@dataclass(frozen=True)
class Projection:
    """The pointing of a visit, as the focal plane of one device sees it."""

    ra_deg: float
    dec_deg: float
    rotation_deg: float
    x_um: float
    y_um: float
    pixel_um: float
    columns: int
    rows: int

    @classmethod
    def of(cls, settings: Settings, device: Device) -> Projection:
        """The projection of a visit's pointing onto a device."""
        return cls(
            ra_deg=settings.number("pointingra"),
            dec_deg=settings.number("pointingdec"),
            rotation_deg=settings.number("rotationangle"),
            x_um=device.x_um,
            y_um=device.y_um,
            pixel_um=device.pixel_um,
            columns=device.columns,
            rows=device.rows,
        )

    @property
    def arcsec_per_pixel(self) -> float:
        """Size of a pixel on the sky."""
        return ARCSEC_PER_DEGREE * self.pixel_um / UM_PER_DEGREE

    def rotation(self) -> Floats:
        """The 2 x 2 matrix from sky offsets (east, north) to focal-plane offsets (x, y) of the same length."""
        angle = np.radians(self.rotation_deg)
        return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])

    def pixels(self, ra_deg: Floats, dec_deg: Floats) -> tuple[Floats, Floats]:
        """Columns and rows, 0-based, of positions on the sky; NaN for what is behind the observer."""
        east, north = self._tangent_plane(np.radians(ra_deg), np.radians(dec_deg))
        stretch = UM_PER_DEGREE * (1 + DISTORTION * (east**2 + north**2))
        x_um, y_um = self.rotation() @ np.array([east * stretch, north * stretch])
        return (x_um - self.x_um) / self.pixel_um + self.columns / 2, (y_um - self.y_um) / self.pixel_um + self.rows / 2

    def _tangent_plane(self, ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
        """Degrees east and north of the pointing in the tangent plane."""
        ra_0, dec_0 = np.radians(self.ra_deg), np.radians(self.dec_deg)
        depth = np.sin(dec_0) * np.sin(dec) + np.cos(dec_0) * np.cos(dec) * np.cos(ra - ra_0)
        depth = np.where(depth > 0, depth, np.nan)
        east = np.cos(dec) * np.sin(ra - ra_0) / depth
        north = (np.cos(dec_0) * np.sin(dec) - np.sin(dec_0) * np.cos(dec) * np.cos(ra - ra_0)) / depth
        return np.degrees(east), np.degrees(north)

    def field_angle(self, x: Floats, y: Floats) -> Floats:
        """Degrees from the optical axis of pixel positions."""
        x_um = self.x_um + (x - self.columns / 2) * self.pixel_um
        y_um = self.y_um + (y - self.rows / 2) * self.pixel_um
        return np.asarray(np.hypot(x_um, y_um) / UM_PER_DEGREE)
