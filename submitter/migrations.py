"""How the file of jobs came to its present form: one script a version, never changed once released."""

from __future__ import annotations

MIGRATIONS = (
    """
CREATE TABLE job (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, user TEXT NOT NULL, task TEXT NOT NULL, comment TEXT NOT NULL,
    release TEXT NOT NULL, backend TEXT NOT NULL, site TEXT NOT NULL, base TEXT NOT NULL, spec BLOB NOT NULL,
    digest TEXT NOT NULL, key TEXT UNIQUE, state TEXT NOT NULL, message TEXT NOT NULL, submitted_s REAL NOT NULL,
    changed_s REAL NOT NULL, queue TEXT NOT NULL, plan TEXT NOT NULL, n_units INTEGER NOT NULL,
    n_files INTEGER NOT NULL, share TEXT NOT NULL, cpu_s TEXT NOT NULL, environment TEXT NOT NULL);
CREATE INDEX job_by_digest ON job (digest);
CREATE INDEX job_by_state ON job (state);
CREATE TABLE part (
    id INTEGER PRIMARY KEY, job_id INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE, number INTEGER NOT NULL,
    selects TEXT NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL, remote_id INTEGER, pid INTEGER,
    pid_born_s REAL, begun_s REAL, ended_s REAL, not_before_s REAL NOT NULL, exit_code INTEGER, message TEXT NOT NULL,
    where_ TEXT NOT NULL, kill_asked INTEGER NOT NULL, n_done INTEGER NOT NULL, n_failed INTEGER NOT NULL,
    replaced INTEGER NOT NULL,    UNIQUE (job_id, number));
CREATE INDEX part_by_state ON part (state)
""",
    """
CREATE TABLE notice (
    job_id INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE, channel TEXT NOT NULL, ended_s REAL NOT NULL,
    claimed_s REAL NOT NULL, told_s REAL, PRIMARY KEY (job_id, channel))
""",
)
