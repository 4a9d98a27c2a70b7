"""Help: every command has it, in 80 columns, with examples, and quickly."""

import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
import typer
from commands import start

from toyflow.api import sweeping
from toyflow.cli import app, index
from toyflow.cli.index import INDEX, load
from toyflow.robot.policy.policy_recipes import RECIPES
from toyflow.sweep.store import Store
from toyflow.training import OneCycle

PLACEHOLDERS = (
    "KEY",
    "CHECKPOINT",
    "ws://",
    "my/",
    "me/",
    "lerobot",
    "outputs/",
    "robot-runs/",
    "auto",
    "mine",
)
"""What marks an example that needs something of the user's: a policy, a server, a data set, a cluster."""
NOT_RUN = ("recommend", "robot-train", "robot-demos", "robot-setup", "robot-data", "robot-limits")
"""Commands whose examples are parsed alone: they train for minutes, or need data or a simulator."""
ANOTHER_FOLDER = ("finding-2", "--quick", "shift:4@beta uniform")
"""Parts of examples that need models which the test's small sweep has not."""


def commands() -> dict[str, click.Command]:
    """Every command by what a user types."""
    found: dict[str, click.Command] = {}
    for name in typer.main.get_group(app).commands:
        command = load(name)
        inner = getattr(command, "commands", None)
        found |= {name: command} if inner is None else {f"{name} {sub}": of for sub, of in inner.items()}
    return found


def test_the_index_names_the_commands_of_each_module_and_what_their_help_begins_with():
    for module, sentences in INDEX.items():
        added = typer.Typer()
        import_module(f"toyflow.cli.{module}").add_commands(added)
        assert list(typer.main.get_group(added).commands) == list(sentences)
        for name, sentence in sentences.items():
            assert load(name).help.split("\n\n")[0] == sentence
    files = {path.stem for path in Path(index.__file__).parent.glob("*.py")}
    shared = {"shell_words", "closed_loop_options", "completion", "options", "terminal"}
    assert files - set(INDEX) == {"__init__", "index", *shared}


def test_help_imports_no_command():
    code = "import sys, toyflow.cli\ntry:\n    toyflow.cli.main()\nfinally:\n    print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert "Draw the figures" in done.stdout and "toyflow.cli.index" in done.stdout
    assert not any(f"toyflow.cli.{module}" in done.stdout.split() for module in INDEX)


def test_every_command_has_examples_which_it_can_parse():
    """Nothing is run."""
    every = commands()
    shown: set[str] = set()
    for command in every.values():
        for line in (command.epilog or "").replace("[bold]Examples[/]", "").split("\n\n"):
            words = shlex.split(line)
            if words[:1] != ["toyflow"]:
                continue
            length = 2 if words[1] in ("runs", "robot-data") else 1
            name = " ".join(words[1 : 1 + length])
            every[name].make_context(name, words[1 + length :])
            shown.add(name)
    assert shown == set(every)


def test_help_names_the_defaults_of_the_recipes(toyflow):
    """Which it does not import, as they need torch."""
    toy = OneCycle()
    swept = " ".join(toyflow("sweep", "--help").stdout.replace("│", " ").split())
    for number in (toy.iterations, toy.batch_size, toy.learning_rate):
        assert f"({number} for toy tasks; for robot " in swept
    sizes = RECIPES.items()
    assert ", ".join(f"{recipe.iterations} {name}" for name, recipe in sizes) in swept
    assert ", ".join(f"{recipe.batch_size} {name}" for name, recipe in sizes) in swept
    assert ", ".join(f"{recipe.learning_rate:g} {name}" for name, recipe in sizes) in swept
    trained = " ".join(toyflow("robot-train", "--help").stdout.replace("│", " ").split())
    for name in ("iterations", "batch_size", "learning_rate"):
        by_size = ", ".join(f"{size} {getattr(recipe, name):g}" for size, recipe in RECIPES.items())
        assert f"({by_size}" in trained


def test_help_fits_its_terminal(toyflow):
    shown = toyflow.apart("sweep", "--help", COLUMNS="80").stdout
    assert " the same command goes on " in shown  # a paragraph, not the source's lines


def test_help_does_not_import_torch(toyflow, tmp_path):
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    result = toyflow.apart("sweep", "--help", PYTHONPATH=str(tmp_path))
    assert result.returncode == 0, result.stderr


def examples() -> list[list[str]]:
    """The words after `toyflow` of every example of a command's help."""
    lines = [
        shlex.split(line)
        for command in commands().values()
        for line in (command.epilog or "").replace("[bold]Examples[/]", "").split("\n\n")
        if line.strip().startswith("toyflow ")
    ]
    return [words[1:] for words in lines]


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> Path:
    """A folder with two small sweeps, where a user's `results` is."""
    folder = tmp_path_factory.mktemp("examples")
    process = start(
        folder, "sweep", "--task", "points", "--iterations", "30", "--seeds", "0-1", "--steps", "1,10",
        "--schedules", "beta,uniform", "--jobs", "2",
    )  # fmt: skip
    said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    shutil.copytree(folder / "results" / "sweep", folder / "results" / "finding-1")
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_examples_run(toyflow, swept, tmp_path, monkeypatch):
    """As they are written, those of sweep with --dry-run and untimed; see `PLACEHOLDERS` for the others."""
    monkeypatch.setattr(sweeping, "estimates", lambda cells, runner: [None] * len(cells))
    keys = [training.record.key[:6] for training in Store(swept / "results" / "sweep").trainings()]
    run = 0
    for words in examples():
        line = " ".join(words)
        if words[0] in NOT_RUN or any(part in line for part in (*PLACEHOLDERS, *ANOTHER_FOLDER)):
            continue
        replaced = [{"3f2a": keys[0], "90bc": keys[1]}.get(word, word) for word in words]
        extra = {"sweep": ["--dry-run"], "runs": ["--yes"] if "prune" in words else []}.get(words[0], [])
        monkeypatch.chdir(tmp_path if words[0] == "sweep" else swept)
        done = toyflow(*replaced, *extra)
        assert done.returncode == 0 or words[0] == "doctor", (line, done.stderr)
        run += 1
    assert run >= 25, run


def test_help_fits_80_columns(monkeypatch, capsys):
    """Nothing is wider, and nothing is cut off."""
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("", *commands(), "runs", "robot-data"):
        app([*name.split(), "--help"], standalone_mode=False, prog_name="toyflow")
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) > 10
        assert not [line for line in lines if len(line) > 80 or "…" in line], name


def test_a_paragraph_of_help_is_broken_by_the_terminal_alone():
    broken = {name for name, each in commands().items() if "\n" in (each.help or "").replace("\n\n", "")}
    assert not broken


def test_every_option_and_argument_has_a_sentence():
    for name, command in commands().items():
        for parameter in command.params:
            said = getattr(parameter, "help", None) or ""
            assert said.endswith(".") and len(said.split()) > 1, f"{name}: {parameter.name}: {said!r}"


def test_toyflow_alone_greets_with_three_things_to_do(toyflow):
    done = toyflow()
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and not done.stderr and max(map(len, lines)) <= 80
    things = [shlex.split(line.split("   ")[0]) for line in lines if line.startswith("  toyflow ")]
    assert len(things) == 3
    every = commands()
    for _, name, *words in things:
        every[name].make_context(name, words)


def test_a_group_of_commands_alone_prints_its_help_and_no_error(toyflow):
    for group in ("runs", "robot-data"):
        done = toyflow(group)
        assert done.returncode == 2 and "Usage" in done.stdout + done.stderr
        assert "toyflow:" not in done.stderr
