"""The commands of `iod`, one module each; `submitter.cli` lists them."""
