"""What a site file may say of its catalog of images, and how it is refused."""

from __future__ import annotations

import builtins
from pathlib import Path

import pytest

from site_configs.load import SiteInvalid, load_site
from transformation import wiring
from transformation.catalog.retrying import RetryingCatalog
from transformation.layout import JobPlace
from transformation.model.failures import Failure, JobError

GOOD = {
    "host": '"https://rucio.example.org"',
    "account": '"imsim"',
    "username": '"imsim"',
    "secret": '"env:RUCIO_PASSWORD"',
    "rse": '"EXAMPLE_SCRATCHDISK"',
}
PLACE = JobPlace(base="/store", user="tonyj", job="run-1")


def write_site(folder: Path, catalog: str = 'kind = "rucio"', **changes: str) -> str:
    keys = {name: value for name, value in {**GOOD, **changes}.items() if value}
    lines = [f"{name} = {value}" for name, value in keys.items()]
    path = folder / "site.toml"
    path.write_text("\n".join(['name = "example"', "[catalog]", catalog, "[catalog.rucio]", *lines]))
    return str(path)


def test_a_rucio_site(tmp_path: Path) -> None:
    site = load_site(write_site(tmp_path))
    catalog = wiring.catalog_for(site, PLACE)
    assert isinstance(catalog, RetryingCatalog)
    assert catalog.place == "https://rucio.example.org (scope user.tonyj)"
    assert wiring.gather_s(site) == 60.0


def test_a_local_site_registers_at_once() -> None:
    site = load_site("local")
    assert wiring.gather_s(site) == 0.0
    catalog = wiring.catalog_for(site, PLACE)
    assert catalog is not None
    assert catalog.place == "/store/catalog.sqlite"


def test_how_long_units_gather_can_be_said(tmp_path: Path) -> None:
    assert wiring.gather_s(load_site(write_site(tmp_path, 'kind = "rucio"\ngather_s = 5.0'))) == 5.0


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"secret": '"hunter2"'}, "secret"),
        ({"secret": ""}, "secret"),
        ({"host": '"http://rucio.example.org"'}, "host"),
        ({"host": '"http://localhost.evil.example"'}, "host"),
        ({"username": ""}, "username"),
        ({"auth": '"kerberos"'}, "auth"),
        ({"auth": '"x509_proxy"'}, "proxy is a file"),
        ({"timeout_s": "0.0"}, "timeout_s"),
        ({"password": '"hunter2"'}, "password"),
    ],
)
def test_a_rucio_site_that_is_wrong(tmp_path: Path, changes: dict[str, str], word: str) -> None:
    with pytest.raises(SiteInvalid, match=word) as caught:
        load_site(write_site(tmp_path, **changes))
    assert "hunter2" not in str(caught.value)


def test_the_kind_alone_is_not_enough(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text('name = "example"\n[catalog]\nkind = "rucio"\n')
    with pytest.raises(SiteInvalid, match=r"catalog\.rucio"):
        load_site(str(path))


def test_the_client_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = load_site(write_site(tmp_path))
    monkeypatch.setattr(wiring, "find_spec", lambda name: None)
    with pytest.raises(JobError, match="rucio-clients") as caught:
        wiring.catalog_for(site, PLACE)
    assert caught.value.failed.failure is Failure.SITE_INVALID


def test_a_site_without_rucio_does_not_import_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def guarded(name: str, *words: object, **more: object) -> object:
        assert not name.startswith(("rucio", "requests", "tenacity"))
        return real(name, *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", guarded)
    wiring.catalog_for(load_site(write_site(tmp_path)), PLACE)
    wiring.catalog_for(load_site("local"), PLACE)
