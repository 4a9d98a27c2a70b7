"""What the paper claims of its toy, what we add, and how results are held against each claim."""

from __future__ import annotations

from toyflow.report.claims import Claim
from toyflow.report.evidence import Testbed
from toyflow.report.paper.dial_judges import (
    one_step_loses_modes,
    one_step_mixes_modes,
    one_step_takes_the_likeliest,
)
from toyflow.report.paper.grid_judges import (
    baseline_is_weak,
    baseline_must_grow,
    decoder_does_not_make_up,
    encoder_raises_the_ceiling,
    few_step_methods_are_not_needed,
    gain_is_larger_in_one_step,
    noise_biased_in_one_step,
    one_step_is_as_good_as_uniform,
    one_step_is_enough,
    uniform_ends_lower,
    uniform_reads_late,
)
from toyflow.report.paper.image_judges import one_step_draws_worse, pure_noise_draws_badly
from toyflow.report.paper.one_step_judges import (
    averaging_removes_it,
    data_prediction_removes_it,
    leak_comes_first,
    neither_helps_joint_modes,
    one_model_serves_both,
    one_model_serves_both_with_draws,
)

NO_NUMBERS = "No number that we know."
GRID = Testbed(
    "grid", "grid-to-sequence", unit="grids", determined=True,
    described="a 4 x 4 grid of handwritten digits to its 16 digits, each written as ten numbers of which the "
    "largest counts; right if all 16 are",
)  # fmt: skip
NUMBERS = Testbed(
    "numbers", "grid-to-sequence", {"code": "scalar"}, any_options=True, unit="grids",
    determined=True,
    described="a grid of handwritten digits to its digits, each written as one number, which has to be "
    "precise; right if all are",
)  # fmt: skip
WAVE = Testbed(
    "wave", "wave", {"coin": "off"}, any_options=True, unit="waves", determined=True,
    described="a phase to points of its sine wave; right if every point is within 0.3",
)  # fmt: skip
DIAL = Testbed(
    "dial", "dial",
    described="dials to digits that hidden dice turn: several answers are right, and which go together is "
    "what has to be learned",
)  # fmt: skip
TWO_ARMS = Testbed(
    "two arms", "robot", {"dataset": "aloha-state"}, any_options=True, unit="episodes", margin=0.05,
    described="two simulated robot arms that hand over a cube, from the positions of joints and cube to the "
    "next actions; right if the episode ends with the cube handed over",
)  # fmt: skip
IMAGES = Testbed(
    "images", "class-to-image", unit="images",
    described="a class label to an image of that class; the distance of all images from real ones",
)  # fmt: skip
EVERYWHERE = (NUMBERS, GRID, WAVE, TWO_ARMS)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "13a", "One model serves one and ten steps: in one draw, each is as good as the best of all models.",
        "The paper has one schedule for one step and another for ten.",
        ours=True, part="enough", testbeds=EVERYWHERE, judge=one_model_serves_both,
        needs="flow at K = 1 and K = 10 of two or more models that differ in prediction or schedule",
        one_step="enough",
    ),
    Claim(
        "13b", "With averaged draws, one model serves one and ten steps.",
        "Draws cost no training, and in one batch little time.",
        ours=True, part="enough", testbeds=EVERYWHERE, judge=one_model_serves_both_with_draws,
        needs="the same in 1 and 8 draws", one_step="enough with averaged draws",
    ),
    Claim(
        "7a", "Where one fair hidden choice couples all tokens, one step is clearly worse than many.",
        "The mean, which one step aims at, falls between joint modes of equal weight.",
        ours=True, part="enough", testbeds=(DIAL,), judge=one_step_mixes_modes,
        needs="flow with coupling = coupled, certainty = 0, at K = 1 and many", one_step="not enough",
    ),
    Claim(
        "7b", "Where each token has a choice of its own, one step beats many in accuracy by token.",
        "The code nearest to the mean is the likeliest one, right with max p, a sample with sum p².",
        ours=True, part="enough", testbeds=(DIAL,), judge=one_step_takes_the_likeliest,
        needs="flow with coupling = independent, certainty between 0 and 1, at K = 1 and many",
    ),
    Claim(
        "7c",
        "Where one hidden choice couples all tokens and one mode is likelier, one step is farther from the "
        "distribution.",
        "The code nearest to the mean is then a valid outcome, and always the same.",
        ours=True, part="enough", testbeds=(DIAL,), judge=one_step_loses_modes,
        needs="flow with coupling = coupled, certainty between 0 and 1, at K = 1 and many",
    ),
    Claim(
        "9", "Most of the one-step error of velocity models is leaked noise.",
        "A network that predicts the velocity must carry its noise through itself to subtract it.",
        ours=True, part="remedies", testbeds=EVERYWHERE, judge=leak_comes_first,
        needs="flow at K = 1 with velocity prediction, probed: toyflow probe --out FOLDER",
    ),
    Claim(
        "10",
        "Predicting the data removes the leak, and one step is then as good as velocity's best decoding.",
        "One step returns what the network says, which need not carry the noise.",
        ours=True, part="remedies", testbeds=EVERYWHERE, judge=data_prediction_removes_it,
        needs="flow with --predict velocity,data at K = 1 and more, probed: toyflow probe --out FOLDER",
    ),
    Claim(
        "11", "Averaging 8 draws improves one step without training, and makes it as good as ten.",
        "The mean of answers to several noises has less of what leaks.",
        ours=True, part="remedies", testbeds=EVERYWHERE, judge=averaging_removes_it,
        needs="flow with velocity prediction, --steps 1,10 and --draws 1,8",
    ),
    Claim(
        "12", "Neither makes one step enough where the task's own spread has joint modes.",
        "What one step aims at is then the mean of the modes, which is none of them.",
        ours=True, part="remedies", testbeds=(DIAL,), judge=neither_helps_joint_modes,
        needs="flow with coupling = coupled, certainty = 0, --predict data or --draws 8, at K = 1 and many",
    ),
    Claim(
        "1a", "Training nearer to the noise raises the score in one step.",
        "LIBERO-Long in one step: uniform 70.2 %, shift:4 85.2 %. For the toy no number.",
        ours=False, part="paper", testbeds=(NUMBERS, WAVE, GRID), judge=noise_biased_in_one_step,
        needs="flow under uniform and a shift schedule at K = 1",
    ),
    Claim(
        "1b", "Training nearer to the noise gains most in one step.",
        "LIBERO-Long, shift:4 minus uniform: +15.0 points in one step, -17.4 in ten.",
        ours=False, part="paper", testbeds=(NUMBERS, WAVE, GRID), judge=gain_is_larger_in_one_step,
        needs="flow under uniform and a shift schedule at K = 1 and K = 10",
    ),
    Claim(
        "1c", "With training near the noise, one step is not worse than ten.",
        "LIBERO-Long, shift:4: 85.2 % in one step, 63.4 % in ten. LIBERO-Plus: +5.4 points for one step.",
        ours=False, part="paper", testbeds=(NUMBERS, WAVE, GRID, TWO_ARMS), judge=one_step_is_enough,
        needs="flow under a shift schedule at K = 1 and K = 10",
    ),
    Claim(
        "1d", "With training near the noise, one step is not worse than ten steps of uniform training.",
        "LIBERO-Long: shift:4 in one step 85.2 %, uniform in ten 80.8 %.",
        ours=False, part="paper", testbeds=(NUMBERS, WAVE, GRID), judge=one_step_is_as_good_as_uniform,
        needs="flow under a shift schedule at K = 1 and under uniform at K = 10",
    ),
    Claim(
        "2", "A stronger CNN encoder raises the ceiling.", NO_NUMBERS,
        ours=False, part="paper", testbeds=(GRID,), judge=encoder_raises_the_ceiling,
        needs="flow with encoder = small, base and large",
    ),
    Claim(
        "3", "With a weak CNN, a larger decoder does not make up for it.", NO_NUMBERS,
        ours=False, part="paper", testbeds=(GRID,), judge=decoder_does_not_make_up,
        needs="flow with encoder = small, decoder = large and with both at base",
    ),
    Claim(
        "4a", "An autoregressive baseline of width 256 and depth 4 is right on about a quarter.",
        "About 25 % exact match.",
        ours=False, part="paper", testbeds=(GRID,), judge=baseline_is_weak,
        needs="objective autoregressive with decoder = 256x4",
    ),
    Claim(
        "4b", "The autoregressive baseline must grow to width 512 and depth 8 to come near flow.",
        "512 x 8 comes near the diffusion model, 256 x 4 does not.",
        ours=False, part="paper", testbeds=(GRID,), judge=baseline_must_grow,
        needs="objectives autoregressive and flow with decoder = 256x4 and 512x8",
    ),
    Claim(
        "5a", "Where the condition is weak and the target large, training from pure noise does badly.",
        "On CIFAR-10, class to image; no number.",
        ours=False, part="paper", testbeds=(IMAGES,), judge=pure_noise_draws_badly,
        needs="pure-noise at K = 1 and flow at many steps",
    ),
    Claim(
        "5b", "Where the condition is weak and the target large, one step of flow is worse than many.",
        "On CIFAR-10, class to image; no number.",
        ours=False, part="paper", testbeds=(IMAGES,), judge=one_step_draws_worse,
        needs="flow at K = 1 and at many steps", one_step="not enough",
    ),
    Claim(
        "6a", "With joint attention, uniform learns to read its condition later than noise-biased schedules.",
        "What the schedules change may be learning to look, which cross-attention hides.",
        ours=True, part="paper", testbeds=(GRID,), judge=uniform_reads_late,
        needs="flow with attention = joint under uniform and a shift schedule",
    ),
    Claim(
        "6b", "With joint attention, uniform ends lower than noise-biased schedules.",
        "It is the other half of 6a.",
        ours=True, part="paper", testbeds=(GRID,), judge=uniform_ends_lower,
        needs="flow with attention = joint under uniform and a shift schedule",
    ),
    Claim(
        "8", "Few-step methods are not needed: one step of noise-biased flow is not worse than any of them.",
        "Claimed for regression, MeanFlow, shortcut and consistency. Of these it runs one form of "
        "regression.",
        ours=False, part="paper", testbeds=(GRID,), judge=few_step_methods_are_not_needed,
        needs="flow under a shift schedule at K = 1, and the objectives it is held against",
    ),
)  # fmt: skip
"""In the order of a report, by their `part`."""
