"""A stand-in for a PanDA server, for the real `panda-client`: its HTTP API as panda-server 0.8.1 and 1.0.4 have it.

Paths, methods, envelopes, messages and codes are those of `pandaserver/api/v1` (`task_api`, `job_api`, `system_api`).
"""
