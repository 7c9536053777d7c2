"""Reads what `lsst-trf` leaves in the work folder, and puts it in order; no pilot is needed for any of it."""
