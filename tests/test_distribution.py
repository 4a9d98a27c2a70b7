"""What is released: a source distribution, the wheel built from it, and toyflow as the wheel installs it,
away from the checkout. The packages that it needs are those of the tests' environment."""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from toyflow import toml
from toyflow.version import __version__

ROOT = Path(__file__).parents[1]
HEADINGS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
"""Of keepachangelog.com, 1.1.0."""

pytestmark = pytest.mark.timeout(900)


def run(*command: str, folder: Path, **environment: str) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with both files, the wheel being built from the source distribution alone."""
    for module in ("build", "hatchling"):
        pytest.importorskip(module, reason="pip install -e '.[dev]'")
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT), folder=folder)
    return folder


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """The folder that the wheel is installed in."""
    folder = tmp_path_factory.mktemp("site")
    [wheel] = built.glob("*.whl")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile")
    run(*pip, "--target", str(folder), str(wheel), folder=folder)
    return folder


@pytest.mark.slow
def test_the_registry_would_accept_both(built):
    for module in ("twine", "check_wheel_contents"):
        pytest.importorskip(module, reason="pip install -e '.[dev]'")
    files = sorted(map(str, built.iterdir()))
    assert len(files) == 2
    assert "FAILED" not in run(sys.executable, "-m", "twine", "check", "--strict", *files, folder=ROOT)
    [wheel] = built.glob("*.whl")
    run(sys.executable, "-m", "check_wheel_contents", str(wheel), folder=ROOT)


@pytest.mark.slow
def test_what_they_hold(built):
    [sdist], [wheel] = built.glob("*.tar.gz"), built.glob("*.whl")
    assert sdist.name == f"toyflow-{__version__}.tar.gz"
    with tarfile.open(sdist) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    tops = {name.partition("/")[0] for name in sources}
    assert tops == {
        "toyflow", "experiments", "pyproject.toml", "constraints.txt", "README.md", "LICENSE", "CHANGELOG.md",
        "CITATION.cff", "PKG-INFO", ".gitignore",
    }  # fmt: skip
    packed = set(zipfile.ZipFile(wheel).namelist())
    tracked = run("git", "ls-files", "toyflow", folder=ROOT).split()
    assert {name for name in tracked if (ROOT / name).exists()} <= packed & sources
    for preset in (ROOT / "experiments").glob("*.toml"):
        assert f"toyflow/experiments/{preset.name}" in packed
    assert max(sdist.stat().st_size, wheel.stat().st_size) < 16 << 20


@pytest.mark.slow
def test_a_wheel_away_from_the_checkout(installed, tmp_path):
    """All that a user does first."""

    def toyflow(*words: str) -> str:
        return run(sys.executable, "-m", "toyflow", *words, folder=tmp_path, PYTHONPATH=str(installed))

    where = run(
        sys.executable, "-c", "import toyflow; print(toyflow.__file__)",
        folder=tmp_path, PYTHONPATH=str(installed),
    )  # fmt: skip
    assert Path(where.strip()) == installed / "toyflow" / "__init__.py"
    assert __version__ in toyflow("--version")
    toyflow(
        "sweep", "--task", "wave", "--schedules", "beta,uniform", "--steps", "1,10", "--seeds", "0-1",
        "--iterations", "20",
    )  # fmt: skip
    assert "score_by_steps.png" in toyflow("plot")
    assert "over 2 seeds" in " ".join(toyflow("compare", "beta", "uniform").split())
    assert "anatomy.png" in toyflow("probe")
    assert "report.html" in toyflow("report")
    assert "explore.html" in toyflow("explore")
    for page in ("report.html", "explore.html"):
        assert "</html>" in (tmp_path / "results" / "sweep" / page).read_text()
    presets = toyflow("presets")
    assert "finding-1" in presets and "headline-grid" in presets
    assert "to run" in toyflow("sweep", "--preset", "one-step-wave", "--quick", "--dry-run")


def to_install(environment: Path, *words: str) -> list[str] | None:
    """What pip would install into `environment`, which has nothing but what is installed there already; None
    where that needs a download."""
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install",
            "--dry-run", "--quiet", "--no-index", "--report", "-", *words,
        ],
        cwd=environment, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        assert "torch" in done.stderr, done.stderr
        return None
    return [each["metadata"]["name"] for each in json.loads(done.stdout)["install"]]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="an environment's Python lies elsewhere")
def test_a_pair_of_torch_and_torchvision_for_the_cpu_is_kept(tmp_path):
    """By pip's resolver, with distributions that are names alone: toyflow's requirements fit any pair that is
    recent enough, and constraints.txt fits the builds of its own pair for whatever device."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path)], check=True)
    [site] = tmp_path.glob("lib/python*/site-packages")
    project = toml.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [
        each
        for each in map(Requirement, project["dependencies"])
        if not each.marker or each.marker.evaluate()
    ]

    def pretend(name: str, number: str) -> None:
        info = site / f"{name.replace('-', '_')}-0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
        (info / "RECORD").touch()

    for each in needed:
        if not each.name.startswith("torch"):
            pretend(each.name, version(each.name))
    words = list(map(str, needed))
    constrained = [*words, "--constraint", str(ROOT / "constraints.txt")]
    for torch, torchvision, kept, kept_by_constraints in [
        ("2.10.0+cpu", "0.25.0+cpu", True, True),
        ("2.8.0+cpu", "0.23.0+cpu", True, False),
        ("2.3.1+cpu", "0.18.1+cpu", False, False),
    ]:
        pretend("torch", torch)
        pretend("torchvision", torchvision)
        assert (to_install(tmp_path, *words) == []) == kept
        assert (to_install(tmp_path, *constrained) == []) == kept_by_constraints


def test_the_changelog_has_its_form():
    """Keep a Changelog: versions from the newest with their day, and changes under known headings."""
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[(.*?)\](?: - (\d{4}-\d{2}-\d{2}))?$", text, re.MULTILINE)
    assert len(versions) == len(re.findall(r"^## ", text, re.MULTILINE))
    assert versions[0] == ("Unreleased", "") and versions[1][0] == __version__
    days = [day for _, day in versions[1:]]
    assert all(days) and days == sorted(days, reverse=True)
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= set(HEADINGS)


def test_what_the_changelog_says_to_import_exists():
    """Of the table of what moved, the rightmost cells."""
    from pkgutil import resolve_name

    text = (ROOT / "CHANGELOG.md").read_text()
    rows = re.findall(r"^\| (?:module|function|class) \| .* \| (.*) \|$", text, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`((?:api|toy|flow|sweep|robot)\.[\w.]+\w)`", row)]
    assert len(named) > 10
    for name in named:
        assert resolve_name(f"toyflow.{name}"), name


def test_the_citation_is_of_this_version():
    """`make dist` does not read it; its form was checked by cffconvert."""
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and citation["authors"] and citation["message"]
    assert citation["version"] == __version__
    version, day = re.findall(r"^## \[(\d.*?)\] - (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[
        0
    ]
    assert (version, day) == (__version__, str(citation["date-released"]))
    licences = toml.loads((ROOT / "pyproject.toml").read_text())["project"]["license"].split(" AND ")
    assert citation["license"] == licences[0], "a list would mean a choice between them"
