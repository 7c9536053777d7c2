"""Object lines: what is accepted and arrives unchanged, what is refused and how that is said."""

from __future__ import annotations

import time

import pytest

from transformation.instance_catalog import CatalogFault, Limits, grammar

FIELDS = {
    "ID": 1,
    "RA": 2,
    "DEC": 3,
    "MAG": 4,
    "SED": 5,
    "REDSHIFT": 6,
    "GAMMA1": 7,
    "GAMMA2": 8,
    "KAPPA": 9,
    "DRA": 10,
    "DDEC": 11,
    "SPATIAL": 12,
    "DUST_REST": 13,
    "DUST_LAB": 14,
}


def with_field(line: bytes, name: str, value: str) -> bytes:
    words = line.split()
    words[FIELDS[name]] = value.encode("latin-1")
    return b" ".join(words) + b"\n"


ACCEPTED = [
    b"object 1 -0.1 -90 20 x.gz 0 0 0 0 0 0 point none none",
    b"object 1 400 +90.000 20 x.gz 0 0 0 0 0 0 star none none",
    b"object 1.5 1e1 -3.8e1 +2.0E+01 x.gz 1e-99 -.5 5. 0 0 0 point none CCM 0.1 3.1",
    b"object 1 0 0 20 ../sky/sed_flat.txt 0 0 0 0 0 0 star none none",
    b"object 1 0 0 20 a/../../sky/x.txt 0 0 0 0 0 0 star none none",
    b"object 1 0 0 20 ./a//.b 0 0 0 0 0 0 star none none",
    b"object 1 0 0 20 a/b/c/d/e/f/g/h/i/j/k/l 0 0 0 0 0 0 star none none",
    b"object 1 0 0 20 x 0 0 0 0 0 0 gauss 0.5 none none",
    b"object 1 0 0 20 x 0 0 0 0 0 0 movingpoint 1 2 none none",
    b"object 1 0 0 20 x 0 0 0 0 0 0 sersic2d 1 0.5 30 4 ccm 0.1 3 calzetti 0.2 3.1",
    b"object 1 0 0 20 x 0 0 0 0 0 0 sersic 1 2 3 4 5 6 CALZETTI 0.1 3 none",
    b"object 1 0 0 20 x 0 0 0 0 0 0 pinhole 1 2 3 4 none none",
    b"object 1 0 0 20 x 0 0 0 0 0 0 m51.fits.gz 0.1 30 none none",
    b"object\t1  0 \t 0 20 x 0 0 0 0 0 0  point none\tnone",
    b"  object 1 0 0 20 x 0 0 0 0 0 0 point none none",
    b"object 1 0 0 20 x 0 0 0 0 0 0 point none none  ",
    b"object 123456789012345678901234567890 0 0 20 x 0 0 0 0 0 0 point none none",
]


@pytest.mark.parametrize("line", ACCEPTED)
def test_accepted_lines_arrive_unchanged(bench, line):
    found = bench.read(bench.header + line + b"\n" + bench.star)
    assert found.n_objects == 2
    assert bench.objects == line + b"\n" + bench.star
    if b"1.5" not in line:
        assert [warning for warning in found.warnings if "doubles" not in warning] == []


@pytest.mark.parametrize("line", ACCEPTED)
def test_the_fast_expression_takes_no_line_that_the_slow_reading_refuses(line):
    grammar.read_object(line)
    assert grammar.OBJECT_LINE.findall(line + b"\n")[0] in (b"", line.split()[1])


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in ("SED", "SPATIAL", "DUST_REST", "DUST_LAB")])
@pytest.mark.parametrize(
    "value",
    ["abc", "nan", "inf", "-inf", "1e999", "1..2", "1-2", "--1", "1e", "e5", ".", "-", "0x10", "1,5", "1_0", "1d3"],
)
def test_a_number_that_is_none_is_named(bench, name, value):
    failure = bench.fail(bench.header + bench.star + with_field(bench.star, name, value))
    assert (failure.kind, failure.total) == (CatalogFault.MALFORMED, 1)
    assert failure.problems[0].line == bench.header.count(b"\n") + 2
    assert str(failure) == f"a.txt:25: {name} is '{value}', not a number; write {name} as a finite decimal number"


