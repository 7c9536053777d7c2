"""The kit with which site admins put simulator releases on CVMFS (standard library only, Python >= 3.9)."""

VERSION = "0.1.0"
"""As in pyproject.toml: a plain copy of this folder has no other place to learn it from."""
