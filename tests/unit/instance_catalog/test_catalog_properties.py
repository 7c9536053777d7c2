"""Properties of the reader over generated catalogs."""

from __future__ import annotations

import gzip
from collections import Counter
from contextlib import suppress

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from transformation.instance_catalog import CatalogInvalid, Limits, grammar
from transformation.instance_catalog.problems import LineInvalid

SED = 5
"""Where the SED stands: it may look like a number."""

numbers = st.one_of(
    st.integers(-(10**12), 10**12).map(str),
    st.floats(-1e30, 1e30, allow_subnormal=False).map("{:.16g}".format).filter(lambda text: "e-3" not in text),
    st.sampled_from(["0", "-.5", "5.", "+1", "1E+5", "00.10"]),
)
declinations = st.floats(-90, 90).map("{:.14f}".format)
parts = st.text("abcXYZ019_.-+", min_size=1, max_size=12).filter(lambda part: part not in (".", ".."))
seds = st.tuples(st.sampled_from(["", "../", "a/../", "./"]), st.lists(parts, min_size=1, max_size=4)).map(
    lambda pair: pair[0] + "/".join(pair[1])
)
blanks = st.sampled_from([" ", " ", " ", "  ", "\t"])
spatial = st.one_of(
    [
        st.tuples(st.just(word), *[numbers] * len(names)).map(" ".join)
        for word, names in [*grammar.SPATIAL_PARAMETERS.items(), ("agn", ()), ("m.fits", ("x", "y"))]
    ]
)
dust = st.one_of(st.just("none"), st.tuples(st.sampled_from(grammar.DUST_LAWS), numbers, numbers).map(" ".join))
ids = st.one_of(st.integers(0, 30).map(str), st.integers(0, 10**14).map(str), st.sampled_from(["1.5", "7.0", "2e1"]))
words = st.tuples(st.just("object"), ids, numbers, declinations, numbers, seds, *[numbers] * 6, spatial, dust, dust)


@st.composite
def object_lines(draw):
    blank = draw(blanks)
    return blank.join(" ".join(draw(words)).split(" ")).encode()


between = st.sampled_from([b"", b"", b"", b"# comment\n", b"\n", b"  \t\n", b"isdithered 0\n"])
tiny_limits = st.builds(Limits, block_bytes=st.integers(1, 300), run_ids=st.integers(1, 9))
relaxed = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@relaxed
@given(
    lines=st.lists(object_lines(), max_size=15),
    gaps=st.lists(between, max_size=15),
    limits=tiny_limits,
    pack=st.booleans(),
)
def test_every_valid_catalog_is_accepted_and_its_objects_arrive(bench, lines, gaps, limits, pack):
    body = b"".join(gap + line + b"\n" for line, gap in zip(lines, gaps + [b""] * len(lines), strict=False))
    content = bench.header + body
    found = bench.read(gzip.compress(content) if pack else content, limits=limits)
    assert bench.objects == b"".join(line + b"\n" for line in lines)
    assert found.n_objects == len(lines)
    id_values = [float(line.split()[1]) for line in lines]
    repeats = len(id_values) - len(set(id_values))
    fractions = sum(not value.is_integer() for value in id_values)
    (warning,) = [text for text in found.warnings if "doubles" in text] or [""]
    assert (f"{repeats} repeat" in warning) == (repeats > 0)
    assert (f"{fractions} are not whole" in warning) == (fractions > 0)
    agns = Counter(word for line in lines for word in line.split())[b"agn"]
    assert any(f"agn ({agns})" in text for text in found.warnings) == (agns > 0)


@relaxed
@given(lines=st.lists(object_lines(), min_size=1, max_size=8), limits=tiny_limits, data=st.data())
def test_one_spoilt_field_is_found_at_its_line(bench, lines, limits, data):
    at = data.draw(st.integers(0, len(lines) - 1))
    fields = lines[at].split()
    field = data.draw(
        st.sampled_from([i for i, text in enumerate(fields) if i != SED and grammar.NUMBER.fullmatch(text.decode())])
    )
    fields[field] = data.draw(st.sampled_from([b"x1", b"1x", b"nan", b"1e400", b"--2", b"1.2.3", b"", b"5 5"]))
    lines[at] = b" ".join(fields)
    failure = bench.fail(bench.header + b"\n".join(lines), limits=limits)
    assert [(problem.file, problem.line) for problem in failure.problems] == [("a.txt", 24 + at)]


@relaxed
@given(
    line=st.one_of(object_lines(), st.binary(max_size=60).map(lambda tail: b"object " + tail)), cut=st.integers(0, 200)
)
def test_both_readings_of_an_object_line_agree(line, cut):
    for text in (line, line[:cut], line[cut:], line[: cut // 2] + line[cut:]):
        if b"\n" in text or not grammar.OBJECT_LINE.findall(text + b"\n")[0]:
            continue
        assert grammar.read_object(text).unknown_word is None


@relaxed
@given(content=st.one_of(st.binary(max_size=400), st.binary(max_size=200).map(gzip.compress)), limits=tiny_limits)
@example(content=b"\r", limits=Limits(block_bytes=1))
@example(content=b"\x1f\x8b\x08\x00", limits=Limits())
def test_arbitrary_bytes_raise_nothing_else(bench, content, limits):
    for text in (content, bench.header + content, bench.header + b"object " + content + b"\nincludeobj " + content):
        with suppress(CatalogInvalid):
            bench.read(text, limits=limits)


@relaxed
@given(st.binary(max_size=80))
def test_the_slow_reading_raises_nothing_else(tail):
    with suppress(LineInvalid):
        grammar.read_object(b"object " + tail)
