"""A pilot user that is `generic` with pre- and postprocess.

The `generic` of pilot 3.11 runs the job's `preprocess` and `postprocess` commands, that of 3.7 does not ask for them,
though its executor knows how. This user asks, as 3.11 does, so that our commands run under the executor of the pilot
that PyPI has.
"""