@pytest.mark.parametrize("value", ["90.1", "-90.0001", "91", "100", "9e1e", "9.1e1", "-900"])
def test_a_declination_beyond_the_poles_is_refused(bench, value):
    assert "DEC is" in str(bench.fail(bench.header + with_field(bench.star, "DEC", value)))


@pytest.mark.parametrize("value", ["90", "-90.000", "89.999", "0090.0", "9e1", "-9.0e1", "8.9"])
def test_a_declination_up_to_the_poles_is_accepted(bench, value):
    assert bench.read(bench.header + with_field(bench.star, "DEC", value)).n_objects == 1


@pytest.mark.parametrize(
    "path", ["../../x", "../x/../../y", "a/../../../x", "/etc/passwd", "..", "a/..", "a/", "b\xfcr"]
)
def test_a_sed_outside_the_data_folder_is_refused(bench, path):
    failure = bench.fail(bench.header + with_field(bench.star, "SED", path))
    assert "SED " in failure.problems[0].what


@pytest.mark.parametrize("stamp", ["/a.fits", "../../a.fits", "a.fits/.."])
def test_a_stamp_outside_the_data_folder_is_refused(bench, stamp):
    assert "stamp" in str(bench.fail(bench.header + with_field(bench.star, "SPATIAL", f"{stamp} 1 2")))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"object", "before its field ID"),
        (b"object 1 0 0", "before its field MAG"),
        (b"object 1 0 0 20 x 0 0 0 0 0 0", "before its field SPATIAL"),
        (b"object 1 0 0 20 x 0 0 0 0 0 0 point none", "before its field DUST_LAB"),
        (b"object 1 0 0 20 x 0 0 0 0 0 0 sersic2d 1 2 3 none none", "index of sersic2d is 'none'"),
        (b"object 1 0 0 20 x 0 0 0 0 0 0 sersic2d 1 2 3 4 5 none none", "DUST_REST is '5'"),
        (b"object 1 0 0 20 x 0 0 0 0 0 0 sersic2D 1 2 3 4 none none", "SPATIAL 'sersic2D' is unknown"),
        (b"object 1 0 0 20 x 0 0 0 0 0 0 7 none none", "SPATIAL is '7'"),
        (b"object 1 0 0 20 x 0 0 0 0 0 0 point dust none", "DUST_REST is 'dust'"),
        (b"object 1 0 0 20 x 0 0 0 0 0 0 point none Ccm 1 2", "DUST_LAB is 'Ccm'"),
        (b"object 1 0 0 20 x 0 0 0 0 0 0 point CCM 0.1 none", "R_v of DUST_REST is 'none'"),
        (b"object 1 0 0 20 x 0 0 0 0 0 0 point none none 7", "'7' follows the last field"),
        (b"star 1 0 0 20 x 0 0 0 0 0 0 point none none", "looks like an object line"),
        (b"object1 0 0", "looks like an object line"),
        (b"Object 1", "looks like an object line"),
        (b"object 1 0 0 20 \xff 0 0 0 0 0 0 point none none", "printable ASCII"),
        (b"object 1 0\x00 0", "control character 0x00"),
        (b"object 1 0 0 20 x 0 0 0 0 0 0 point none none\robject", "control character 0x0d"),
        (b"# bell \x07", "control character 0x07"),
    ],
)
def test_a_wrong_line_is_explained(bench, line, words):
    failure = bench.fail(bench.header + bench.star + line + b"\n" + bench.star)
    assert failure.total == 1
    assert failure.problems[0].line == 25
    assert words in failure.problems[0].what


def test_unknown_spatial_words_are_points_and_counted(bench):
    agn, knot = (with_field(bench.star, "SPATIAL", word) for word in ("agn", "knot"))
    found = bench.read(bench.header + agn + bench.star + knot + agn)
    assert bench.objects == agn + bench.star + knot + agn
    (warning,) = [warning for warning in found.warnings if "spatial" in warning]
    assert "agn (2), knot (1)" in warning


