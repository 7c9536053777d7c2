"""The files of a release's `examples` folder, and its default instance catalog."""

from __future__ import annotations

DEFAULT_HEADER = """\
obshistid 9999
rightascension 0
declination 0
azimuth 0
altitude 89
altvar 0.0
date 1994/7/19/0.298822999997
mjd 49552.3
filter 2
rotskypos 0
rottelpos 0
seeing 0
moonra 180
moondec -90
moonalt -90
sunalt -90
dist2moon 180.0
moonphase 10.0
seed 1000
vistime 33.0
nsnap 2
minsource 1
camconfig 1
telconfig 0
domeint 18
domewav 0
temperature 20.0
tempvar 0.0
pressure 520.0
pressvar 0.0
overdepbias -45.0
ccdtemp 173.0
control 0
actuator 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0
"""
"""What stands in for a header line that a catalog does not give; the values are PhoSim 3.4's."""


def _catalog(telconfig: int = 0, vistime_s: float = 15.0, minsource: int = 1, objects: tuple[str, ...] = ()) -> str:
    """An instance catalog with the header names of 2014: one exposure at the zenith, dark sky, filter r."""
    header = f"""\
Unrefracted_RA_deg 0
Unrefracted_Dec_deg 0
Unrefracted_Azimuth 0
Unrefracted_Altitude 89
Slalib_date 1994/7/19/0.298822999997
Opsim_rotskypos 0
Opsim_rottelpos 0
Opsim_moondec -90
Opsim_moonra 180
Opsim_expmjd 49552.3
Opsim_moonalt -90
Opsim_sunalt -90
Opsim_filter 2
Opsim_dist2moon 180.0
Opsim_moonphase 10.0
Opsim_obshistid 99999999
Opsim_rawseeing 0.67
SIM_SEED     1000
SIM_MINSOURCE {minsource}
SIM_TELCONFIG {telconfig}
SIM_CAMCONFIG 1
SIM_VISTIME {vistime_s}
SIM_NSNAP 1
"""
    return header + "".join(line + "\n" for line in objects)


def _star(magnitude: float) -> str:
    return f"object 0 0.0 0.0 {magnitude:g} ../sky/sed_flat.txt 0 0 0 0 0 0 star none none"


NO_SKY = "zenith_v 1000.0\nraydensity 0.0\n"

EXAMPLES = {
    "README": "Instance catalogs: star, brightstar, faintstar, bias, dark, flat.\n"
    "Physics command files, for option -c: nobackground, quickbackground, nocosmics, perfect, toypsf.\n",
    "star": _catalog(objects=(_star(20),)),
    "brightstar": _catalog(objects=(_star(15),)),
    "faintstar": _catalog(objects=(_star(24),)),
    "bias": _catalog(telconfig=1, vistime_s=0.0, minsource=0),
    "dark": _catalog(telconfig=1, vistime_s=300.0, minsource=0),
    "flat": _catalog(telconfig=2, minsource=0) + "domeint 18\ndomewav 0\n",
    "nobackground": NO_SKY,
    "quickbackground": "backalpha 0.0\nbackbeta 4.0\nbackgamma 10.0\n",
    "nocosmics": "raydensity 0.0\n",
    "perfect": "cleareverything\n" + NO_SKY,
    "toypsf": "cleareverything\ntoypsf 0.5\n" + NO_SKY,
}
