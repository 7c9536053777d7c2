"""The sites, as data: one TOML file each, its schema and its checks."""
