"""The command that says what one step loses. `toyflow.cli` adds it to its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from toyflow.cli import completion
from toyflow.cli.options import (
    OUT,
    ROBOT_OUT,
    Device,
    Keys,
    ServerKey,
    ServerName,
    ServerTimeout,
    Threads,
    examples,
)
from toyflow.cli.terminal import check_torch, console, progress
from toyflow.errors import UsageError
from toyflow.robot.runtime.remote.addresses import RemoteOptions


def add_commands(app: typer.Typer) -> None:
    """Add probe to `app`."""

    @app.command(
        epilog=examples(
            "toyflow probe",
            "toyflow probe beta uniform --steps 100",
            "toyflow probe 3f2a",
            "toyflow probe results/robot/cells/KEY --dataset data/demos/libero_object",
            "toyflow probe lerobot/smolvla_libero --dataset HuggingFaceVLA/libero --episodes 1600-1690",
            "toyflow probe outputs/train/checkpoints/last --dataset my/robot --steps 1,2,10 --draws 1,8",
            "toyflow probe 1=ws://gpu:8000,10=ws://gpu:8001 --dataset my/robot --name pi05",
        )
    )
    def probe(
        selections: Annotated[
            list[str] | None,
            typer.Argument(
                help="Schedules, objectives or keys; none for every model. Or a policy: its folder, "
                "OUT/cells/KEY; a LeRobot policy, a folder or a name on the hub; or servers, ws://HOST:PORT.",
                autocompletion=completion.either(completion.trained, completion.policy_folder),
            ),
        ] = None,
        dataset: Annotated[
            str | None,
            typer.Option(
                help="Probe a policy on this LeRobot data set: a folder, or a name on the hub.",
                show_default="of a policy's folder, what it was trained on",
            ),
        ] = None,
        episodes: Annotated[
            str | None,
            typer.Option(
                help="Episodes of the data set, such as 40-49.", show_default="held-out ones, else all"
            ),
        ] = None,
        steps: Annotated[
            str | None,
            typer.Option(
                help="Number K of steps of the sampled paths; of a policy, the numbers to compare.",
                show_default="50; of a policy 1,10",
            ),
        ] = None,
        draws: Annotated[
            str | None,
            typer.Option(
                help="Of a policy: numbers of noises whose answers are averaged.", show_default="1,8"
            ),
        ] = None,
        most: Annotated[
            int, typer.Option("--examples", help="Most examples, or frames of the data set.")
        ] = 500,
        device: Device = "auto",
        threads: Threads = None,
        data_dir: Annotated[
            str | None,
            typer.Option(
                help="Data sets of a toy task, or the demonstrations of a policy if they have moved."
            ),
        ] = None,
        fps: Annotated[
            float | None,
            typer.Option(
                help="Of a policy: actions per second at which the data were recorded.",
                show_default="as the data set states",
            ),
        ] = None,
        rename: Annotated[
            str | None,
            typer.Option(
                metavar="POLICY=DATA",
                help="Renamed cameras of a LeRobot policy, the policy's name first, such as "
                "front=image,wrist=eye.",
            ),
        ] = None,
        keys: Keys = None,
        name: ServerName = None,
        api_key_file: ServerKey = None,
        timeout: ServerTimeout = RemoteOptions.timeout,
        out: Annotated[
            Path | None,
            typer.Option(
                help="Results folder; for a policy of LeRobot or a server, the one that it is added to.",
                show_default=f"{OUT}, or {ROBOT_OUT}",
                autocompletion=completion.results_folder,
            ),
        ] = None,
    ) -> None:
        """Say what one step loses, and what to do about it: the anatomy of every model's one-step error.

        The error of one step is noise that leaks through the network (which averaged draws or --predict data
        remove), bias (which training removes), and the task's own spread (for which several steps are there).
        Where a model has a velocity, its error by noise level is measured, too, how straight its sampled
        paths are, and how far one step lands from many. Where a task knows the optimal field in closed form,
        that is measured as well. Toy models are probed on the first examples of their test set: where the
        number of draws or of steps is chosen by what is found, train and probe with --set split=validation.

        A policy is probed on frames of a data set, without a simulator: its anatomy by joint and by time of
        the action chunk, and its action errors in one step against several. Of a policy behind a server, what
        its answers tell is measured, and what they do not is named.
        """
        check_torch()
        chosen = selections or []
        if dataset is not None or (len(chosen) == 1 and _is_policy(chosen[0])):
            _probe_policy(
                chosen, dataset, episodes, steps, draws, most, device, threads, fps, rename,
                RemoteOptions(keys, name, api_key_file, timeout), out or ROBOT_OUT,
            )  # fmt: skip
            return
        for flag, value in {
            "--episodes": episodes, "--draws": draws, "--fps": fps, "--rename": rename, "--keys": keys,
            "--name": name, "--api-key-file": api_key_file,
        }.items():  # fmt: skip
            if value is not None:
                raise UsageError(f"{flag} is for a policy: name its folder, and a data set by --dataset D.")
        if folders := [name for name in chosen if Path(name).is_dir()]:
            raise UsageError(
                f"{folders[0]} is no policy's folder. For the models of a results folder: toyflow probe "
                f"--out {folders[0]}."
            )
        if paths := [name for name in chosen if "/" in name]:
            raise UsageError(f"there is no {paths[0]}: name a policy's folder, or a results folder by --out.")
        from toyflow.api.probing import probe as probed
        from toyflow.parsing import parse_steps
        from toyflow.report.probe_report import show_probe, write_probe

        count, *others = parse_steps(steps or "50", "--steps")
        if others:
            raise UsageError(f"--steps takes one number for the models of a results folder, not {steps}.")
        if threads is not None:
            import torch  # heavy

            torch.set_num_threads(threads)
        with progress("probing") as on_progress:
            found = probed(
                out or OUT, chosen, steps=count, device=device, examples=most, data_dir=data_dir,
                on_progress=on_progress,
            )  # fmt: skip
        show_probe(found, console)
        for path in write_probe(found, out or OUT):
            console.print(escape(str(path)), style="green")


def _is_policy(name: str) -> bool:
    """Whether this is a checkpoint's folder, or a server's address."""
    path = Path(name)
    return "://" in name or any(
        (folder / "config.json").is_file() for folder in (path, path / "pretrained_model")
    )


def _probe_policy(
    policies: list[str],
    dataset: str | None,
    episodes: str | None,
    steps: str | None,
    draws: str | None,
    examples: int,
    device: str,
    threads: int | None,
    fps: float | None,
    rename: str | None,
    remote: RemoteOptions,
    out: Path,
) -> None:
    """`toyflow probe CHECKPOINT --dataset D`."""
    if len(policies) != 1:
        raise UsageError(
            f"--dataset probes one policy, and {len(policies)} were named: toyflow probe CHECKPOINT "
            "--dataset D."
        )
    from toyflow.api.probing_policies import probe_policy  # imports torch
    from toyflow.parsing import parse_draws, parse_numbers, parse_steps
    from toyflow.report.policy_probe_report import show_policy_probe, write_policy_probe

    with progress("probing") as on_progress:
        found, results = probe_policy(
            policies[0], dataset,
            episodes=None if episodes is None else parse_numbers(episodes, "--episodes"),
            steps=None if steps is None else parse_steps(steps, "--steps"),
            draws=None if draws is None else parse_draws(draws, "--draws"),
            examples=examples, device=device, threads=threads, fps=fps, rename=rename, remote=remote,
            out=out, on_progress=on_progress,
        )  # fmt: skip
    show_policy_probe(found, console)
    for path in write_policy_probe(found, results):
        console.print(escape(str(path)), style="green")
