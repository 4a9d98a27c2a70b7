"""The robot's commands. `toyflow.cli` adds them to its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toyflow.cli.options import (
    ROBOT_OUT,
    Checkpoint,
    Compile,
    Device,
    LeRobotOut,
    NoiseSeed,
    Sampler,
    StepCount,
    examples,
)
from toyflow.cli.terminal import check_torch, console, start_workers
from toyflow.errors import UsageError, unknown
from toyflow.launch import launch

Steps = Annotated[str, typer.Option(help="Denoising steps K to evaluate with.")]
Suite = Annotated[
    str | None,
    typer.Option(help="Suite to evaluate on; none for training alone.", show_default="that of the data"),
]
Tasks = Annotated[
    str | None, typer.Option(help="Its tasks: all, or 0-4,7.", show_default="those of the data")
]
States = Annotated[
    str, typer.Option(help="Official initial states of each task: how many, or which, as 0-9,20.")
]
Replan = Annotated[
    int | None,
    typer.Option(help="Actions carried out before the policy looks again.", show_default="the horizon"),
]
Environment = Annotated[
    str | None, typer.Option(help="Simulator.", show_default="that of the data, or libero")
]
Rendering = Annotated[
    str, typer.Option(help="fast, or libero: with its shadows and smooth edges, at a third of the speed.")
]
Threads = Annotated[
    int | None, typer.Option(help="Threads of the policy.", show_default="all processors", min=1)
]
Simulators = Annotated[
    int | None, typer.Option(help="Simulators at a time.", show_default="one per processor")
]
Videos = Annotated[int, typer.Option(help="Episodes to film, of each task and K.")]

_CLIENT = """

[bold]A client[/], on the robot (pip install openpi-client typing_extensions)

  from openpi_client.websocket_client_policy import WebsocketClientPolicy

  policy = WebsocketClientPolicy("127.0.0.1", 8000)  # api_key="..."

  actions = policy.infer({"observation/image": image, "observation/wrist_image": wrist,
  "observation/state": state, "prompt": "pick up the soup"})["actions"]
