"""What simulators cost, as numbers: CPU-seconds for each unit of each term that `predict` counts. Data only.

A rate is (low, mid, high). CPU-seconds are those of the reference core: one of the two shared cores of the machine on
which both simulators were measured; a site file's `worker.core_speed` says how others compare.
`docs/how-to/refit-the-prediction.md` says how to renew these numbers from job reports.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

Rate = tuple[float, float, float]


class CostModel(msgspec.Struct, frozen=True, kw_only=True):
    """One simulator family."""

    name: str
    unit_rates: Mapping[str, Rate]
    """CPU-seconds of a unit's processes for each unit of a term; terms that are not named cost nothing."""
    visit_rates: Mapping[str, Rate]
    """Likewise of a visit's set-up and trimming."""
    drawn_point_electrons: float = math.inf
    """A brighter point is drawn as a profile, not photon by photon."""
    drawn_galaxy_electrons: float = math.inf
    """Likewise a brighter extended object."""
    saturated_electrons: float = math.inf
    """A brighter point fills the wells of its pixels: what it costs beyond this is uncertain."""
    most_objects: int
    """Objects of one sensor that the simulator can hold."""
    memory_bytes_per_object: float
    """Beyond the release's `memory_bytes`."""
    memory_bytes_per_galaxy_mpixel: float = 0.0
    """Likewise, for the largest galaxy that is drawn."""


def _within(factor: float, **mids: float) -> dict[str, Rate]:
    """Rates known within a factor each way."""
    return {term: (mid / factor, mid, mid * factor) for term, mid in mids.items()}


PHOSIM_3 = CostModel(
    name="phosim-3",
    unit_rates={
        # Measured, v3.4-47, two runs: a raytrace takes 30 CPU-s and an e2adc 8 whatever is in them.
        **_within(1.25, images=30.0, amplifier_images=8.0),
        # Measured: a star of magnitude 20 in r shoots 5.1e5 photons in 15 s and gives 39,100 electrons, at 0.65 million
        # photons a second; a star of magnitude 18 took the 5 s that this says. Other bands: scaled by electrons,
        # inferred.
        **_within(1.5, million_electrons=20.0),
        # Measured to magnitude 18 only. Saturation makes very bright stars cheaper, nobody has told how much: a tenth
        # is a guess.
        "million_saturated_electrons": (2.0, 20.0, 30.0),
        # Measured once: 640 s for the dark sky in r, 15 s, with quickbackground (backgamma 10): 322 electrons in each
        # of 16.3 million pixels. That the time goes with electrons over backgamma, for other skies and for the default
        # backgamma of 1, is inferred.
        "million_sky_bunches": (0.4, 1.22, 3.7),
        # Inferred: "parsing of 500k objects took 5 to 30 min" on a KNL thread, a fifth of this core.
        **_within(3.0, thousand_objects=0.3),
    },
    visit_rates={
        # Measured: atmosphere 25 CPU-s, instrument and trim 1.
        **_within(1.25, visits=26.0),
        # Inferred: each trim of nine sensors reads the whole catalog.
        **_within(3.0, thousand_objects_a_trim=0.02),
    },
    saturated_electrons=1.6e6,  # with a PSF of 3.4 pixels, 6 % of the light in the brightest, and a well of 1e5
    most_objects=150_000,
    memory_bytes_per_object=0.0,
)

QUICKSIM = CostModel(
    name="quicksim",
    # Fitted by `predict_fit` on 80 units of quicksim 1.0 and its small sister: 1 to 8,000 stars and galaxies, with and
    # without sky and amplifiers, 15 and 30 s. Median error of the fit 5 %; the machine was busy with other work.
    unit_rates={
        **_within(1.5, images=0.27, mpixels=0.0093, amplifier_images=0.38, amplifier_mpixels=0.078),
        **_within(1.5, sky_mpixels=0.019, sky_noise_mbits=0.0028),
        **_within(1.5, thousand_objects=0.23, million_electrons=0.17, million_galaxy_electrons=0.28),
        # Of these there were few. The first bright galaxy loads GalSim; one beside the chip does not and costs nothing.
        **_within(2.0, drawn_points=0.0011, drawn_point_mpixels=0.02),
        **_within(2.0, units_with_drawn_galaxies=1.0, drawn_galaxies=0.0093, drawn_galaxy_mpixels=0.45),
    },
    # From the wall time of some set-ups.
    visit_rates=_within(2.0, visits=0.8, trims=0.3, thousand_objects_a_trim=0.01),
    drawn_point_electrons=30_000.0,
    drawn_galaxy_electrons=200_000.0,
    most_objects=10_000_000,
    memory_bytes_per_object=1_000.0,
    memory_bytes_per_galaxy_mpixel=1e8,  # 650 MB for a half-light radius of 20 arcsec
)

COST_MODELS = {model.name: model for model in (PHOSIM_3, QUICKSIM)}


def cost_model(simulator: str, named: str | None) -> CostModel:
    """The model that a release names, or that of its simulator; one that nobody knows is taken for PhoSim."""
    if named in COST_MODELS:
        return COST_MODELS[named]
    return QUICKSIM if simulator.startswith("quicksim") else PHOSIM_3
