"""Simulator releases: found, described, and driven stage by stage."""
