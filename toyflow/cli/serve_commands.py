"""The command that serves a policy. `toyflow.cli` adds it to its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toyflow.cli.options import (
    DEFAULTS,
    ROBOT_OUT,
    Checkpoint,
    Compile,
    Device,
    DrawCount,
    LeRobotOut,
    NoiseSeed,
    Sampler,
    StepCount,
    Threads,
    TimeGrid,
    examples,
)
from toyflow.cli.terminal import check_torch, console

_CLIENT = """

[bold]A client[/], on the robot (pip install openpi-client typing_extensions)

  from openpi_client.websocket_client_policy import WebsocketClientPolicy

  policy = WebsocketClientPolicy("127.0.0.1", 8000)  # api_key="..."

  actions = policy.infer({"observation/image": image, "observation/wrist_image": wrist,
  "observation/state": state, "prompt": "pick up the soup"})["actions"]
"""


def add_commands(app: typer.Typer) -> None:
    """Add robot-serve to `app`."""

    @app.command("robot-serve", epilog=examples(
        "toyflow robot-serve results/robot/cells/KEY",
        "toyflow robot-serve results/robot/cells/KEY --draws 8 --port 9000 --prompt 'fold the towel'",
        "toyflow robot-serve results/robot/cells/KEY --host 0.0.0.0 --api-key-file key.txt",
        "toyflow robot-serve lerobot/smolvla_base --rename camera1=front --keys front=images/cam_high",
        "toyflow robot-serve CHECKPOINT --keys exterior=observation/exterior_image_1_left,"
        "state=observation/joint_position+observation/gripper_position",
    ) + _CLIENT)  # fmt: skip
    def robot_serve(
        checkpoint: Checkpoint,
        steps: StepCount = None,
        draws: DrawCount = 1,
        grid: TimeGrid = None,
        host: Annotated[
            str, typer.Option(help="Address to listen on; one that others can reach needs an API key.")
        ] = "127.0.0.1",
        port: Annotated[int, typer.Option(help="Port; 0 for any free one.", min=0, max=65535)] = 8000,
        api_key_file: Annotated[
            Path | None,
            typer.Option(
                help="File with the API key that clients must send.", show_default="$TOYFLOW_API_KEY, if set"
            ),
        ] = None,
        keys: Annotated[
            str | None,
            typer.Option(
                help="Entries of a client's message that the policy reads: CAMERA=ENTRY, state=ENTRY+ENTRY, "
                "prompt=ENTRY.",
                show_default="openpi's and LeRobot's names",
            ),
        ] = None,
        prompt: Annotated[
            str | None,
            typer.Option(help="Prompt for clients that send none.", show_default="clients must send one"),
        ] = None,
        sampler: Sampler = DEFAULTS.samplers[0],
        noise_seed: NoiseSeed = 0,
        timeout: Annotated[float, typer.Option(help="Longest wait for a plan, in seconds.", min=0.1)] = 10.0,
        connections: Annotated[int, typer.Option(help="Most clients at a time.", min=1)] = 16,
        message_mb: Annotated[int, typer.Option(help="Largest message of a client, in MiB.", min=1)] = 16,
        batch: Annotated[int, typer.Option(help="Most requests that one model call answers.", min=1)] = 8,
        device: Device = DEFAULTS.device,
        threads: Threads = None,
        compiled: Compile = False,
        rename: Annotated[
            str | None,
            typer.Option(
                metavar="POLICY=CLIENT",
                help="Renamed cameras of a LeRobot policy, the policy's name first, such as "
                "front=image,wrist=image2.",
            ),
        ] = None,
        out: LeRobotOut = ROBOT_OUT,
    ) -> None:
        """Serve a policy to robots over openpi's websocket protocol; openpi clients work unchanged.

        For a camera `front` clients send observation/front, observation.images.front or images/front: uint8,
        HxWx3, of any size; and observation/state and prompt. A request may have a seed for its noise. The
        answer to a bad request names the entry and what was expected.
        """
        check_torch()
        from toyflow.api.robot_serving import serve_one  # imports torch
        from toyflow.flow.decoding import parse_decoding

        serve_one(
            checkpoint, console, decoding=parse_decoding(steps, sampler, grid, draws), host=host, port=port,
            key_file=api_key_file, keys=keys, prompt=prompt, noise_seed=noise_seed, timeout=timeout,
            limits={"connections": connections, "message_bytes": message_mb << 20, "batch": batch},
            device=device, threads=threads, compiled=compiled, rename=rename, out=out,
        )  # fmt: skip
