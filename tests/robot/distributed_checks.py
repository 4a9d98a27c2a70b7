"""What is trained alone in a test and by two processes here, to be compared:

python -m torch.distributed.run --nproc-per-node 2 tests/robot/distributed_checks.py DATA OUT
"""

import itertools
import json
import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from toyflow.flow import make_objective, parse_schedule
from toyflow.launch import launch
from toyflow.networks import VectorModel
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.frames import CachedFrames, open_frames
from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.interface import Interface
from toyflow.robot.policy.policy import Policy, PolicyInput
from toyflow.robot.policy.policy_training import batches, train_policy
from toyflow.robot.policy.spec import PolicySpec
from toyflow.training import NonFiniteDataError, OneCycle, PolicyRecipe, Trainer
from toyflow.training.process_group import ProcessGroup

OBJECTIVES = (
    "flow", "pure-noise", "regression-learned", "mip", "shortcut", "meanflow", "consistency",
    "autoregressive",
)  # fmt: skip
RECIPE = PolicyRecipe(iterations=12, batch_size=8, learning_rate=1e-3, warmup_iterations=2, ema=0.9)
STOP = 7


def new_policy(interface: Interface, statistics: tuple[dict, dict], attention: str = "joint") -> Policy:
    torch.manual_seed(0)
    spec = PolicySpec("nano", interface, horizon=4, image_size=32, attention=attention)  # pyright: ignore
    return Policy(spec, Normalisation.from_statistics(*statistics))


def gradients(group: ProcessGroup, name: str, accumulate: int = 1, precision: torch.dtype | None = None):
    """(gradients of one step, its loss); every other sample is nearly all padding."""
    plain = {"mean": [0.0], "std": [1.0], "min": [-1.0], "max": [1.0], "q01": [-1.0], "q99": [1.0]}
    attention = "cross" if name == "autoregressive" else "joint"
    policy = new_policy(Interface(("front",), 1, 1, 10), (plain, plain), attention)
    objective = make_objective(name, parse_schedule("shift:4"))
    objective.attach(policy, (4, 32))
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8, generator=generator)
    state, actions = (torch.randn(8, *shape, generator=generator) for shape in ((1,), (4, 1)))
    kept = torch.tensor([4, 1] * 4)
    seen = PolicyInput({"front": images}, state, policy.tokeniser(["go left", "go right"] * 4))
    batch = (seen, policy.target(actions, state), policy.weight(torch.arange(4) >= kept[:, None]))
    own = group.own
    mine = (PolicyInput({"front": images[own]}, state[own], seen.tokens[own]), batch[1][own], batch[2][own])
    recipe = PolicyRecipe(iterations=1, batch_size=8, clip_norm=1e9)
    trainer = Trainer(
        policy, objective, recipe, torch.Generator().manual_seed(1), 1, precision, group, accumulate
    )
    for _ in trainer.steps([mine]):
        pass
    found = [torch.zeros_like(p) if p.grad is None else p.grad for p in policy.parameters()]
    return torch.cat([gradient.flatten() for gradient in found]), trainer.curve.points[0].loss


def train(group: ProcessGroup, place: Path, folder: Path, changed=lambda stream: stream):
    """A policy trained on the data set in `place`: its trainer, and the frames that this process read."""
    data, read = DataSet(str(place)), []
    policy = new_policy(data.interface, (data.statistics("observation.state"), data.statistics("action")))
    frames = open_frames(data, data.interface.cameras, 32)
    assert isinstance(frames, CachedFrames)
    frames.images = Reads(frames.images, read)  # pyright: ignore[reportAttributeAccessIssue]
    objective = make_objective("flow", parse_schedule("shift:4"))
    trainer = train_policy(
        policy, objective, lambda start: changed(batches(policy, data, frames, RECIPE, 0, start, group.own)),
        RECIPE, torch.Generator().manual_seed(1), folder, group=group,
    )  # fmt: skip
    return trainer, read


