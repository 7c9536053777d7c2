"""The worker's side: how a machine mounts the repository, what a unit reads of it, and whether it is fit for that."""
