"""What a probe found of a policy, in sentences: what one step loses, and what to do."""

from __future__ import annotations

from toyflow.flow import Decoding
from toyflow.report.policy_probe import Origin, ProbedPolicy, error_parts
from toyflow.stats import Interval

CAVEATS: dict[Origin, str] = {
    "frames of training": "errors on frames of training show the fit, and are no test",
    "held-out episodes": "",
    "episodes held out of its last training": "whether an earlier training, whose weights that one "
    "began from, had them is not known",
    "frames that may be of training": "whether the policy was trained on these frames is not known, so that "
    "errors may show the fit, and are no test",
}


def policy_sentences(probed: ProbedPolicy) -> list[str]:
    """What one step loses in actions and in moves, how each decoding compares with the reference, what to do,
    and what the frames are."""
    label = probed.model.label
    sentences = []
    for errors in probed.errors if probed.dissected else ():
        of = "its actions" if errors.of == "actions" else "its moves from one action to the next"
        found = errors.diagnosis
        sentences.append(
            found.sentence(f"{label}, {of}")
            if found.losses
            else f"{label}, {of}: one step loses nothing to speak of ({found.smallness})."
        )
    if probed.dissected and not probed.takes_noise:
        sentences.append(f"{label} takes no noise, so its leak is 0 by construction: no draws to average.")
    if not probed.dissected:
        sentences.append(_errors(probed, probed.reference))
    sentences += [_verdict(probed, each) for each in probed.decodings if each != probed.reference]
    sentences += probed.not_measured
    if probed.advice is not None:
        sentences.append(_advice(probed, probed.advice))
    caveat = CAVEATS[probed.origin]
    return [*sentences, f"Measured on {probed.where}{f'; {caveat}' if caveat else ''}."]


def _errors(probed: ProbedPolicy, decoding: Decoding) -> str:
    """By how much plans of `decoding` err."""
    words = []
    for errors in probed.errors:
        rms = next(error_parts(probed, errors)).rms(probed, decoding)
        bounds = f"[{rms.low:.3g}, {rms.high:.3g}]"
        words.append(f"its {errors.of} err by {rms.estimate:.3g} {bounds} {errors.unit}")
    return f"{probed.model.label} {_in_words(decoding)}: {', '.join(words)}."


def _verdict(probed: ProbedPolicy, decoding: Decoding) -> str:
    """How the errors of `decoding` compare with the reference's, by their paired intervals."""
    words, that = [], _in_words(probed.reference)
    for errors in probed.errors:
        part = next(error_parts(probed, errors))
        rms = [part.rms(probed, each).estimate for each in (decoding, probed.reference)]
        averages = errors.diagnosis.steps > 1 or not probed.dissected
        compared = _compared(part.difference(probed, decoding), averages)
        words.append(f"{errors.of} err by {rms[0]:.3g} {errors.unit}, {that} by {rms[1]:.3g}: {compared}")
    this = _in_words(decoding)
    return f"{this[0].upper()}{this[1:]} {'; '.join(words)}."


def _compared(found: Interval, averages: bool) -> str:
    """The difference in words. Where the spread asks for several steps, or may, a smaller error is not called
    better: the mean of several ways has one, and may be none of them."""
    if found.low > 0:
        return f"worse by {found.estimate:.2g} [{found.low:.2g}, {found.high:.2g}]"
    if found.high < 0:
        less = f"by {-found.estimate:.2g} [{-found.high:.2g}, {-found.low:.2g}]"
        return f"less {less}, as averages do where demonstrations differ" if averages else f"better {less}"
    return (
        f"not worse by more than {found.high:.2g} ({found.estimate:.2g} [{found.low:.2g}, {found.high:.2g}])"
    )


def _in_words(decoding: Decoding) -> str:
    steps = "in one step" if decoding.steps == 1 else f"in {decoding.steps} steps"
    return steps if decoding.draws == 1 else f"{steps} with the mean of {decoding.draws} draws"


def _advice(probed: ProbedPolicy, advice: Decoding) -> str:
    if probed.dissected and any(errors.diagnosis.steps > 1 for errors in probed.errors):
        return (
            f"So: keep {advice.steps} steps, unless one succeeds as often: squared errors do not tell "
            "whether what demonstrations vary by are different right answers."
        )
    if advice.steps > 1:
        worse = " and ".join(f"{of} (by {found.estimate:.2g})" for of, found in probed.worse.items())
        draws = 1 if probed.one_step is None else probed.one_step.draws
        but = f"the mean of {draws} draws removes most of the leak, but " if draws > 1 else ""
        training = ", or train with --predict data" if probed.model.may_predict_data else ""
        still = f"{but}one step still errs by more than these in {worse}"
        return f"So: keep {advice.steps} steps{training}: {still}."
    if advice.draws > 1:
        return f"So: one step, with the mean of {advice.draws} draws."
    leaks = any(loss.part == "leak" for errors in probed.errors for loss in errors.diagnosis.losses)
    return "So: one step; try several draws." if leaks else "So: one step and one draw."
