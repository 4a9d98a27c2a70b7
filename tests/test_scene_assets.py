"""What is said beside scores, by what the scenes were made of."""

import pytest

from toyflow.scene_assets import caveat, replaced


@pytest.mark.parametrize(
    ("environment", "assets", "said"),
    [
        ("libero", "whole", ""),
        ("aloha", "own", ""),
        (
            "libero",
            "own",
            "with 29 of LIBERO's 371 asset files replaced (known of toyflow's published results",
        ),
        ("libero", replaced(1, 371), "with 1 of LIBERO's 371 asset files replaced"),
        ("mine", replaced(1, 2), "with 1 of the simulator's 2 asset files replaced"),
        ("libero", "stand-in", "on generated stand-in assets"),
        ("yam", "own", ""),
        ("yam-state", "i2rt-1.4.0", "with I2RT's model files 1.4.0, not 1.3.6.post1 as"),
        ("mine", "painted", "on assets 'painted', which are not"),
        ("libero", "whole+archive", "with scenes of LIBERO-Plus's archive"),
        ("libero", replaced(1, 371) + "+archive", "with 1 of LIBERO's 371 asset files replaced, and with"),
        ("mine", "own+lamps", "with scenes of 'lamps' beyond the suite's own"),
    ],
)
def test_what_is_said(environment, assets, said):
    found = caveat(environment, assets)
    assert found.startswith(said) and bool(found) == bool(said)
