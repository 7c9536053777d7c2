"""Files: gzip, includes, foreign and broken ones."""

from __future__ import annotations

import gzip
import hashlib
import os

import pytest
from isal import igzip

from transformation.instance_catalog import OBJECTS_NAME, CatalogFault, CatalogInvalid, Limits, read_instance_catalogs
from transformation.instance_catalog.header_keys import loose_name
from transformation.instance_catalog.problems import FileInvalid
from transformation.instance_catalog.source import SizeLimits, Source


def test_sizes_and_checksums_are_those_on_disk(bench):
    plain, packed = bench.header + bench.star, gzip.compress(bench.star * 3)
    found = bench.read(plain, packed)
    assert found.n_objects == 4
    assert found.size_bytes == len(plain) + len(packed)
    assert found.sha256 == tuple(hashlib.sha256(data).hexdigest() for data in (plain, packed))


def test_without_an_objects_file_it_only_checks(bench):
    path = bench.add("only.txt", bench.header + bench.star)
    found = read_instance_catalogs([path], defaults={}, objects_out=None, spool=bench.folder)
    assert found.n_objects == 1


def test_messages_name_the_path_where_no_name_is_given(bench):
    path = bench.add("bad.txt", bench.header + b"object x\n")
    with pytest.raises(CatalogInvalid) as caught:
        read_instance_catalogs([path], defaults={}, objects_out=None, spool=bench.folder)
    assert caught.value.problems[0].file == str(path)


def test_gzip_in_several_members(bench):
    content = gzip.compress(bench.header + bench.star) + igzip.compress(bench.star) + b"\0" * 64
    assert bench.read(content).n_objects == 2


@pytest.mark.parametrize("cut", [3, 15, 200, -1, -6])
def test_truncated_gzip_is_unreadable(bench, cut):
    failure = bench.fail(gzip.compress(bench.header + os.urandom(4000).hex().encode().join([b"# ", b"\n"]))[:cut])
    assert failure.kind is CatalogFault.UNREADABLE
    assert "cannot be read to its end" in str(failure)


@pytest.mark.parametrize("at", [12, 60, -6, -2])
def test_corrupt_gzip_is_unreadable(bench, at):
    content = bytearray(gzip.compress(bench.header + bench.star * 50))
    content[at] ^= 0x55
    assert CatalogFault.UNREADABLE in (failure := bench.fail(bytes(content)), failure.kind)


def test_a_compression_bomb_is_refused(bench):
    content = gzip.compress(bench.header + bench.star * 40_000)
    limits = Limits(block_bytes=4096, sizes=SizeLimits(bomb_ratio=20, bomb_bytes=100_000))
    failure = bench.fail(content, limits=limits)
    assert failure.kind is CatalogFault.TOO_LARGE
    assert "no catalog compresses so well" in str(failure)
    assert bench.read(content, limits=Limits(sizes=SizeLimits(bomb_ratio=20))).n_objects == 40_000


def test_files_larger_than_allowed_are_refused(bench):
    content = bench.header + bench.star * 4000
    packed = gzip.compress(content)
    for file, allowed, words in [
        (content, SizeLimits(file_bytes=len(content) - 1), f"has {len(content):,} bytes; {len(content) - 1:,} are all"),
        (packed, SizeLimits(unpacked_bytes=len(content) - 1), f"to more than the {len(content) - 1:,} bytes"),
    ]:
        failure = bench.fail(file, limits=Limits(block_bytes=4096, sizes=allowed))
        assert (failure.kind, failure.problems[0].line, failure.total) == (CatalogFault.TOO_LARGE, 0, 1)
        assert words in str(failure)
    just = SizeLimits(file_bytes=len(packed), unpacked_bytes=len(content))
    assert bench.read(packed, limits=Limits(sizes=just)).n_objects == 4000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no known header key and no object"),
        (b"\n\n", "no known header key and no object"),
        (b"# nothing\n", "no known header key and no object"),
        (b"foo 1\nbar 2\n", "no known header key and no object"),
        (b"\n <!DOCTYPE html>\n<html>", "HTML"),
        (b'{"error": 404}', "JSON"),
        (gzip.compress(gzip.compress(b"seed 1\n", mtime=0), mtime=0), "gzipped twice"),
        (b"BZh91AY", "bzip2"),
        (b"SIMPLE  =                    T", "FITS"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"\x00" * 10, "control character"),
    ],
)
def test_a_file_that_is_no_catalog_is_named(bench, content, words):
    failure = bench.fail(content)
    assert failure.total == 1
    assert words in str(failure)


