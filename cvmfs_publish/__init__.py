"""The kit with which site admins put simulator releases on CVMFS (standard library only, Python >= 3.9)."""
