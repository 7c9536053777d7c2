"""Stage `instrument`: the state of telescope, camera and read-out electronics during a visit. Standard library only."""

from __future__ import annotations

import random
from pathlib import Path

from quicksim.focal_plane import Amplifier, read_layout, read_segmentation, selected_devices
from quicksim.pars import Settings
from quicksim.stage import run_stage


def make_instrument(settings: Settings) -> None:
    """Write optics and tracking of the visit, and chip and read-out of every sensor that `camconfig` selects."""
    visit = settings.text("obshistid")
    folder = Path(settings.text("instrdir"))
    seed = settings.integer("obsseed")
    # quicksim's optics are perfectly aligned and its tracking is steady; the PSF is that of the seeing.
    Path(f"optics_{visit}.pars").write_text(f"trackingfile tracking_{visit}.pars\n", encoding="ascii")
    Path(f"tracking_{visit}.pars").write_text("0.0 0.0 0.0 0.0\n", encoding="ascii")
    amplifiers = read_segmentation(folder)
    for device in selected_devices(read_layout(folder), settings.integer("camconfig", 1)):
        Path(f"chip_{visit}_{device.name}.pars").write_text("qevariation 0.000000\n", encoding="ascii")
        readout = _readout_lines(amplifiers[device.name], f"readout {seed} {device.name}")
        Path(f"readout_{visit}_{device.name}.pars").write_text(readout, encoding="ascii")


def _readout_lines(amplifiers: list[Amplifier], seed: str) -> str:
    """Draw the electronics of one sensor."""
    draw = random.Random(seed)  # noqa: S311 - physics, not secrets
    lines = []
    for number, one in enumerate(amplifiers):
        gain = one.gain * draw.gauss(1.0, one.gain_percent / 100)
        bias = one.bias * draw.gauss(1.0, one.bias_percent / 100)
        read_noise = one.read_noise * draw.gauss(1.0, one.read_noise_percent / 100)
        dark_current = one.dark_current * draw.gauss(1.0, one.dark_current_percent / 100)
        lines += [
            f"serialread    {number} {one.serial_read}",
            f"parallelread  {number} {one.parallel_read}",
            f"gain          {number} {gain:g}",
            f"bias          {number} {bias:g}",
            f"readnoise     {number} {read_noise:g}",
            f"darkcurrent   {number} {dark_current:g}",
            f"parallelprescan   {number} {one.parallel_prescan}",
            f"serialoverscan    {number} {one.serial_overscan}",
            f"serialprescan     {number} {one.serial_prescan}",
            f"paralleloverscan  {number} {one.parallel_overscan}",
            f"hotpixelrate  {number} {one.hot_pixel_rate}",
            f"hotcolumnrate {number} {one.hot_column_rate}",
        ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the stage."""
    return run_stage("Instrument Configuration", make_instrument)