def test_a_line_without_end_is_not_waited_for(bench):
    path = bench.add("endless", b"# " + b"x" * 3_000_000)
    with Source(path) as source:
        with pytest.raises(FileInvalid, match="longer than 4095"):
            list(source.blocks())
        assert source.size_bytes < 1_000_000


def test_the_name_for_the_objects_means_nothing_to_phosim():
    assert loose_name(f"includeobj {OBJECTS_NAME}") is None
    assert "object" not in OBJECTS_NAME


def test_a_byte_order_mark_is_no_part_of_the_first_key(bench):
    assert bench.read(b"\xef\xbb\xbf" + bench.header + bench.star).warnings == ()


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file_is_unreadable(bench, tmp_path, kind):
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(CatalogInvalid) as caught:
        read_instance_catalogs([path], defaults={}, objects_out=None, spool=tmp_path)
    assert caught.value.kind is CatalogFault.UNREADABLE


def test_includes_follow_the_objects_of_their_catalog(bench):
    lines = [bench.star.replace(b"object 1", b"object %d" % i) for i in range(4)]
    bench.add("one.txt", b"# more\n" + lines[1])
    (bench.folder / "sub").mkdir(exist_ok=True)
    bench.add("sub/two.cat.gz", gzip.compress(lines[2]))
    found = bench.read(b"includeobj one.txt\n" + bench.header + b"includeobj sub/two.cat.gz # x\n" + lines[0], lines[3])
    assert bench.objects == b"".join(lines)
    assert (found.n_objects, len(found.sha256), found.warnings) == (4, 4, ())


def test_a_catalog_of_includes_alone_is_one(bench):
    bench.add("one.txt", bench.star)
    assert bench.read(bench.header, b"includeobj one.txt\n").n_objects == 1


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../x", "a/../../x", "..", "./x", "a/./b", "a//b", "~/x", "x;y", "$HOME", "-x", "a%2e"]
)
def test_an_include_outside_the_folder_is_refused(bench, name):
    failure = bench.fail(bench.header + b"includeobj " + name.encode() + b"\n" + bench.star)
    assert failure.kind is CatalogFault.INCLUDE_REFUSED
    assert failure.problems[0].line == 24
    assert repr(name) in failure.problems[0].what


def test_a_link_out_of_the_folder_is_refused(bench, tmp_path):
    (tmp_path / "secret").write_bytes(bench.star)
    (bench.folder / "link").unlink(missing_ok=True)
    (bench.folder / "link").symlink_to(tmp_path / "secret")
    assert bench.fail(bench.header + b"includeobj link\n").kind is CatalogFault.INCLUDE_REFUSED


def test_a_missing_include_is_named_with_its_line(bench):
    failure = bench.fail(bench.header + b"includeobj gone.txt\n" + bench.star)
    assert failure.kind is CatalogFault.INCLUDE_MISSING
    assert str(failure).startswith("a.txt:24: includeobj 'gone.txt' does not exist")


@pytest.mark.parametrize("line", [b"includeobj\n", b"includeobj a b\n"])
def test_an_include_names_one_file(bench, line):
    assert "needs one file name" in str(bench.fail(bench.header + line + bench.star))


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"seed 5\n", CatalogFault.MALFORMED, "begins with 'seed'"),
        (b"includeobj other\n", CatalogFault.INCLUDE_REFUSED, "begins with 'includeobj'"),
        (b"", CatalogFault.MALFORMED, "no object in it (included by a.txt:24)"),
        (b"object x\n", CatalogFault.MALFORMED, "ID is 'x'"),
        (b"\x1f\x8b", CatalogFault.UNREADABLE, "cannot be read"),
    ],
)
def test_an_include_holds_only_objects(bench, content, kind, words):
    bench.add("part.txt", content)
    failure = bench.fail(bench.header + b"includeobj part.txt\n" + bench.star)
    assert (failure.kind, failure.total) == (kind, 1)
    assert failure.problems[0].file == "part.txt"
    assert words in failure.problems[0].what


def test_includes_can_be_found_elsewhere(bench, tmp_path):
    asked = []

    def fetch(catalog, name):
        asked.append((catalog.name, name))
        (tmp_path / "fetched").write_bytes(bench.star)
        return tmp_path / "fetched"

    assert bench.read(bench.header + b"includeobj far/away.txt\n", include=fetch).n_objects == 1
    assert asked == [("a.txt", "far/away.txt")]
    assert bench.fail(bench.header + b"includeobj ../x\n", include=fetch).kind is CatalogFault.INCLUDE_REFUSED
    assert len(asked) == 1

    def miss(catalog, name):
        raise FileNotFoundError(name)

    assert bench.fail(bench.header + b"includeobj x\n", include=miss).kind is CatalogFault.INCLUDE_MISSING
