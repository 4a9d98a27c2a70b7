"""The documents name files, headings, modules, commands and flags that exist. No command is run."""

import pkgutil
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from toyflow import toml
from toyflow.cli import app
from toyflow.sweep.presets import available_presets

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "lerobot_policy_toyflow" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
ROOMS = (
    "benchmarks",
    "docs",
    "experiments",
    "lerobot_policy_toyflow",
    "results/reference",
    "tests",
    "toyflow",
)
"""Folders of the repository. A path below another one, such as OUT/cells/KEY, is a user's."""
ENTRY_POINT_GROUPS = toml.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
LAUNCHERS = ("-m", "--", "do", "entrypoint:")
"""What may stand before `toyflow` in a line of shell or YAML."""

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def blocks_of(text: str) -> tuple[list[str], str]:
    """The code blocks of a Markdown text, fenced (but for Python and TOML) or indented, and the rest."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    indented = re.findall(r"(?:^|\n)\n((?: {4,}\S.*\n)+)", text)
    for block in indented:
        text = text.replace(block, "")
    return [code for language, code in fenced if language not in ("python", "toml", "text")] + indented, text


def inline_code(prose: str) -> list[str]:
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]


def words_of(text: str) -> list[str]:
    """Words of code blocks and of inline code."""
    blocks, prose = blocks_of(text)
    return [word.strip(".,;:()'\"") for code in [*blocks, *inline_code(prose)] for word in code.split()]


def commands_in(code: str) -> list[list[str]]:
    """The words after `toyflow` of every toyflow command in a piece of shell."""
    found = []
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars=";&")
        words.whitespace_split = True
        command: list[str] = []
        for word in [*words, ";"] if "toyflow " in line else []:
            if word not in (";", "&&"):
                command.append(word)
                continue
            if "toyflow" in command:
                before, after = command[: command.index("toyflow")], command[command.index("toyflow") + 1 :]
                if after and (not before or before[-1] in LAUNCHERS or before[0] == "chrt"):
                    found.append(after)
            command = []
    return found


def check_command(words: list[str], whole: bool) -> None:
    """Parse the words as the command line would. A command that is not `whole` may lack required words."""
    if words == ["--install-completion"]:  # which parsing alone would install
        return
    command: Any = typer.main.get_command(app)
    said = list(words)
    while said and (commands := getattr(command, "commands", None)) and not said[0].startswith("-"):
        assert said[0] in commands, f"toyflow {' '.join(words)}: no command {said[0]}"
        _, command, said = command.resolve_command(command.context_class(command), said)
    try:
        if whole:
            command.make_context(words[0], said)
        else:
            command.make_parser(command.context_class(command)).parse_args(said)
    except Exception as error:  # typer may carry its own copy of click, so it has no one class
        message = getattr(error, "format_message", error.__repr__)()
        raise AssertionError(f"toyflow {' '.join(words)}: {message}") from error
    if "--preset" in words:
        assert words[words.index("--preset") + 1] in available_presets()


def slug(heading: str) -> str:
    """GitHub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@each_document
def test_links(document):
    text = document.read_text()
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
        target = document.parent / path if path else document
        assert target.exists(), path
        if anchor:
            headings = re.findall(r"^#+ (.*)$", blocks_of(target.read_text())[1], re.MULTILINE)
            assert anchor in map(slug, headings), f"{path}#{anchor}"


@each_document
def test_paths(document):
    """A path of the repository, or, if it is a Python file or ends in a slash, of the package toyflow."""
    packages = tuple(f"{path.name}/" for path in (ROOT / "toyflow").iterdir() if path.is_dir())
    for word in words_of(document.read_text()):
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", word):
            continue
        if word.startswith(tuple(f"{room}/" for room in ROOMS)):
            assert (ROOT / word).exists(), word
        elif word.endswith(".py") or (word.startswith(packages) and word.endswith("/")):
            assert any((folder / word).exists() for folder in (ROOT, ROOT / "toyflow")), word


@each_document
def test_modules(document):
    """Dotted names are modules, or what they have, or groups of entry points."""
    for word in words_of(document.read_text()):
        if re.fullmatch(r"toyflow(\.\w+)+", word) and word not in (*ENTRY_POINT_GROUPS, "toyflow.json"):
            assert pkgutil.resolve_name(word), word


@each_document
def test_commands(document):
    blocks, prose = blocks_of(document.read_text())
    for words in [words for code in blocks for words in commands_in(code)]:
        check_command(words, whole="..." not in words)
    for words in [words for code in inline_code(prose) for words in commands_in(code)]:
        check_command(words, whole=False)


@pytest.mark.parametrize("preset", available_presets().values(), ids=lambda path: path.stem)
def test_commands_of_presets(preset):
    comment = " ".join(re.findall(r"^# ?(.*)$", preset.read_text(), re.MULTILINE))
    assert comment.startswith(f"toyflow sweep --preset {preset.stem} ")
    for words in [words for code in inline_code(comment) for words in commands_in(code)]:
        check_command(words, whole=True)


@pytest.mark.parametrize(
    "line",
    ["toyflow swep", "toyflow sweep --schedule x", "toyflow runs", "chrt -f 10 toyflow robot-run --robots y"],
)
def test_a_wrong_command_is_found(line):
    [words] = commands_in(line)
    with pytest.raises(AssertionError, match="toyflow"):
        check_command(words, whole=True)


def test_all_commands_of_a_block_are_found():
    [block] = blocks_of(
        "Text:\n\n    toyflow a \\\n        --b c; toyflow d  # toyflow e\n    cd toyflow\n\n"
    )[0]
    assert commands_in(block) == [["a", "--b", "c"], ["d"]]
