"""The command line: one thin function per command. Heavy imports wait until a command runs."""

from __future__ import annotations

import io
import signal
import sys
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from toyflow.cli.index import Commands
from toyflow.cli.shell_words import completing_words
from toyflow.errors import ToyflowError
from toyflow.launch import launch
from toyflow.version import __version__

app = typer.Typer(
    name="toyflow",
    cls=Commands,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Is one denoising step enough? Train flow-matching models with different schedules of "
    "the training time, decode them in any number of steps, and compare them with error bars.",
    epilog="Start with [bold]toyflow sweep[/], then [bold]toyflow plot[/]. Trouble: [bold]toyflow doctor[/].",
)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Toyflow."""
    if version:
        typer.echo(f"toyflow {__version__}")
        raise typer.Exit


class Stopped(BaseException):
    """SIGINT or SIGTERM. A class of its own, so that no library catches it."""


def main() -> None:
    """Entry point: an error becomes one line and an exit code, 2 before work starts and 1 after."""
    asked: list[int] = []

    def stop(number: int, _: object) -> None:
        asked.append(number)
        raise Stopped(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without these characters shows question marks
    try:
        with completing_words():
            sys.exit(app(standalone_mode=False, prog_name="toyflow"))
    except (Exception, Stopped) as error:
        if asked:  # in the middle of an import the signal may have become another error
            _stop(asked[0])
        _report(error)


def _stop(number: int) -> NoReturn:
    if not launch().is_main:  # the main process speaks for all
        sys.exit(128 + number)
    _fail("stopped; what is finished is kept", 128 + number)


def _report(error: BaseException) -> NoReturn:
    if isinstance(error, ToyflowError):
        _fail(error.in_full(), error.exit_code)
    # Typer may carry its own copy of click, so its errors are known by what they can do.
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "toyflow"
        message = str(error.format_message())  # pyright: ignore[reportAttributeAccessIssue]
        if not message:  # a group of commands without one: its help has been printed
            sys.exit(2)
        end = "" if message.endswith((".", "?", "!")) else "."
        _fail(f"{message}{end} See {command} --help.", 2)
    if isinstance(error, OSError):
        _fail(f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}", 1)
    raise error


def _fail(message: str, code: int) -> NoReturn:
    stderr = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
    here = launch()
    who = "toyflow" if here.is_main else f"toyflow, process {here.rank}"
    stderr.print(f"[bold red]{who}:[/] {escape(message)}")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # a signal that comes now ends the process without a word
    sys.exit(code)
