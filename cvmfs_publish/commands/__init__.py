"""The subcommands of `iod-publish`, one module each."""
