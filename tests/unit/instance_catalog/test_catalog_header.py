"""Header lines: names, values, defaults, several catalogs, and where PhoSim's loose reading matters."""

from __future__ import annotations

import pytest

from transformation.instance_catalog import CatalogFault, header_lines, read_defaults
from transformation.instance_catalog.header_keys import KEYS, loose_name, strict_name

OLD = b"""\
Unrefracted_RA_deg 1
Unrefracted_Dec_deg -2
Unrefracted_Azimuth 3
Unrefracted_Altitude 89
Slalib_date 1994/7/19/0.298822999997
Opsim_rotskypos 4
Opsim_rottelpos 5
Opsim_moondec -90
Opsim_moonra 180
Opsim_expmjd 49552.3
Opsim_moonalt -90
Opsim_sunalt -90
Opsim_filter 3
Opsim_dist2moon 180.0
Opsim_moonphase 10.0
Opsim_obshistid 99999999
Opsim_rawseeing 0.67
SIM_SEED     1000
SIM_MINSOURCE 1
SIM_TELCONFIG 0
SIM_CAMCONFIG 1
SIM_VISTIME 15.0
SIM_NSNAP 2.0
"""


def replaced(header: bytes, key: str, value: str) -> bytes:
    lines = [line for line in header.splitlines() if line.split()[0] != key.encode()]
    return b"\n".join([*lines, f"{key} {value}".encode("latin-1"), b""])


def test_the_names_of_2014(bench):
    found = bench.read(OLD + bench.star)
    assert found.warnings == ()
    assert (found.obshistid, found.filter, found.seed, found.nsnap, found.vistime_s) == (99999999, 3, 1000, 2, 15.0)
    assert (found.ra_deg, found.dec_deg, found.rotskypos_deg, found.seeing_arcsec) == (1, -2, 4, 0.67)
    assert (found.minsource, found.camconfig, found.telconfig) == (1, 1, 0)
    assert found.header["azimuth"] == "3"
    assert found.header["mjd"] == "49552.3"


def test_the_names_of_phosim_5_and_6(bench):
    text = b"obsid 5\ncamskyangle 1.5\ncamtelangle 2\nobstime 30\nnumexp 2\n"
    found = bench.read(text + bench.star)
    assert found.given == {"obshistid": "5", "rotskypos": "1.5", "rottelpos": "2", "vistime": "30", "nsnap": "2"}


def test_order_comments_and_blanks_do_not_matter(bench):
    found = bench.read(bench.star + b"\t seed \t 7 # seven\n" + replaced(bench.header, "seed", "7"))
    assert (found.seed, found.n_objects) == (7, 1)


def test_left_out_keys_take_the_default_with_one_warning(bench):
    found = bench.read(b"obshistid 5\nseeing 1\n" + bench.star)
    (warning,) = found.warnings
    for text in ("seed 1000", "filter 2", "nsnap 2", "vistime 33"):
        assert text in warning
    assert "seeing" not in warning
    assert found.seed == 1000
    assert "seed" not in found.given


def test_a_bad_default_matters_only_where_it_is_used(bench):
    defaults = {"seed": "-1", "filter": "r"}
    assert bench.read(bench.header + bench.star, defaults=defaults).seed == 4242
    text = b"\n".join(line for line in bench.header.splitlines() if not line.startswith(b"seed"))
    failure = bench.fail(text + b"\n" + bench.star, defaults=defaults)
    assert "seed is '-1'" in failure.problems[0].what
    assert failure.problems[0].file == "default_instcat"


def test_a_key_that_nobody_gives_is_an_error(bench):
    failure = bench.fail(b"obshistid 5\n" + bench.star, defaults={})
    assert "filter is neither in the catalog nor in the release's defaults" in str(failure)


BAD_VALUES = [
    ("obshistid", "00770012"),
    ("obshistid", "abc123"),
    ("obshistid", "3000000002"),
    ("obshistid", "2147483648"),
    ("obshistid", "0"),
    ("obshistid", "-5"),
    ("obshistid", "5.0"),
    ("obshistid", "99999999999999999999"),
    ("filter", "r"),
    ("filter", "6"),
    ("filter", "-1"),
    ("filter", "2.5"),
    ("seed", "-1"),
    ("seed", "1.5"),
    ("seed", "99999999999"),
    ("nsnap", "0"),
    ("nsnap", "1001"),
    ("vistime", "-3"),
    ("vistime", "nan"),
    ("vistime", "0"),
    ("camconfig", "8"),
    ("telconfig", "4"),
    ("minsource", "-1"),
    ("declination", "-91"),
    ("altitude", "90.5"),
    ("rightascension", "inf"),
    ("rightascension", "12:00"),
    ("seeing", "-2"),
    ("date", "1994"),
    ("date", "1994/13/1"),
    ("mjd", "abc"),
    ("moonphase", "101"),
    ("seed", "1 2"),
    ("seed", "1\xe9"),
    ("seed", "1e999"),
    ("actuator", "1 x"),
]


@pytest.mark.parametrize(("key", "value"), BAD_VALUES)
def test_a_value_that_cannot_be_meant_is_refused(bench, key, value):
    failure = bench.fail(replaced(bench.header, key, value) + bench.star)
    assert failure.total == 1
    (problem,) = failure.problems
    assert problem.what.startswith(f"{key} is {ascii(value) if value != '0' or key != 'vistime' else value}")
    assert problem.remedy
    assert problem.line == replaced(bench.header, key, value).count(b"\n")


