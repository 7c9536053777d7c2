"""current, rollback, retire, list, diff, init, exit-codes: on a plain folder."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cvmfs_publish.config import Config, load_config
from cvmfs_publish.exits import Exit
from cvmfs_publish.published import version_key
from tests.unit.cvmfs_publish.kit import FILES, Ended, iod_publish, make_release

pytestmark = pytest.mark.allow_processes


class Place:
    """A folder with three releases published."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.config = folder / "kit.toml"
        self.configure("")
        for version in ("1.9", "1.10", "2.0"):
            files = {**FILES, f"data/{version}.txt": "new\n"}
            assert self.run("publish", make_release(folder, version=version, files=files)).code == 0

    def configure(self, more: str) -> None:
        """The configuration, with more lines."""
        self.config.write_text(f'root = "{self.root}"\nbase = "lsst"\n{more}')

    def run(self, command: str, *words: object) -> Ended:
        """A command with this configuration."""
        return iod_publish(command, *words, "--config", self.config)

    def current(self) -> str:
        """Where `current` leads."""
        return str((self.root / "lsst/toy/current").readlink())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Three releases."""
    return Place(tmp_path)


def test_switching(place: Place) -> None:
    assert place.run("current", "toy").code == Exit.NOT_PUBLISHED.code
    assert place.run("current", "toy", "1.9").code == 0
    assert place.current() == "1.9"
    assert place.run("current", "toy").out.strip() == "toy-1.9"
    assert place.run("current", "toy", "--json").document == {"simulator": "toy", "current": "1.9"}
    again = place.run("current", "toy", "1.9")
    assert (again.code, "already" in again.err) == (0, True)
    assert place.run("current", "toy", "3.0").code == Exit.NOT_PUBLISHED.code
    assert place.current() == "1.9"
    shown = place.run("current", "toy", "2.0", "--dry-run")
    assert shown.out.strip() == f"ln -sfn 2.0 {place.root}/lsst/toy/current   (was: 1.9)"
    assert place.current() == "1.9"


def test_rolling_back_to_what_was_current_before(place: Place) -> None:
    for version in ("2.0", "1.9", "1.10"):
        place.run("current", "toy", version)
    assert place.run("rollback", "toy").code == 0
    assert place.current() == "1.9", "the one before, not the next older one"
    assert place.run("rollback", "toy").code == 0
    assert place.current() == "2.0", "further back, not to what was just left"
    assert place.run("rollback", "toy", "--to", "1.9").code == 0
    assert place.current() == "1.9"


def test_rolling_back_without_a_log(place: Place) -> None:
    place.run("current", "toy", "2.0")
    (place.root / ".iod-publish/releases.jsonl").unlink()
    assert place.run("rollback", "toy").code == 0
    assert place.current() == "1.10", "the next older version, by number"
    place.run("rollback", "toy")
    (place.root / ".iod-publish/releases.jsonl").unlink()
    assert place.run("rollback", "toy").code == Exit.NOT_PUBLISHED.code


@pytest.mark.parametrize("words", [(), ("toy", "--tag", "x")])
def test_a_rollback_needs_one_aim(words: tuple[str, ...], place: Place) -> None:
    assert place.run("rollback", *words).code == Exit.USAGE.code


def test_a_folder_has_no_tags(place: Place) -> None:
    refused = place.run("rollback", "--tag", "toy-1.9")
    assert refused.code == Exit.NOT_PUBLISHED.code
    assert "switch" in refused.err


def test_retiring_in_two_steps(place: Place) -> None:
    place.run("current", "toy", "2.0")
    assert place.run("retire", "toy", "2.0").code == Exit.KEPT.code
    early = place.run("retire", "toy", "1.9", "--remove")
    assert early.code == Exit.KEPT.code
    assert "announce it first" in early.err
    assert place.run("retire", "toy", "1.9", "-m", "see 2.0").code == 0
    note = place.root / "lsst/toy/1.9/DEPRECATED"
    assert "see 2.0" in note.read_text()
    waiting = place.run("retire", "toy", "1.9", "--remove")
    assert waiting.code == Exit.KEPT.code
    assert "in 30 days" in waiting.err
    assert "deprecated" in place.run("current", "toy", "1.9").err
    place.run("current", "toy", "2.0")
    long_ago = datetime.now(UTC).date() - timedelta(days=30)
    note.write_text(f"deprecated since {long_ago}: see 2.0\n")
    assert place.run("retire", "toy", "1.9", "--remove").code == 0
    assert not (place.root / "lsst/toy/1.9").exists()
    assert (place.root / "lsst/toy/1.10/toy-1.10/release.json").exists()
    actions = [json.loads(line)["action"] for line in place.run("list", "--log", "--json").out.splitlines()]
    assert actions[-1] == "retire"
    assert "deprecate" in actions


def test_removing_now(place: Place) -> None:
    assert place.run("retire", "toy", "1.9", "--remove", "--now").code == 0
    assert not (place.root / "lsst/toy/1.9").exists()


def test_pins_and_needs(place: Place, tmp_path: Path) -> None:
    place.configure('[retention]\npins = ["toy-1.9"]\n')
    assert "pinned" in place.run("retire", "toy", "1.9").err
    needs = [{"path": "data/SEDs", "release": "toy-1.10"}]
    user = make_release(tmp_path, "user", "1", files={"LICENSE": "x\n"}, requires=needs)
    assert place.run("publish", user).code == 0
    refused = place.run("retire", "toy", "1.10")
    assert refused.code == Exit.KEPT.code
    assert "user-1 needs it" in refused.err


def test_the_policy_proposes(place: Place) -> None:
    assert "nothing to retire" in place.run("retire").out
    place.configure("[retention]\nkeep = 1\n")
    proposed = place.run("retire", "--json").document
    assert proposed == [{"release": "toy-1.9", "step": "deprecate"}, {"release": "toy-1.10", "step": "deprecate"}]
    place.run("retire", "toy", "1.9")
    place.run("current", "toy", "1.10")
    assert place.run("retire", "--json").document == [{"release": "toy-1.9", "step": "wait"}]
    place.configure("[retention]\nkeep = 1\ndeprecated_days = 0\n")
    assert place.run("retire", "--json").document == [{"release": "toy-1.9", "step": "remove"}]


def test_the_list(place: Place) -> None:
    place.configure('[retention]\npins = ["toy-1.9"]\n')
    place.run("current", "toy", "2.0")
    (place.root / "lsst/toy/3.0/toy-3.0").mkdir(parents=True)
    rows = place.run("list", "--json").document
    assert [row["release"] for row in rows] == ["toy-1.9", "toy-1.10", "toy-2.0", "toy-3.0"]
    assert [row["current"] for row in rows] == [False, False, True, False]
    assert [row["pinned"] for row in rows] == [True, False, False, False]
    assert rows[0]["by"]
    assert rows[0]["size_bytes"] > 0
    assert "release.json" in rows[3]["problem"]
    lines = place.run("list").out.splitlines()
    assert lines[2].endswith("current")
    assert "no release" in lines[3]


def test_the_difference(place: Place, tmp_path: Path) -> None:
    changed = place.run("diff", "toy-1.9", "toy-2.0", "--json").document
    assert changed["added"] == ["data/2.0.txt"]
    assert changed["removed"] == ["data/1.9.txt"]
    assert changed["changed"] == ["VERSION"]
    assert changed["old"]["release"] == "toy-1.9"
    said = place.run("diff", tmp_path / "toy-1.9", "toy-1.9")
    assert said.out.startswith("toy-1.9 -> toy-1.9: 0 added, 0 changed, 0 removed")
    assert place.run("diff", "toy-1.9", "toy-9").code == Exit.NOT_PUBLISHED.code


def test_versions_are_sorted_by_number() -> None:
    versions = ["1.10", "1.9", "2.0", "1.9_1", "1.9rc1", "v3"]
    assert sorted(versions, key=version_key) == ["v3", "1.9", "1.9_1", "1.9rc1", "1.10", "2.0"]


def test_init_writes_a_configuration_that_loads(tmp_path: Path) -> None:
    path = tmp_path / "kit.toml"
    done = iod_publish("init", path, "--repository", "sw.example.org", "--base", "lsst")
    assert done.code == 0
    config = load_config(path)
    assert (config.backend, config.repository, config.base) == ("stratum0", "sw.example.org", "lsst")
    assert config.mount == Path("/cvmfs/sw.example.org")
    assert iod_publish("init", path).code == Exit.USAGE.code
    # What is commented out shows the value that holds without it.
    text = path.read_text().replace('# scratch = "/var/tmp"\n', "").replace('# state = "/var/lib/iod-publish"\n', "")
    for example in ('build_paths = ["/build/phosim"]', 'waive = ["name-case"]', 'stage = "/stage/oasis/lsst"'):
        text = text.replace(f"# {example}\n", "")
    text = text.replace('# pins = ["phosim-3.4.2"]\n', "").replace('# root = "/srv/releases"\n', "")
    uncommented = "\n".join(
        line[2:] if line.startswith("# ") and " = " in line and "`" not in line else line for line in text.splitlines()
    )
    other = tmp_path / "other.toml"
    other.write_text(uncommented)
    assert load_config(other) == config


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('backand = "x"\n', "unknown key 'backand' (did you mean 'backend'?)"),
        ('backend = "stratum"\n', "did you mean 'stratum0'?"),
        ('repository = "no name"\n', "no repository's name"),
        ('base = "../x"\n', "base is wrong"),
        ('[check]\nworkers = ["el5"]\n', "'el5' is unknown"),
        ('[check]\nwaive = ["name-cas"]\n', "did you mean 'name-case'?"),
        ("[check]\nworkers = []\n", "at least one"),
        ('[server]\nwait_s = "1"\n', "wait_s must be a whole number"),
        ("[retention]\nkeep = 0\n", "keep must be at least 1"),
        ("schema_version = 2\n", "schema_version must be 1"),
        ("backend\n", "line 1"),
    ],
)
def test_wrong_configurations(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "kit.toml"
    path.write_text(text)
    ended = iod_publish("list", "--config", path)
    assert ended.code == Exit.CONFIG_INVALID.code
    assert says in ended.err
    assert len(ended.err.splitlines()) == 1


def test_the_same_keys_as_json(tmp_path: Path) -> None:
    path = tmp_path / "kit.json"
    path.write_text(json.dumps({"backend": "stratum0", "repository": "sw.example.org", "server": {"wait_s": 5}}))
    config = load_config(path)
    assert (config.repository, config.server.wait_s) == ("sw.example.org", 5)
    path.write_text("[1]")
    assert iod_publish("list", "--config", path).code == Exit.CONFIG_INVALID.code


def test_the_configuration_of_the_folder_and_of_the_environment(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "iod-publish.toml").write_text(f'root = "{place.root}"\nbase = "lsst"\n')
    assert "toy-1.9" in iod_publish("list").out
    monkeypatch.setenv("IOD_PUBLISH_CONFIG", str(tmp_path / "none.toml"))
    assert iod_publish("list").code == Exit.CONFIG_INVALID.code


def test_relative_folders_begin_at_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "kit.toml"
    path.write_text('root = "releases"\n')
    assert load_config(path).mount == tmp_path / "releases"


def test_an_account_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/nonexistent")
    monkeypatch.setattr("cvmfs_publish.config.os.access", lambda *_: False)
    folder = Config(backend="stratum0", repository="sw.example.org").state_folder
    assert str(folder).startswith("/var/tmp/iod-publish-")
    assert folder.name == "sw.example.org"


def test_every_way_to_end_is_a_code_of_its_own() -> None:
    rows = iod_publish("exit-codes", "--json").document
    codes = [row["code"] for row in rows]
    assert len(set(codes)) == len(codes)
    forbidden = {0, 1, 2, 3, 126, 127, 137, 143, 160, 161, 162, 251, 255}
    assert not forbidden & set(codes)
    assert all(row["remedy"] in ("HERE", "ELSEWHERE", "MORE_RESOURCES", "NEVER") for row in rows)
    assert not [code for code in codes if 60 <= code < 80] or "verify" in iod_publish("--help").out
    assert len(iod_publish("exit-codes").out.splitlines()) == len(rows)