class Reads:
    """Images that note which frames are read."""

    def __init__(self, images, read: list[int]) -> None:
        self.images, self.read = images, read

    def __getitem__(self, frames):
        self.read += frames.tolist()
        return self.images[frames]


def stopping(stream):
    """`stream`, and SIGTERM to this process as it comes to batch `STOP`."""
    for number, batch in enumerate(stream):
        if number == STOP:
            os.kill(os.getpid(), signal.SIGTERM)
        yield batch


def small_trainer(group: ProcessGroup) -> tuple[Trainer, list]:
    """A trainer whose curve has a point in 4 iterations, and its batches."""
    torch.manual_seed(0)
    model = VectorModel(observation=2, target=2, width=16, depth=1)
    generator = torch.Generator().manual_seed(2)
    points = [torch.randn(8, 2, generator=generator)[group.own] for _ in range(30)]
    trainer = Trainer(
        model, make_objective("flow", parse_schedule("beta")), OneCycle(iterations=30, batch_size=8),
        torch.Generator().manual_seed(3), 7, group=group,
    )  # fmt: skip
    return trainer, [(x, x) for x in points]


def losses(trainer: Trainer) -> list[float]:
    return [point.loss for point in trainer.curve.points]


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.contiguous() for name, tensor in trainer.trained().state_dict().items()}


def kept_half_way(group: ProcessGroup, path: Path) -> None:
    """The state of the small trainer after 13 of 30 iterations, between two points of its curve."""
    trainer, data = small_trainer(group)
    next(i for i in trainer.steps(data) if i == 13)
    tensors, values = trainer.state()
    if group.is_main:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path / "state.safetensors")
        (path / "state.json").write_text(json.dumps(values))


def gone_on(group: ProcessGroup, path: Path) -> Trainer:
    """The small trainer, from such a state to its end."""
    trainer, data = small_trainer(group)
    trainer.restore(load_file(path / "state.safetensors"), json.loads((path / "state.json").read_text()))
    for _ in trainer.steps(data[13:]):
        pass
    return trainer


def main(place: Path, out: Path) -> None:
    """Everything by two processes: OUT/RANK.json and OUT/RANK.safetensors."""
    from toyflow.training.distributed import joined

    torch.set_num_threads(1)
    report, tensors = {}, {}
    with joined(launch(), "cpu", Path("error.txt")) as group:
        for name, accumulate in itertools.product(OBJECTIVES, (1, 2)):
            case = f"{name}, {accumulate}"
            tensors[case], report[case] = gradients(group, name, accumulate)
        for name in ("flow", "meanflow"):
            case = f"{name}, bfloat16"
            tensors[case], report[case] = gradients(group, name, precision=torch.bfloat16)
        for case in ("whole", "begun alone"):
            # Only the main process knows the right folder: the others must not look into theirs.
            folder = out / case if group.is_main else out / f"{case} of {group.rank}"
            trainer, read = train(group, place, folder)
            report |= {case: losses(trainer), f"read {case}": read}
            tensors |= {f"{case}, {name}": tensor for name, tensor in weights(trainer).items()}
        caught = []
        signal.signal(signal.SIGTERM, lambda number, _: caught.append(number))
        folder = out / "stopped" if group.is_main else out / f"stopped of {group.rank}"
        stopped, _ = train(group, place, folder, stopping if group.rank == 1 else lambda stream: stream)
        report |= {"stopped at": stopped.iteration, "caught": caught}
        kept_half_way(group, out / "half together")
        report["small"] = losses(gone_on(group, out / "half alone"))

        def broken(stream):
            for number, batch in enumerate(stream):
                bad = number == 5 and group.rank == 1
                yield batch._replace(target=batch.target * (float("nan") if bad else 1))

        try:
            train(group, place, out / f"broken of {group.rank}", broken)
        except NonFiniteDataError as error:
            report["refused"] = str(error)
    save_file(tensors, out / f"{group.rank}.safetensors")
    (out / f"{group.rank}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