GOOD_VALUES = [
    ("obshistid", "2147483647"),
    ("filter", "5"),
    ("filter", "0"),
    ("seed", "0"),
    ("nsnap", "2.0"),
    ("camconfig", "7"),
    ("minsource", "0"),
    ("rightascension", "-0.5"),
    ("seeing", "-1"),
    ("seeing", "0"),
    ("date", "1994/07/19"),
    ("actuator", "0.0 0.0 -1e-3"),
    ("control", "0"),
    ("temperature", "20.0"),
]


@pytest.mark.parametrize(("key", "value"), GOOD_VALUES)
def test_a_sound_value_is_kept(bench, key, value):
    found = bench.read(replaced(bench.header, key, value) + bench.star)
    assert found.given[key] == value.removesuffix(".0" if key == "nsnap" else "\0")
    assert found.warnings == ()


def test_only_a_bias_takes_no_time(bench):
    dark = replaced(replaced(bench.header, "vistime", "0"), "telconfig", "1")
    assert bench.read(dark).vistime_s == 0


@pytest.mark.parametrize("line", [b"seed", b"Opsim_obshistid  ", b"seed # 5"])
def test_a_key_without_a_value_is_refused(bench, line):
    failure = bench.fail(bench.header + line + b"\n" + bench.star)
    assert "has no value" in failure.problems[0].what
    assert failure.problems[0].line == 24


def test_unknown_keys_are_ignored_with_one_warning(bench):
    text = b"seqnum 0\nisdithered 1\nditherra 2\nfoo\nSEQ.x a b\n"
    found = bench.read(bench.header + text + bench.star)
    (warning,) = found.warnings
    assert "seqnum (a.txt:24), foo (a.txt:27), SEQ.x (a.txt:28)" in warning
    assert "dither" not in warning


@pytest.mark.parametrize("line", [b"<p>", b"seed=5", b"5 seed", b"; comment", b"\xe9t\xe9 1"])
def test_a_line_that_is_nothing_is_refused(bench, line):
    assert "begins neither" in str(bench.fail(bench.header + line + b"\n" + bench.star))


@pytest.mark.parametrize("line", [b"SIM_SEED2 5\n", b"lastupdate 1/2/3\n", b"filterwheel 4\n"])
def test_a_key_that_phosim_would_take_for_another_is_refused(bench, line):
    failure = bench.fail(bench.header + line + bench.star)
    assert "PhoSim would take the unknown key" in failure.problems[0].what
    assert failure.problems[0].line == 24


def test_such_a_key_is_harmless_where_it_changes_nothing(bench):
    assert bench.read(bench.header + b"SIM_SEED2 4242.0\n" + bench.star).seed == 4242
    assert bench.read(b"SIM_SEED2 7\n" + bench.header + bench.star).seed == 4242


def test_a_repeated_key_takes_its_last_value(bench):
    found = bench.read(bench.header + b"SIM_SEED 5\nvistime 15\n" + bench.star)
    assert found.seed == 5
    (warning,) = found.warnings
    assert warning == "a.txt:24: seed 5 replaces 4242 of line 18"


def test_catalogs_are_appended_and_the_first_header_wins(bench):
    other = bench.star.replace(b"object 1", b"object 2")
    found = bench.read(bench.header + bench.star, other, replaced(bench.header, "vistime", "15") + b"temperature 3\n")
    assert bench.objects == bench.star + other
    assert found.header["vistime"] == "15.0"
    assert found.header["temperature"] == "3"
    assert len(found.sha256) == 3


def test_catalogs_that_differ_are_a_conflict(bench):
    failure = bench.fail(bench.header + bench.star, replaced(bench.header, "seed", "7") + bench.star)
    assert failure.kind is CatalogFault.CONFLICT
    (problem,) = failure.problems
    assert (problem.file, problem.line) == ("b.txt", 23)
    assert problem.what == "seed is 7, but 4242 in a.txt:18"


def test_defaults_are_read_as_phosim_has_them(tmp_path):
    path = tmp_path / "default_instcat"
    path.write_bytes(OLD + b"# \xe9t\xe9\nfoo 1\nSIM_TEMPERATURE 20.0\nactuator 0.0 0.0\nseed\n")
    defaults = read_defaults(path)
    assert len(defaults) == OLD.count(b"\n") + 2
    assert (defaults["mjd"], defaults["actuator"], defaults["seed"]) == ("49552.3", "0.0 0.0", "1000")


def test_header_lines_mean_the_same_to_phosim(bench):
    given = bench.read(OLD + bench.star).given
    lines = header_lines(given)
    assert len(lines) == len(given)
    for line in lines:
        key, value = line.split()
        assert loose_name(line).name == key
        assert given[key] == value


def test_no_accepted_name_means_another_key_to_phosim():
    for key in KEYS:
        for word in (*key.words, *key.synonyms):
            for name in (word, f"Opsim_{word}", f"SIM_{word}_deg"):
                assert strict_name(name) is key
                assert loose_name(name) in (key, None)


def test_the_real_catalogs_are_accepted(bench, shared_data):
    paths = [*shared_data.glob("phosim_examples/*star"), *shared_data.glob("*/*catalog.txt")]
    paths += shared_data.glob("instance_catalogs/*")
    counts = []
    for path in paths:
        text = path.read_bytes()
        found = bench.read(text)
        lines = [line + b"\n" for line in text.splitlines() if line.startswith(b"object")]
        assert bench.objects == b"".join(lines)
        assert not [warning for warning in found.warnings if "objects" in warning or "ids" in warning]
        counts.append(found.n_objects)
    assert counts == [1, 1, 2600, 1998]
