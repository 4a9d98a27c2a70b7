"""How pages are put together for the site."""

import sys
from pathlib import Path

import build_site
import pytest

HTML = '<link rel="stylesheet" href="{0}"><script src="{0}"></script><img src="{0}"><a href="{0}">no</a>'


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """A repository with two pages and a table outside of docs/."""
    for name, text in {
        "docs/index.md": "[one](guides/one.md#a) ![two](../results/figure.png) [how](../CONTRIBUTING.md)\n",
        "docs/guides/one.md": "# A\n[table](../../results/table.csv) [web](https://example.org) [here](#a)\n",
        "docs/tools/build_site.py": "no page",
        "results/table.csv": "1",
        "results/figure.png": "2",
        "CONTRIBUTING.md": "[one](docs/guides/one.md)\n",
        "CHANGELOG.md": "\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, folder in {"ROOT": ".", "PAGES": "docs", "STAGE": "build/docs", "SITE": "build/site"}.items():
        monkeypatch.setattr(build_site, name, tmp_path / folder)
    return tmp_path


def test_links_out_of_docs_take_their_files_along(pages):
    build_site.stage()
    staged = pages / "build" / "docs"
    assert (staged / "index.md").read_text() == (
        "[one](guides/one.md#a) ![two](files/results/figure.png) [how](contributing.md)\n"
    )
    assert (
        "[table](../files/results/table.csv) [web](https://example.org) [here](#a)"
        in (staged / "guides" / "one.md").read_text()
    )
    assert (staged / "contributing.md").read_text() == "[one](guides/one.md)\n"
    assert (staged / "files" / "results" / "table.csv").read_text() == "1"
    assert not (staged / "tools").exists()


def test_a_link_to_no_file_is_an_error(pages):
    (pages / "docs" / "index.md").write_text("[lost](../results/lost.csv)")
    with pytest.raises(FileNotFoundError, match=r"lost\.csv"):
        build_site.stage()


def test_what_a_browser_would_fetch_from_elsewhere_is_found(tmp_path):
    (tmp_path / "page.html").write_text(HTML.format("https://example.org/x") + HTML.format("assets/x"))
    (tmp_path / "style.css").write_text("a{background:url(//example.org/y)} b{background:url(z.png)}")
    assert build_site.fetched_from_elsewhere(tmp_path) == [
        *["page.html: https://example.org/x"] * 3,
        "style.css: //example.org/y",
    ]


def test_a_broken_link_fails_the_build(tmp_path, capfd, monkeypatch, pages):
    pytest.importorskip("zensical", reason="pip install 'toyflow[docs]'")
    (pages / "docs" / "index.md").write_text("# A\n[lost](guides/one.md#nowhere)\n")
    (pages / "zensical.toml").write_text(
        '[project]\nsite_name = "a"\ndocs_dir = "build/docs"\nsite_dir = "build/site"\n'
        "[project.validation]\ninvalid_link_anchors = true\n"
    )
    assert build_site.build() != 0
    assert "anchor does not exist" in capfd.readouterr().out


def test_the_python_of_the_environment_builds(monkeypatch):
    """Not another zensical that the shell would find."""
    asked = []
    monkeypatch.setattr(build_site, "stage", lambda: None)
    monkeypatch.setattr(
        build_site.subprocess,
        "run",
        lambda command, **_: (asked.append(command), type("Done", (), {"returncode": 3, "stdout": ""}))[1],
    )
    assert build_site.build() == 3
    assert Path(asked[0][0]).parent == Path(sys.executable).parent
