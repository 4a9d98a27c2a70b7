"""The model card: README.md beside a policy's weights, written from the records there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toyflow.atomic import atomic_file
from toyflow.footnotes import Footnotes
from toyflow.parsing import listed_ranges
from toyflow.robot.data.normalisation import Normalisation
from toyflow.stats import wilson
from toyflow.sweep.store import Store
from toyflow.sweep.stored import StoredEvaluation, StoredTraining, caveat_of, errors_in_words
from toyflow.sweep.timing_doubts import MARK, doubts_in_words, plan_of, timing_doubts

BEHIND_SERVER = "server"
"""The type of a policy that is behind servers, among LeRobot's types; see `runtime.remote.remote_cells`."""


def is_behind_server(training: StoredTraining) -> bool:
    """Whether a cell is that of a policy behind servers."""
    return training.details.get("imported", {}).get("type") == BEHIND_SERVER


def write_card(store: Store, key: str) -> None:
    """Write the card of the policy `key`: its schedule, data and normalisation, and its score by K."""
    training = store.training(key)
    with atomic_file(training.folder / "README.md") as temporary:
        temporary.write_text(_card(training, list(store.evaluations(training))))


def _card(training: StoredTraining, evaluations: list[StoredEvaluation]) -> str:
    about = _imported(training) if "imported" in training.details else _trained(training)
    lines, notes = [*about, "", "## Evaluated", ""], Footnotes()
    if not evaluations:
        lines.append("Not in closed loop yet.")
    else:
        lines += [
            "| decoding | success [95 % interval] | episodes | on | plan, ms (of one step) |",
            "|---|---|---|---|---|",
        ]
        doubts = timing_doubts(evaluations)
        lines += [
            _row(evaluation, notes, MARK if doubt else "")
            for evaluation, doubt in zip(evaluations, doubts, strict=True)
        ]
        lines += ["", said] if (said := notes.after("")) else []
        lines += ["", doubts_in_words(doubts).replace(MARK, f"\\{MARK}")] if any(doubts) else []
    return "\n".join(lines) + "\n"


def _imported(training: StoredTraining) -> list[str]:
    imported, interface = training.details["imported"], training.details["imported"]["interface"]
    sees = (
        f"- sees cameras {', '.join(interface['cameras']) or 'none'}, states of {interface['state_dim']} "
        f"numbers; answers {imported['horizon']} actions of {interface['action_dim']}"
    )
    if imported["type"] == BEHIND_SERVER:
        about = f"A policy behind openpi's websocket protocol, first met at {imported['from']}."
        return [f"# Policy {training.record.key}", "", about, "", sees]
    here = "its weights are here as well" if "policy" in training.details else "its weights stay there"
    return [
        f"# Policy {training.record.key}",
        "",
        f"A LeRobot policy of type {imported['type']}, from {imported['from']}; {here}.",
        "",
        f"- {training.details['parameters'] / 1e6:.2f} M parameters; fingerprint "
        f"{training.record.data['fingerprint']}; LeRobot {imported['lerobot']}",
        sees,
    ]


def _trained(training: StoredTraining) -> list[str]:
    record, details = training.record, training.details
    policy, interface = details["policy"], details["policy"]["interface"]
    normalisation = Normalisation.from_dict(details["normalisation"])
    return [
        f"# Policy {record.key}",
        "",
        "Made by toyflow: one-step action generation by flow matching.",
        "",
        f"- objective and training-time schedule: `{record.label}` (t = 0 is noise)",
        f"- size {policy['size']}, {details['parameters'] / 1e6:.2f} M parameters, {policy['attention']} "
        f"attention, supervision `{policy['supervision']}`, horizon {policy['horizon']}",
        f"- sees cameras {', '.join(interface['cameras']) or 'none'}; language "
        f"{_on(policy['language'])}, state {_on(policy['state'])}; {interface['fps']:g} actions a second",
        f"- data: {training.data_options.get('dataset')}, {details['episodes']} demonstrations, "
        f"{details['frames']} frames, fingerprint {record.data.get('fingerprint')}",
        *_held_out(details),
        *_relative(policy),
        f"- normalisation: {normalisation.kind}; constant dimensions: {normalisation.constant() or 'none'}",
        f"- recipe: {', '.join(f'{name} {value:g}' for name, value in record.recipe.items())}; seed "
        f"{record.seed}; {details['seconds']:.0f} s of training on {training.environment.get('device_name')}",
    ]


def _held_out(details: Mapping[str, Any]) -> list[str]:
    kept = details.get("held_out_episodes")  # older results have none
    return [f"- held out of training: episodes {listed_ranges(kept)} (counted from 0)"] if kept else []


def _relative(policy: Mapping[str, Any]) -> list[str]:
    """Which numbers of an action are relative to the state; older results have no such entry."""
    numbers = policy.get("relative")
    if not numbers:
        return []
    return [
        f"- learns numbers {listed_ranges(numbers)} of an action (counted from 0) relative to the state at "
        "the chunk's start; its plans are absolute"
    ]


def _row(evaluation: StoredEvaluation, notes: Footnotes, busy: str) -> str:
    details, trials = evaluation.details, evaluation.details["trials"]
    interval = wilson(round(evaluation.score * details["examples"]), details["examples"])
    plan = plan_of(details["latency_ms"])
    one_step = details["latency_ms"].get("one_step")  # older results have none
    ratio = f" (x {plan['p50'] / one_step['p50']:.2f})" if one_step else ""
    tasks = listed_ranges(sorted(trials["tasks"]), ", ")
    scene = f"{trials['suite']}, tasks {tasks}, re-planning every {trials['replan']}"
    scene += f", noise seed {evaluation.record.noise_seed}" if evaluation.record.noise_seed else ""
    mark = notes.mark(caveat_of(evaluation))
    errors = f" and {errors_in_words(evaluation.errors)} of the simulator" if evaluation.errors else ""
    return (
        f"| {evaluation.record.label} | {interval.estimate:.1%}{mark} [{interval.low:.1%}, "
        f"{interval.high:.1%}] | {details['examples']}{errors} | {scene} | {plan['p50']:.1f}{ratio}{busy} |"
    )


def _on(switch: bool) -> str:
    return "on" if switch else "off"
