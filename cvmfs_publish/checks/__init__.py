"""Preflight: everything that is wrong with a tree before it is published, each with its cure."""
