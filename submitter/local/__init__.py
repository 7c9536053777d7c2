"""Jobs on this machine: a queue in the state file, and one runner in the background that works it off.

Rules of this folder
1. The queue is the state file. The runner holds a lock while it lives; every `iod` that sees work and no runner starts
   one. So a crash of `iod`, of the runner or of the machine costs nothing but time.
2. `lsst-trf` runs in a session of its own and outlives its runner; the next runner knows it by number and birth, and
   waits for it. What became of it is read from its report, not from an exit status that only a parent would get.
3. This is for a person's own machine. On a worker under PanDA's pilot nothing of ours ever runs in the background.
"""
