"""What a user chooses of an evaluation in closed loop: the command line, presets and records are derived from
it. Imports no simulator."""

from __future__ import annotations

from dataclasses import dataclass

from toyflow.optionset import OptionSet, choice, number, text

ENVIRONMENT = "libero"
"""The simulator where neither the user nor the demonstrations name one."""
AUTO, NO_TRIALS = "auto", "none"
AT_MOST = "at-most-"
"""Before a number of initial states of which a benchmark may have fewer: LIBERO-Plus has one of each task."""
ALL = "all"
CLEAN, OFFICIAL = "clean", "official"
WHOLE_HORIZON = "horizon"
SWITCH = "switch"


@dataclass(frozen=True)
class TrialOptions(OptionSet):
    """What a user chooses of an evaluation in closed loop; `trials.trials_of` looks it up in the simulator.

    Attributes:
        environment: the simulator's name; `auto` is that of the demonstrations.
        suite: suite of the simulator; `auto` is that of the demonstrations, `none` is no evaluation.
        tasks: `all`, or numbers such as 0-4+7; `auto` are those of the demonstrations, else all.
        states: how many of each task's official initial states, or which: 10 or 0-4+7. `at-most-10` is 10, or
            all where a task has fewer.
        replan: actions of a chunk that are executed before the next plan; `horizon` is all of them.
        rendering: see `Environment`.
        latency_steps: control steps that pass while a plan is computed, during which the robot goes on with
            the chunk before.
        handover: how one chunk follows another; see `toyflow.robot.handover.parse_handover`.
        perturb: `all`, or only tasks of these perturbations: swap+task.
        levels: `all`, or only tasks of these levels of difficulty: 1-3+5.
        sample: how many of these tasks, drawn evenly from all perturbations; 0 is all of them.
        sample_seed: seed of that draw.
        prompts: the words of each task. `clean` says it as its data set does, or as the perturbation means
            it; `official` is the benchmark's own wording, which may differ by accident.

    >>> TrialOptions.parse({"suite": "libero_goal", "tasks": "0-2"}).tasks
    '0-2'
    """

    environment: str = text(AUTO, f"a simulator; auto is that of the data, else {ENVIRONMENT}")
    suite: str = text(AUTO, f"of the simulator; {NO_TRIALS} to train only")
    tasks: str = text(AUTO, "all, or numbers such as 0-4+7")
    states: str = text(f"{AT_MOST}10", "how many official initial states of each task, or which")
    replan: str = text(WHOLE_HORIZON, "actions executed before the next plan")
    rendering: str = choice("fast", "libero")
    latency_steps: int = number(0, low=0, high=99, added=True)
    handover: str = text(SWITCH, "blend:STEPS, ensemble:DECAY or rtc", added=True)
    perturb: str = text(ALL, "or perturbations of a suite, such as swap+task", added=True)
    levels: str = text(ALL, "or levels of difficulty, such as 1-3", added=True)
    sample: int = number(0, low=0, high=100_000, added=True)
    sample_seed: int = number(0, low=0, high=2**32 - 1, added=True)
    prompts: str = choice(CLEAN, OFFICIAL, added=True)
