"""quicksim: a fast, phenomenological LSST simulator in the shape of a PhoSim release.

`python -m quicksim.release build --into FOLDER` writes such a release. The modules of this package that a release
carries (everything but `release`, `tables` and `example_files`) need Python 3.9, numpy, and GalSim for bright galaxies;
ISA-L (`isal`) makes the compression fast where it is installed.
"""

VERSION = "1.0"
