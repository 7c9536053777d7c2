"""Site files: `iod-site`, and every command that takes `--site FILE`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from hypothesis import assume, example, given
from hypothesis import strategies as st

import site_configs
from tests.bad_input.mutations import as_toml, damaged, examples, spoilt
from tests.bad_input.sandbox import Sandbox
from tests.bad_input.test_fuzz_catalogs import CATALOG, write_job

_TEXTS = {
    path.name: path.read_bytes() for path in sorted((Path(site_configs.__file__).parent / "sites").glob("*.toml"))
}
SITES = st.sampled_from([_TEXTS[name] for name in ("BNL.toml", "SLAC.toml", "local.toml", "UKDF.toml")])
_ODD = _TEXTS["local.toml"].replace(b'description = "', b'description = "\xc2\x80\xe2\x80\xae')
site_files = st.one_of(
    SITES.flatmap(damaged),
    SITES.flatmap(lambda text: spoilt(tomllib.loads(text.decode())))
    .filter(lambda document: isinstance(document, dict))
    .map(lambda document: as_toml(document).encode("utf-8", "surrogatepass")),
    st.binary(max_size=100),
)


@examples(15)
@given(site_files)
@example(b"\xef\xbb\xbf")
@example(b"x = " + b"[" * 5000)
@example(b"x = " + b"1" * 5000)
@example(b'name = "a\\u001b[31m"\n')
def test_iod_site_check_of_any_file(sandbox: Sandbox, content: bytes) -> None:
    sandbox.clear()
    sandbox.put("site.toml", content)
    sandbox.check("iod-site", "check", "site.toml")


@examples(5)
@given(site_files, st.sampled_from([["show"], ["show", "--json"], ["check", "--json"], ["export", "--format", "cric"]]))
@example(_ODD, ["show"])
@example(_ODD, ["show", "--json"])
def test_iod_site_with_any_file(sandbox: Sandbox, content: bytes, words: list[str]) -> None:
    sandbox.clear()
    sandbox.put("site.toml", content)
    sandbox.check("iod-site", words[0], "site.toml", *words[1:])


@examples(7)
@given(site_files)
def test_a_plan_at_any_site(sandbox: Sandbox, content: bytes) -> None:
    assume(b"IOD_RELEASES" not in content)
    sandbox.clear()
    write_job(sandbox)
    sandbox.put("sky.txt", CATALOG)
    sandbox.put("site.toml", content)
    sandbox.check("lsst-trf", "plan", "--job", "job.json", "--site", "site.toml")


@examples(5)
@given(site_files)
def test_iod_check_at_any_site(sandbox: Sandbox, content: bytes) -> None:
    sandbox.clear()
    write_job(sandbox)
    sandbox.put("sky.txt", CATALOG)
    sandbox.put("site.toml", content)
    sandbox.check("iod", "check", "job.json", "--site", "site.toml", "--backend", "local")
