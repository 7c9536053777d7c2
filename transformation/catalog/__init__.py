"""Adapters of the catalog port, one module per kind of catalog; each passes `tests/conformance/catalog_suite.py`."""
