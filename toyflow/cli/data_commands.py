"""`toyflow robot-data`: LeRobot data sets, looked at before they train a policy, or converted from others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toyflow.cli.options import RelativeExcept, RenamedFeatures, action_options, examples, flag
from toyflow.cli.terminal import console
from toyflow.robot.policy.policy_options import PolicyOptions


def add_commands(app: typer.Typer) -> None:
    """Add robot-data check and convert to `app`."""
    data = typer.Typer(
        no_args_is_help=True, help="Check a LeRobot data set before it trains a policy, or make one."
    )
    app.add_typer(data, name="robot-data")

    @data.command("check", epilog=examples(
        "toyflow robot-data check data/demos/libero_object",
        "toyflow robot-data check my/robot --html check.html",
        "toyflow robot-data check my/openpi --rename state=observation.state,actions=action",
        "toyflow robot-data check my/robot --cameras front+wrist --json",
        "toyflow robot-data check my/robot --actions relative --relative-except gripper+lift",
    ))  # fmt: skip
    def robot_data_check(
        dataset: Annotated[str, typer.Argument(help="A LeRobot data set: a folder, or a name on the hub.")],
        rename: RenamedFeatures = None,
        cameras: Annotated[
            str | None,
            typer.Option(
                help="Cameras that the policy will see: names joined by +, or none.", show_default="all"
            ),
        ] = None,
        actions: Annotated[
            str, flag(PolicyOptions, "actions", "How a policy will learn actions, see robot-train")
        ] = PolicyOptions.actions,
        relative_except: RelativeExcept = PolicyOptions.relative_except,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
        html: Annotated[
            Path | None, typer.Option(help="File for a page with first pictures and ranges.")
        ] = None,
    ) -> None:
        """Read a data set once, whole, and name what contradicts what, with file, episode, frame and feature.

        Exit code 1 where training on it would be wrong; robot-train then refuses it, too. Pictures are
        sampled.
        """
        from toyflow.api.data_checking import check_data  # imports numpy

        policy = PolicyOptions().changed(action_options(actions, relative_except))
        code = check_data(
            dataset, console, rename=rename, cameras=cameras, relative_except=policy.stays_absolute,
            as_json=as_json, html=html,
        )  # fmt: skip
        raise typer.Exit(code)

    @data.command("convert", epilog=examples(
        "toyflow robot-data convert pusht_cchi_v7_replay.zarr --out data/demos/pusht-human",
        "toyflow robot-data convert low_dim.npz --out data/demos/pusht-human",
        "toyflow robot-data convert pusht.zarr.zip --environment pusht --out data/demos/pusht-images",
        "toyflow robot-data convert low_dim.npz images.npz --environment pusht --out data/demos/pusht-images",
    ))  # fmt: skip
    def robot_data_convert(
        source: Annotated[
            list[Path],
            typer.Argument(
                help="Push-T's demonstrations: the authors' zarr archive, a folder or a zip, or npz files "
                "with state, action, ends and maybe img."
            ),
        ],
        out: Annotated[Path, typer.Option(help="A new folder for the data set.")],
        environment: Annotated[
            str,
            typer.Option(
                help="Where the policy will act: pusht-state for the whole state without images, or pusht "
                "for images and the agent's position."
            ),
        ] = "pusht-state",
    ) -> None:
        """Convert published demonstrations by people into a LeRobot data set (v3.0).

        Pickled data are refused, and nothing is left behind where a source cannot be converted. The data
        remember the environment: `robot-train --dataset OUT` evaluates there.
        """
        from toyflow.api.data_converting import convert_data  # imports numpy

        convert_data(source, out, environment, console)
