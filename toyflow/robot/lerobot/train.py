"""`python -m toyflow.robot.lerobot.train --schedule shift:4 ...`: lerobot-train with another schedule."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from toyflow.errors import ToyflowError, UsageError
from toyflow.flow.schedules import Schedule, parse_schedule
from toyflow.robot.lerobot.adapt import schedule_of, set_schedule

USAGE = "python -m toyflow.robot.lerobot.train --schedule SCHEDULE ARGUMENTS OF lerobot-train"


def main(arguments: list[str]) -> None:
    """Run lerobot-train on `arguments`, less `--schedule SCHEDULE`, which the policy draws its training times
    from.

    Raises:
        UsageError: no such schedule; LeRobot is not installed; the policy draws no times.
    """
    schedule, rest = _parsed(arguments)
    try:
        from lerobot.scripts import lerobot_train
    except ImportError as error:
        raise UsageError("this needs LeRobot: pip install 'toyflow[robot]'.") from error
    make_policy = lerobot_train.make_policy

    def make_policy_with_schedule(*options: Any, **named: Any) -> Any:
        _check_resumed(named.get("cfg") or options[0], schedule, rest)
        policy = make_policy(*options, **named)
        set_schedule(policy, schedule)
        print(f"toyflow: training times are drawn from {schedule.name}, stratified")
        return policy

    lerobot_train.make_policy = make_policy_with_schedule
    sys.argv = ["lerobot-train", *rest]
    lerobot_train.main()


def _check_resumed(config: Any, schedule: Schedule, arguments: list[str]) -> None:
    """Raise UsageError if a training is to go on under another schedule than it began with."""
    resumes = any(argument.lower() in ("--resume=true", "--resume") for argument in arguments)
    before = schedule_of(Path(config.pretrained_path)) if resumes and config.pretrained_path else None
    if before and before[0] != schedule.name:
        raise UsageError(f"this training began under {before[0]}; go on with --schedule {before[0]}.")


def _parsed(arguments: list[str]) -> tuple[Schedule, list[str]]:
    """(the schedule, all other arguments)."""
    names: list[str] = []
    rest: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--schedule":
            names.append(next(left, ""))
        elif argument.startswith("--schedule="):
            names.append(argument.removeprefix("--schedule="))
        else:
            rest.append(argument)
    if len(names) != 1:
        raise UsageError(f"name one schedule: {USAGE}.")
    return parse_schedule(names[0]), rest


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ToyflowError as error:
        print(f"toyflow: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