def test_the_number_of_different_words_remembered_is_limited(bench):
    lines = b"".join(with_field(bench.star, "SPATIAL", f"word{i}") for i in range(50))
    (warning,) = [text for text in bench.read(bench.header + lines).warnings if "spatial" in text]
    assert warning.endswith("word19 (1), others (30)")


def test_comments_and_blank_lines_are_dropped(bench):
    text = b"# \xe9t\xe9 seed 7\n\n \t\n#object 9\n  # object 1 seed date filter\n" + bench.header + b"#\n" + bench.star
    found = bench.read(text)
    assert (found.n_objects, bench.objects, found.seed) == (1, bench.star, 4242)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r", b"\n\n"])
def test_any_end_of_line_will_do(bench, end):
    content = (bench.header + bench.star + bench.star).replace(b"\n", b"\r\n" if b"\r" in end else b"\n").rstrip() + end
    assert bench.read(content).n_objects == 2
    assert bench.objects == bench.star * 2


@pytest.mark.parametrize("block_bytes", [1, 7, 100, 4096, 1 << 18])
def test_block_boundaries_do_not_matter(bench, block_bytes):
    lines = (bench.star + b"# a comment\r\n" + with_field(bench.star, "SPATIAL", "agn")) * 20
    limits = Limits(block_bytes=block_bytes)
    assert bench.read(bench.header + lines, limits=limits).n_objects == 40
    bad = lines + b"object x\r\n" + lines + b"foo\x00\n"
    assert [problem.line for problem in bench.fail(bench.header + bad, limits=limits).problems] == [84, 145]


def test_only_the_first_problems_are_shown(bench):
    failure = bench.fail(bench.header + b"object x\n" * 1000)
    assert (len(failure.problems), failure.total) == (20, 1000)
    assert str(failure).splitlines()[-1] == "... and 980 more"


@pytest.mark.parametrize("block_bytes", [1, 1000, 1 << 18])
@pytest.mark.parametrize("filler", [b"x", b" ", b"0"])
def test_a_line_that_phosim_would_cut_is_refused(bench, filler, block_bytes):
    limits = Limits(block_bytes=block_bytes)
    longest = b"# " + filler * (grammar.MAX_LINE_BYTES - 2)
    assert bench.read(bench.header + longest + b"\r\n" + bench.star, limits=limits).n_objects == 1
    failure = bench.fail(bench.header + longest + filler + b"\n" + b"object x\n" + bench.star, limits=limits)
    assert [(problem.line, "longer than 4095" in problem.what) for problem in failure.problems] == [(24, True)]


def test_no_object_line_that_the_fast_expression_takes_is_too_long(bench):
    number, blank = "-" + "1" * 40 + "." + "1" * 40 + "e+55", " " * 16
    words = ["object", number, "1", "1", number, "../" + "/".join(["s" * 101] * 8), *[number] * 6]
    words += ["sersic", *[number] * 6, "calzetti", number, number, "CALZETTI", number, number]
    line = blank.join(words).encode() + b"\n"
    assert grammar.OBJECT_LINE.findall(line) == [number.encode()]
    assert len(line) <= grammar.MAX_LINE_BYTES
    assert grammar.OBJECT_LINE.findall(line.replace(b"../", b"../deeper/")) == [b""]
    assert grammar.OBJECT_LINE.findall(line.replace(b"s" * 101, b"s" * 102)) == [b""]
    assert grammar.OBJECT_LINE.findall(line.replace(b" " * 16, b" " * 17)) == [b""]
    assert grammar.OBJECT_LINE.findall(line.replace(b"1" * 40, b"1" * 41)) == [b""]


@pytest.mark.parametrize(
    "text", ["object " + " " * 4000, "object 1 " + "1" * 4000, "object 1 1 1 1 " + "a/" * 2000, "9" * 4095]
)
def test_no_line_is_slow_to_refuse(text):
    began = time.process_time()
    for _ in range(20):
        assert grammar.OBJECT_LINE.findall(text.encode() + b"\n") == [b""]
    assert time.process_time() - began < 0.2
