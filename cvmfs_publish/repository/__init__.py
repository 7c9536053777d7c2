"""Reads a CVMFS repository over HTTP as any client may, believing nothing that is not signed or hashed."""