"""


def add_commands(app: typer.Typer) -> None:
    """Add the commands whose names begin with robot- to `app`."""

    @app.command("robot-train", epilog=examples(
        "toyflow robot-train",
        "toyflow robot-train --dataset data/demos/libero_object --schedule shift:4 --steps 1,10 --states 50",
        "toyflow robot-train --dataset HuggingFaceVLA/libero --size tiny --suite libero_goal --device cuda",
        "toyflow robot-train --dataset my/robot --suite none --cameras front+wrist --no-language",
        "torchrun --nproc-per-node 8 -m toyflow robot-train --dataset my/robot --size full --accumulate 2",
    ))  # fmt: skip
    def robot_train(
        dataset: Annotated[
            str | None,
            typer.Option(
                help="A LeRobot data set: a folder, or a name on the hub.",
                show_default="a few demonstrations, made first",
            ),
        ] = None,
        size: Annotated[str, typer.Option(help="nano, tiny or full.")] = "nano",
        schedule: Annotated[
            str, typer.Option(help="Training-time law; see `toyflow schedules`.")
        ] = "shift:4",
        objective: Annotated[str, typer.Option(help="See `toyflow objectives`.")] = "flow",
        horizon: Annotated[int, typer.Option(help="Actions of a chunk.")] = 10,
        attention: Annotated[
            str, typer.Option(help="joint, cross, or full (the study's, slower).")
        ] = "joint",
        supervision: Annotated[
            str, typer.Option(help="mask: the robot's own action dimensions; full: all 32.")
        ] = "mask",
        cameras: Annotated[str, typer.Option(help="Names joined by +, all or none.")] = "all",
        language: Annotated[bool, typer.Option(help="Whether the policy reads the prompt.")] = True,
        state: Annotated[bool, typer.Option(help="Whether it sees the robot's state.")] = True,
        pretrained: Annotated[
            bool, typer.Option("--pretrained", help="Start the backbone from published weights (tiny, full).")
        ] = False,
        keep_constant: Annotated[
            bool, typer.Option("--keep-constant", help="Accept numbers of state or action that never change.")
        ] = False,
        iterations: Annotated[
            int | None,
            typer.Option(help="Training iterations.", show_default="nano 4000, as in the study else"),
        ] = None,
        batch_size: Annotated[
            int | None, typer.Option(help="Moments per iteration.", show_default="64")
        ] = None,
        learning_rate: Annotated[
            float | None, typer.Option(help="Peak of the learning rate.", show_default="nano 1e-3")
        ] = None,
        seed: Annotated[int, typer.Option(help="Of weights, data order and noise.")] = 0,
        steps: Steps = "1,10",
        suite: Suite = None,
        tasks: Tasks = None,
        states: States = "10",
        replan: Replan = None,
        environment: Environment = None,
        rendering: Rendering = "fast",
        videos: Videos = 1,
        device: Device = "auto",
        threads: Threads = None,
        accumulate: Annotated[
            int, typer.Option(help="Parts that a batch is computed in, for less memory.", min=1)
        ] = 1,
        simulators: Simulators = None,
        wandb: Annotated[str | None, typer.Option(help="A project of Weights & Biases to log to.")] = None,
        out: Annotated[Path, typer.Option(help="Results folder.")] = ROBOT_OUT,
    ) -> None:
        """Train a policy on demonstrations and evaluate it in closed loop, with every number of steps.

        Without --dataset it makes a few demonstrations of one task first: the whole path in a quarter of an
        hour. Stopped or killed, the same command goes on from the last checkpoint. Under torchrun or
        accelerate launch all processes train the one policy; --batch-size is theirs together.
        """
        here = launch()
        if dataset is None and here.world_size > 1:
            raise UsageError(
                "several processes train on demonstrations that exist: toyflow robot-demos makes some, "
                "--dataset FOLDER names them."
            )
        chosen = {
            "size": size, "horizon": str(horizon), "attention": attention, "supervision": supervision,
            "cameras": cameras, "language": _switch(language), "state": _switch(state),
            "pretrained": _switch(pretrained), "environment": environment or "auto", "states": _one(states),
            "rendering": rendering, "suite": suite or "auto", "tasks": _one(tasks or "auto"),
            "replan": "horizon" if replan is None else str(replan),
            "constant-dims": "keep" if keep_constant else "refuse",
        }  # fmt: skip
        if here.is_main:
            start_workers("robot")
        check_torch()
        from toyflow.api.robot_training import (
            DEMO_ITERATIONS,
            DEMO_STATES,
            first_demonstrations,
            train_one,
        )
        from toyflow.sweep.options import SweepOptions

        if dataset is None:
            dataset = str(first_demonstrations(out, environment or "libero", console))
            iterations = iterations or DEMO_ITERATIONS
            chosen["states"] = str(DEMO_STATES) if states == "10" else chosen["states"]
        chosen["dataset"] = dataset
        options = SweepOptions().updated(
            {
                "task": "robot", "schedules": schedule, "objectives": objective, "steps": steps,
                "seeds": str(seed), "set": {name: [value] for name, value in chosen.items()},
                "iterations": iterations, "batch_size": batch_size, "learning_rate": learning_rate,
                "device": device, "out": str(out),
            },
            "flags",
        )  # fmt: skip
        train_one(
            options, console, threads=threads, accumulate=accumulate, simulators=simulators, videos=videos,
            wandb=wandb,
        )  # fmt: skip

    @app.command("robot-eval", epilog=examples(
        "toyflow robot-eval results/robot/cells/3f2a9c --steps 1,10 --states 50",
        "toyflow robot-eval results/robot/cells/3f2a9c --steps 1,2,4,10 --replan 5 --videos 2",
        "toyflow robot-eval lerobot/smolvla_libero --suite libero_object --steps 1,10 --out results/smolvla",
        "toyflow robot-eval outputs/train/checkpoints/last --suite libero_goal --rename front=image",
        "toyflow robot-eval results/robot/cells/3f2a9c --states 50 --executor ray --address auto",
    ))  # fmt: skip
    def robot_eval(
        checkpoint: Checkpoint,
        steps: Steps = "1,10",
        suite: Suite = None,
        tasks: Tasks = None,
        states: States = "10",
        replan: Replan = None,
        environment: Environment = None,
        rendering: Rendering = "fast",
        sampler: Sampler = "euler",
        noise_seed: NoiseSeed = 0,
        videos: Videos = 0,
        device: Device = "auto",
        threads: Threads = None,
        simulators: Simulators = None,
        rename: Annotated[
            str | None,
            typer.Option(
                help="Of a LeRobot policy: its cameras as the simulator calls them, front=image,wrist=image2."
            ),
        ] = None,
        out: LeRobotOut = ROBOT_OUT,
        executor: Annotated[
            str, typer.Option(help="local: simulators on this machine; ray: on a Ray cluster.")
        ] = "local",
        address: Annotated[
            str | None,
            typer.Option(help="Of the Ray cluster: HOST:PORT or auto.", show_default="as toyflow sweep"),
        ] = None,
        cpus_per_simulator: Annotated[
            float, typer.Option(help="On Ray: processors of a simulator with its policy.", min=0)
        ] = 1.0,
        gpus_per_simulator: Annotated[float, typer.Option(help="On Ray: GPUs, such as 0.25.", min=0)] = 0.0,
    ) -> None:
        """Evaluate a policy in closed loop: the same initial states and noise for every number of steps.

        Finished episodes are kept: stopped or killed, the same command goes on, and more states or tasks
        extend what is there.
        """
        if executor not in ("local", "ray"):
            raise unknown("executor", executor, ("local", "ray"))
        start_workers("robot")
        check_torch()
        from toyflow.api.robot_training import evaluate_one
        from toyflow.cluster import Cluster

        on_ray = Cluster(address, cpus_per_simulator, gpus_per_simulator) if executor == "ray" else None
        evaluate_one(
            checkpoint, console, steps=steps, sampler=sampler, noise_seed=noise_seed,
            trials={
                "environment": environment or "auto",
                "suite": suite or "auto",
                "tasks": _one(tasks or "auto"),
                "states": _one(states), "rendering": rendering,
                "replan": "horizon" if replan is None else str(replan),
            },
            device=device, threads=threads, simulators=simulators, videos=videos, rename=rename, out=out,
            cluster=on_ray,
        )  # fmt: skip

    @app.command("robot-export", epilog=examples(
        "toyflow robot-export results/robot/cells/3f2a9c exported",
        "lerobot-eval --policy.path=exported --policy.num_steps=1 --env.type=libero --env.task=libero_object",
    ))  # fmt: skip
    def robot_export(
        checkpoint: Annotated[Path, typer.Argument(help="A policy's folder, OUT/cells/KEY.")],
        folder: Annotated[Path, typer.Argument(help="A new folder.")],
    ) -> None:
        """Write a policy in LeRobot's files, for lerobot-eval, lerobot-record and lerobot-rollout.

        The way back is `toyflow robot-eval FOLDER`, which takes LeRobot's checkpoints.
        """
        check_torch()
        from toyflow.api.robot_training import export

        export(checkpoint, folder, console)

    @app.command("robot-serve", epilog=examples(
        "toyflow robot-serve results/robot/cells/3f2a9c",
        "toyflow robot-serve results/robot/cells/3f2a9c --steps 4 --port 9000 --prompt 'fold the towel'",
        "toyflow robot-serve results/robot/cells/3f2a9c --host 0.0.0.0 --api-key-file key.txt",
        "toyflow robot-serve lerobot/smolvla_base --rename camera1=front --keys front=images/cam_high",
        "toyflow robot-serve CHECKPOINT --keys exterior=observation/exterior_image_1_left,"
        "state=observation/joint_position+observation/gripper_position",
    ) + _CLIENT)  # fmt: skip
    def robot_serve(
        checkpoint: Checkpoint,
        steps: StepCount = 1,
        host: Annotated[
            str, typer.Option(help="Address to listen on; one that others can reach needs an API key.")
        ] = "127.0.0.1",
        port: Annotated[int, typer.Option(help="0: any that is free.", min=0, max=65535)] = 8000,
        api_key_file: Annotated[
            Path | None,
            typer.Option(
                help="A file with the key that clients must show.", show_default="$TOYFLOW_API_KEY, if set"
            ),
        ] = None,
        keys: Annotated[
            str | None,
            typer.Option(
                help="Which entries of a client's message feed the policy: CAMERA=ENTRY, state=ENTRY+ENTRY, "
                "prompt=ENTRY.",
                show_default="openpi's and LeRobot's names",
            ),
        ] = None,
        prompt: Annotated[
            str | None, typer.Option(help="For clients that send none.", show_default="they must")
        ] = None,
        sampler: Sampler = "euler",
        noise_seed: NoiseSeed = 0,
        timeout: Annotated[
            float, typer.Option(help="Seconds after which a request is given up.", min=0.1)
        ] = 10.0,
        connections: Annotated[int, typer.Option(help="Clients at a time.", min=1)] = 16,
        message_mb: Annotated[int, typer.Option(help="Largest message of a client, in MiB.", min=1)] = 16,
        batch: Annotated[int, typer.Option(help="Most requests answered by one call.", min=1)] = 8,
        device: Device = "auto",
        threads: Threads = None,
        compiled: Compile = False,
        rename: Annotated[
            str | None,
            typer.Option(help="Of a LeRobot policy: its cameras by other names, front=image,wrist=image2."),
        ] = None,
        out: LeRobotOut = ROBOT_OUT,
    ) -> None:
        """Serve a policy to robots, by openpi's websocket protocol: any openpi client can use it unchanged.

        For a camera `front` clients send observation/front, observation.images.front or images/front: uint8,
        HxWx3, of any size; and observation/state and prompt. A request may have a seed for its noise. A bad
        one gets a text that names the entry and what was expected.
        """
        check_torch()
        from toyflow.cli.robot_serve import serve_one

        serve_one(
            checkpoint, console, steps=steps, sampler=sampler, host=host, port=port, key_file=api_key_file,
            keys=keys, prompt=prompt, noise_seed=noise_seed, timeout=timeout,
            limits={"connections": connections, "message_bytes": message_mb << 20, "batch": batch},
            device=device, threads=threads, compiled=compiled, rename=rename, out=out,
        )  # fmt: skip

    @app.command("robot-demos", epilog=examples(
        "toyflow robot-demos --suite libero_object --tasks 0-4 --episodes 20",
        "toyflow robot-demos --suite libero_spatial --tasks 3,7,9 --episodes 40 --out data/demos/spatial",
        "toyflow robot-demos --suite libero_object --check 10",
    ))  # fmt: skip
    def robot_demos(
        suite: Annotated[str, typer.Option(help="Suite of the simulator.")] = "libero_object",
        tasks: Annotated[str, typer.Option(help="Its tasks: all, or 0-4,7.")] = "all",
        episodes: Annotated[int, typer.Option(help="Demonstrations of each task.")] = 20,
        out: Annotated[
            Path | None, typer.Option(help="The data set's folder.", show_default="data/demos/SUITE")
        ] = None,
        seed: Annotated[int, typer.Option(help="Of the random resets and the noise.")] = 0,
        noise: Annotated[
            float,
            typer.Option(
                help="Standard deviation of what is added to actions as they are carried out, not as they "
                "are recorded, so that recovery is shown."
            ),
        ] = 0.2,
        image_size: Annotated[int, typer.Option(help="Pixels.")] = 128,
        video: Annotated[
            str | None, typer.Option(help="av1 or h264: a tenth of the size.", show_default="exact images")
        ] = None,
        check: Annotated[
            int | None,
            typer.Option(
                help="Record nothing: run the expert from this many official initial states of each task."
            ),
        ] = None,
        jobs: Annotated[
            int | None, typer.Option(help="Simulators at a time.", show_default="one per processor")
        ] = None,
        environment: Annotated[str, typer.Option(help="Simulator.")] = "libero",
    ) -> None:
        """Make demonstrations by a scripted expert, as a LeRobot data set (v3.0).

        From random resets: the official initial states are for evaluation. Failed attempts are discarded
        and counted. Stopped or killed, the same command goes on; more episodes extend what is there.
        """
        check_torch()
        from toyflow.machine import cores
        from toyflow.parsing import parse_numbers
        from toyflow.robot.data.demos import DemoOptions, expert_success, make_demos
        from toyflow.robot.simulation.environment import load_environment

        chosen = None if tasks == "all" else parse_numbers(tasks, "--tasks")
        if check is not None:
            expert_success(
                load_environment(environment), suite, chosen, check, jobs or cores(), console
            ).print(console)
            return
        options = DemoOptions(
            out or Path("data/demos") / suite, suite, chosen, episodes, seed, noise, image_size, environment,
            video, jobs or cores(),
        )  # fmt: skip
        make_demos(options, console)

    @app.command("robot-setup", epilog=examples(
        "toyflow robot-setup libero",
        "toyflow robot-setup libero --assets assets.tar.xz",
        "toyflow robot-setup libero --stand-ins",
    ))  # fmt: skip
    def robot_setup(
        environment: Annotated[str, typer.Argument(help="libero.")],
        assets: Annotated[
            Path | None, typer.Option(help="An archive, or a folder, with LIBERO's assets.")
        ] = None,
        stand_ins: Annotated[
            bool, typer.Option("--stand-ins", help="Generate substitutes; scores on them are not LIBERO's.")
        ] = False,
    ) -> None:
        """Install a simulator: packages that an extra cannot express, OpenGL, assets; then render a frame.

        Assets come from --assets, a cache, or the hub; where none can be had, from generated stand-ins. Run
        again, it checks.
        """
        if environment != "libero":
            raise unknown("environment to set up", environment, ["libero"])
        from toyflow.robot.simulation.environments.libero.libero_setup import setup_libero

        setup_libero(assets, stand_ins, console)


def _switch(on: bool) -> str:
    return "on" if on else "off"


def _one(text: str) -> str:
    """A list as one value, which holds no comma."""
    return text.replace(" ", "").replace(",", "+")
