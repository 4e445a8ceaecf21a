"""The widget's build: done once, honest about the network, small where it must be."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

from bot.doctor import widget
from bot.settings import Settings
from bot.web import build

LAUNCHER_BYTES = 15_000


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sources in another folder, with nothing fetched or built."""
    for name in ("package.json", "package-lock.json", "build.mjs", ".npmrc"):
        shutil.copy(build.WEB / name, tmp_path / name)
    shutil.copytree(build.WEB / "src", tmp_path / "src")
    monkeypatch.setattr(build, "WEB", tmp_path)
    monkeypatch.setattr(build, "DIST", tmp_path / "dist")
    monkeypatch.setattr(build, "MODULES", tmp_path / "node_modules")
    return tmp_path


def test_without_a_network_one_line_says_what_to_do(
    sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing listens there.
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_cache", str(sources / "cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(build.WidgetNotBuilt) as failure:
        build.build()
    assert "\n" not in str(failure.value)
    assert "npm cannot fetch its packages; check the network" in str(failure.value)
    assert not build.is_built()


def test_a_changed_source_asks_for_a_new_build(sources: Path) -> None:
    stamp = build._stamp(build._sources())
    (sources / "dist").mkdir()
    (sources / "dist" / build.STAMP).write_text(stamp)
    assert build.is_built()
    with (sources / "src" / "protocol.ts").open("a") as source:
        source.write("// changed\n")
    assert not build.is_built()


def test_the_launcher_is_small() -> None:
    build.build()
    assert len(gzip.compress((build.DIST / "kefu.js").read_bytes())) < LAUNCHER_BYTES


def test_each_version_is_exact_and_no_registry_is_named() -> None:
    package = json.loads((build.WEB / "package.json").read_text())
    versions = {**package["dependencies"], **package["devDependencies"]}
    assert all(version[0].isdigit() for version in versions.values())
    lock = json.loads((build.WEB / "package-lock.json").read_text())
    entries = [entry for name, entry in lock["packages"].items() if name]
    assert all("integrity" in entry for entry in entries)
    assert not any("resolved" in entry for entry in entries)


def test_doctor_tells_of_a_widget_that_is_not_built(sources: Path) -> None:
    settings = Settings(_env_file=None)
    found = widget(settings)
    assert (found.ok, found.seen, found.remedy) == (False, "not built", "run kefu prepare")
    (sources / "dist").mkdir()
    (sources / "dist" / "kefu.js").write_text("")
    (sources / "dist" / build.STAMP).write_text("of other sources")
    assert widget(settings).seen == "older than its sources"
    (sources / "dist" / build.STAMP).write_text(build._stamp(build._sources()))
    assert widget(settings).ok
