"""Adapters of the storage port, one module per kind of storage; each passes `tests/conformance/storage_suite.py`."""
