"""The parts of pages that toyflow itself says: its commands, from Typer, and its schedules, objectives, tasks
and presets, from the plug-ins. A page has a comment where such a part goes:

    <!-- generated: commands -->

As the parts are made when the site is built, they are never older than the code.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from toyflow import plugins
from toyflow.cli.index import INDEX, load
from toyflow.optionset import OptionSet
from toyflow.sweep.presets import available_presets, notes
from toyflow.sweep.subject import load_subject

PLACE = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


def filled(page: str) -> str:
    """A page with its generated parts.

    Raises:
        KeyError: it asks for a part that nothing makes.
    """
    return PLACE.sub(lambda place: PARTS[place[1]](), page)


def commands() -> str:
    """A section for each command of toyflow, and for each command of a group."""
    return "\n".join(part for name in _names() for part in _sections(f"toyflow {name}", load(name)))


def schedules() -> str:
    """A row for each schedule, with the first sentence of its docstring, its source and its example name."""
    rows = [
        (f"`{name}`", _first(plugins.load("schedules", name)), _text(plugins.load("schedules", name).source))
        for name in sorted(plugins.available("schedules"))
    ]
    return _table(("name", "what it is", "source"), rows)


def objectives() -> str:
    """A row for each objective."""
    rows = [
        (f"`{name}`", _first(kind), "yes" if kind.uses_schedule else "no", _text(kind.source))
        for name in sorted(plugins.available("objectives"))
        if (kind := plugins.load("objectives", name))
    ]
    return _table(("name", "loss", "takes a schedule", "source"), rows)


def tasks() -> str:
    """A section for each task: what it is, its metrics and its options."""
    parts = []
    for name in sorted(plugins.available("tasks")):
        task = load_subject(name)
        sets = (task.data_options, task.waivers, task.model_options, task.evaluation_options)
        metrics = ", ".join(f"`{metric}`" for metric in (*task.metrics, *task.set_metrics))
        said = _first(type(task) if not isinstance(task, type) else task)
        rows = [row for options in sets for row in _option_rows(options)]
        parts += [f"### {name}", said, f"Metrics, the headline first: {metrics}."]
        parts += [_table(("`--set`", "values, the default in bold"), rows)] if rows else []
    return "\n\n".join(parts)


def presets() -> str:
    """A section for each preset: what it shows, what decides it, what it costs."""
    parts = []
    for name, path in available_presets().items():
        said = notes(path)
        shows = _text(said.shows)
        lines = [f"### {name}", shows[:1].upper() + shows[1:]]
        for word, text in (
            ("Decides", said.decides),
            ("First", said.first),
            ("Cost", said.cost),
            ("With `--quick`", said.quick),
        ):
            lines += [f"**{word}:** {_text(text)}"] if text else []
        parts.append("\n\n".join([*lines, f"    toyflow sweep --preset {name}"]))
    return "\n\n".join(parts)


PARTS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "schedules": schedules,
    "objectives": objectives,
    "tasks": tasks,
    "presets": presets,
}


def _names() -> Iterator[str]:
    return (name for sentences in INDEX.values() for name in sentences)


def _sections(path: str, command: Any) -> Iterator[str]:
    """Markdown of a command: usage, text, arguments and options, examples; of a group, of its commands."""
    yield f"## {path}\n\n{_help(command.help or '')}\n"
    if grouped := getattr(command, "commands", None):
        for name, each in grouped.items():
            yield from _sections(f"{path} {name}", each)
        return
    context = command.context_class(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{path} {usage}\n```\n"
    rows = [
        (f"`{names.removesuffix(' <str>')}`", _help(said))
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) and record[0] != "--help"
        for names, said in [record]
    ]
    if rows:
        yield _table(("argument or option", "what it does"), rows) + "\n"
    examples = [line.strip() for line in (command.epilog or "").splitlines() if line.startswith("  ")]
    if examples:
        yield "Examples:\n\n```sh\n" + "\n".join(examples) + "\n```\n"


def _help(text: str) -> str:
    """A command's help as Markdown: rich's markup becomes Markdown's, and the rest is escaped."""
    return re.sub(r"\[/?bold\]|\[/\]", "", _text(text, paragraphs=True))


def _text(text: str, paragraphs: bool = False) -> str:
    """Prose in which nothing is taken for Markdown but the code that it quotes."""
    between = "\n\n" if paragraphs else " "
    flowing = between.join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
    pieces = re.split(r"(`[^`]+`)", flowing)
    return "".join(
        piece if piece.startswith("`") else re.sub(r"([*_<>|~^])", r"\\\1", piece) for piece in pieces
    )


def _first(documented: Any) -> str:
    """The first paragraph of a docstring, with the formula after it if it ends before one."""
    first, *rest = (inspect.getdoc(documented) or "").split("\n\n")
    return _text(first if first.endswith(".") or not rest else f"{first} {rest[0]}")


def _option_rows(options: type[OptionSet]) -> Iterator[tuple[str, str]]:
    for name, said in options.values().items():
        yield f"`{name}`", re.sub(r"\[bold\](.*?)\[/(?:bold)?\]", r"**\1**", str(said))


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (header, ("---",) * len(header), *rows)
    return "\n".join(f"| {' | '.join(' '.join(cell.split()) for cell in line)} |" for line in lines)
