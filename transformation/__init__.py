"""The job: from an instance catalog to registered sensor images on one worker.

Reading order: `model/` (the words), `run_job` (the story on one screen), then the stage you came for:
`stage_in`, `set_up`, `simulate`, `judge`, `stage_out`, `register`. Adapters sit in `storage/`, `catalog/` and
`simulator/` behind the protocols of `ports`; only `wiring` knows them all.
"""

__version__ = "0.1.0"
