"""Adapters of the port `Source`: where catalogs, command files and job specs are read from."""
