"""Builds the documentation: `make docs`, or `python docs/tools/build_site.py`.

    docs/*.md, CONTRIBUTING.md, CHANGELOG.md      as they are in the repository
      -> build/docs                               with the parts that toyflow says itself, and the files
                                                  outside of docs/ that they link to
      -> build/site                               HTML, by zensical, which fails on a link or anchor that
                                                  leads nowhere

Open build/site/index.html: no server is needed, search included. At the end every page is read for what a
browser would fetch from elsewhere; there must be nothing.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

from generated_parts import filled

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs"
STAGE = ROOT / "build" / "docs"
SITE = ROOT / "build" / "site"
FROM_ROOT = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages of the site that lie at the repository's root, and their names in the site."""
LINK = re.compile(r"(!?\[(?:[^\]\[]|\[[^\]]*\])*\]\()(?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")
FETCHES = {
    "script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src",
    "embed": "src", "object": "data", "link": "href",
}  # fmt: skip
"""Elements whose attribute makes a browser fetch a file."""


def stage() -> None:
    """Write build/docs anew."""
    shutil.rmtree(STAGE, ignore_errors=True)
    for path in sorted(PAGES.rglob("*")):
        place = path.relative_to(PAGES)
        if not path.is_file() or place.parts[0] == "tools":
            continue
        target = STAGE / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            target.write_text(page_of(path, place))
        else:
            shutil.copyfile(path, target)
    for name, place in FROM_ROOT.items():
        (STAGE / place).write_text(page_of(ROOT / name, Path(place)))


def page_of(path: Path, place: Path) -> str:
    """The text of a page for the site, in which it is at `place`. Files of the repository that it links to
    are copied beside the pages.

    Raises:
        FileNotFoundError: it links to a file that does not exist.
    """

    def linked(found: re.Match[str]) -> str:
        before, link, anchor = found[1], found[2], found[3] or ""
        return f"{before}{'../' * (len(place.parts) - 1)}{site_place(path.parent / link)}{anchor})"

    return LINK.sub(linked, filled(path.read_text()))


def site_place(path: Path) -> Path:
    """Where a file of the repository is in the site."""
    path = path.resolve()
    if path.is_relative_to(PAGES):
        return path.relative_to(PAGES)
    place = path.relative_to(ROOT)
    if str(place) in FROM_ROOT:
        return Path(FROM_ROOT[str(place)])
    copy = STAGE / "files" / place
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, copy)
    return copy.relative_to(STAGE)


class Fetched(HTMLParser):
    """What a browser fetches from elsewhere to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the address of an element that is fetched."""
        said = dict(attrs)
        address = said.get(FETCHES.get(tag, "")) or ""
        if said.get("rel") in ("canonical", "next", "prev"):
            return
        if re.match(r"(https?:)?//", address):
            self.addresses.append(address)


def fetched_from_elsewhere(site: Path) -> list[str]:
    """`page: address` for everything that pages and style sheets of a site fetch from elsewhere."""
    found = []
    for path in sorted(site.rglob("*.html")):
        page = Fetched()
        page.feed(path.read_text())
        found += [f"{path.relative_to(site)}: {address}" for address in page.addresses]
    for path in sorted(site.rglob("*.css")):
        addresses = re.findall(r"""(?:url\(|@import )["']?((?:https?:)?//[^"')]+)""", path.read_text())
        found += [f"{path.relative_to(site)}: {address}" for address in addresses]
    return found


def build() -> int:
    """Build the site; the exit code."""
    stage()
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--clean", "--strict"]
    built = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if built.returncode:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", built.stdout)  # it colours what no terminal shows
        print(plain.split("Traceback (most recent call last)")[0].strip())
        return built.returncode
    if found := fetched_from_elsewhere(SITE):
        print("The site must not fetch anything from elsewhere:", *found, sep="\n  ")
        return 1
    print(f"The documentation is in {SITE}; open {SITE / 'index.html'}.")
    return 0


if __name__ == "__main__":
    sys.exit(build())
