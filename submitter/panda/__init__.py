"""Jobs at a PanDA server, through the real `panda-client`.

Rules of this folder
1. `panda-client` prints, asks, exits and waits ten minutes: it lives in a child process that answers questions, and a
   question that takes too long costs the child its life.
2. Adapters say what kind of trouble it was and repeat nothing.
3. What is sent is made by pure functions (`tasks`, `classic`); what comes back is read by pure functions (`answers`).
"""
