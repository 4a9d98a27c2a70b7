"""`toyflow robot-run --blind`: settings of one policy compared on one robot, by someone who is not told which
acts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from toyflow.api.robot_driving import PolicyDrive, PolicyUse, prepare_policy
from toyflow.errors import ToyflowError, UsageError, unknown
from toyflow.flow import Decoding
from toyflow.report.blind_tables import blind_views
from toyflow.report.episode_tables import for_terminal
from toyflow.robot.runtime.control.blind_trial import BlindEpisode, BlindOutcome, BlindTrial
from toyflow.robot.runtime.control.driving import DriveOptions
from toyflow.robot.runtime.control.log import read_log
from toyflow.robot.runtime.control.safety import SafetyStop

JUDGES = ("person", "simulator")
KEYS = {"y": "yes", "n": "no", "a": "again", "q": "quit"}


class Quit(Exception):
    """Whoever judges has had enough for now."""


def compare_blind(
    checkpoint: str,
    options: DriveOptions,
    settings: Mapping[str, Any],
    console: Console,
    use: PolicyUse,
    decodings: Sequence[Decoding],
    *,
    judge: str,
    press: Callable[[], str] | None,
) -> int:
    """Compare decodings of a policy on a robot, in random order and without telling which one acts.

    Args:
        checkpoint, options, settings, console, use: as for `run_policy`. `options.episodes` is the number of
            scenes, in each of which every decoding acts once; None for one for each initial state.
        decodings: what is compared, two or more.
        judge: who says whether an episode succeeded: `person`, by a key, or `simulator`.
        press: waits for a key; None where there is no terminal to ask in.

    Returns:
        The exit code: 0, also where the comparison is not complete yet; 128 + N where signal N ended it.

    Raises:
        UsageError: as `run_policy`; or there is no terminal to ask in.
        ToyflowError: a simulator or robot failed, and nobody was there to judge the episode.
    """
    if judge not in JUDGES:
        raise unknown("judge", judge, JUDGES)
    if options.dry_run or options.log is not None:
        raise UsageError(
            "--blind moves the robot and writes a log per episode: leave out --dry-run and --log."
        )
    if judge == "person" and press is None:
        raise UsageError(
            "--blind asks after each episode whether it succeeded, and here is no terminal to answer in; "
            "a simulator can judge by itself: --judge simulator."
        )
    ready, robot = prepare_policy(checkpoint, options, settings, console, use, decodings)
    if judge == "simulator" and not robot.stepped:
        raise UsageError(
            f"--judge simulator: {robot.name} is no simulator; leave it out, and judge by a key."
        )
    scenes = options.episodes or max(1, len(settings.get("states", ())))
    about = {
        "policy": ready.key, "robot": options.robot, "judge": judge, "noise_seed": use.noise_seed,
        "rate": ready.rate, "seconds": options.seconds, "replan": ready.replan, "handover": use.handover,
        "latency_steps": use.latency_steps, "limits": ready.limits[0].as_dict(),
        "robot_settings": {
            name: str(value) for name, value in sorted(ready.settings.items()) if name != "options"
        },  # a port may change
    }  # fmt: skip
    trial = BlindTrial(use.out, about, [each.label for each in decodings], scenes)
    session = _Session(ready, trial, decodings, use.noise_seed, console, press if judge == "person" else None)
    robot.disconnect()  # each episode opens its own
    with trial.opened() as order:
        return session.run(order)


class _Session:
    """Runs the episodes that are left, and shows the tables when none is."""

    def __init__(
        self,
        ready: PolicyDrive,
        trial: BlindTrial,
        decodings: Sequence[Decoding],
        noise_seed: int,
        console: Console,
        press: Callable[[], str] | None,
    ) -> None:
        self.ready, self.trial, self.decodings, self.noise_seed = ready, trial, decodings, noise_seed
        self.console, self.press = console, press

    def run(self, order: Sequence[BlindEpisode]) -> int:
        """The exit code."""
        left = [episode for episode in order if self.trial.outcome(episode) is None]
        self._say(f"{len(order) - len(left)} of {len(order)} episodes are kept in {self.trial.folder}.")
        try:
            for episode in left:
                number = self._episode(episode, len(order))
                if number is not None:
                    self._say("The episode that was running is not kept. The same command goes on.")
                    return 128 + number
        except Quit:
            self._say("Stopped between two episodes. The same command goes on.")
            return 0
        outcomes = [self.trial.outcome(episode) for episode in order]
        solved = np.zeros((len(self.decodings), self.trial.scenes), bool)
        scores = np.full(solved.shape, np.nan)
        for outcome in filter(None, outcomes):
            place = outcome.setting, outcome.scene
            solved[place] = outcome.success
            scores[place] = np.nan if outcome.score is None else outcome.score
        without = int(np.isnan(scores).sum())
        if 0 < without < scores.size:
            self._say(f"{without} of {scores.size} episodes have no score, so mean scores are left out.")
        for view in blind_views(self.trial.settings, solved, None if np.isnan(scores).any() else scores):
            self.console.print()
            self.console.print(for_terminal(view))
        return 0

    def _episode(self, episode: BlindEpisode, of: int) -> int | None:
        """Run an episode until it is judged. Returns the number of the signal that ended it, if one did."""
        attempts = 0
        while True:
            where = f"episode {episode.number + 1} of {of}, scene {episode.scene + 1} of {self.trial.scenes}"
            if self.press is not None:
                self._say(f"{where}: set it up, the same for all settings. Any key starts, q quits.")
                self._key({}, otherwise="start")
            attempts, log = attempts + 1, self.trial.log_path(episode)
            number, failure = self._act(episode, log)
            if number is not None:
                return number
            endings = read_log(log).of("ending") if log.exists() else []
            ended = str(failure) if failure else endings[-1]["why"]
            if self.press is None:
                if failure and not (isinstance(failure, SafetyStop) and failure.by_policy):
                    raise ToyflowError(f"{where}: {failure}")
                success = ended == "solved"
            else:
                self._say(f"{failure} " * bool(failure) + "Did it succeed? y yes, n no, a again, q quit.")
                said = self._key(KEYS)
                if said == "again":
                    continue
                success = said == "yes"
            steps = endings[-1]["steps"] if endings else 0
            score = endings[-1].get("score") if endings else None
            outcome = BlindOutcome(
                episode.scene, episode.setting, success, steps, attempts, ended, log.name, score
            )
            self.trial.keep(episode, outcome)
            self._say(f"{where}: kept.")
            return None

    def _act(self, episode: BlindEpisode, log: Path) -> tuple[int | None, ToyflowError | None]:
        """Number of the signal that ended the episode, and what failed; None for none. What the run says is
        not shown, as the time that a plan takes would tell the setting."""
        ready = self.ready
        for decoding in (*self.decodings, self.decodings[episode.setting]):  # the wait tells nothing either
            ready.planner.set_decoding(decoding)
            ready.planner.plan([ready.planner.any_observation()], [0])
        states, changed, noise = ready.settings.get("states", ()), {}, self.noise_seed
        if states:
            changed, noise = (
                {"states": (states[episode.scene % len(states)],)},
                noise + episode.scene // len(states),
            )
        else:
            changed, noise = {"seed": ready.settings.get("seed", 0) + episode.scene}, noise + episode.scene
        robot = ready.open_robot(**changed)
        try:
            return ready.run(robot, 1, noise, lambda line: None, log, self._say), None
        except KeyboardInterrupt:
            return 2, None
        except ToyflowError as error:
            return None, error

    def _key(self, meanings: Mapping[str, str], otherwise: str | None = None) -> str:
        """What the next key that means something means."""
        assert self.press is not None
        while True:
            try:
                key = self.press().lower()
            except (KeyboardInterrupt, EOFError):
                raise Quit from None
            if key in ("q", "\x03", "\x04", ""):
                raise Quit
            if key in meanings or otherwise:
                return meanings.get(key, otherwise or "")

    def _say(self, line: str) -> None:
        self.console.print(line.strip(), markup=False)
