"""What is left out of an image since no camera sees it."""

from types import SimpleNamespace

import numpy as np
import pytest

from toyflow.errors import UsageError
from toyflow.robot.simulation.environments import rendering
from toyflow.robot.simulation.environments.rendering import Cameras, in_view


def camera(**changes):
    """At the origin, looking along x, 90 degrees wide, from 0.1 to 10 metres."""
    there = {
        "pos": (0, 0, 0), "forward": (1, 0, 0), "up": (0, 0, 1), "orthographic": 0, "frustum_width": 0.0,
        "frustum_top": 0.1, "frustum_bottom": -0.1, "frustum_near": 0.1, "frustum_far": 10.0,
    }  # fmt: skip
    return SimpleNamespace(**{**there, **changes})


@pytest.mark.parametrize(
    ("centre", "radius", "seen"),
    [
        ((2, 0, 0), 0.1, True),
        ((2, 2.1, 0), 0.1, True),  # 0.071 beyond the right side
        ((2, 2.2, 0), 0.1, False),  # 0.141
        ((2, 0, -2.1), 0.1, True),
        ((2, 0, -2.2), 0.1, False),
        ((-0.5, 0, 0), 0.5, False),
        ((-0.5, 0, 0), 0.7, True),
        ((10.2, 0, 0), 0.1, False),
        ((10.2, 0, 0), 0.3, True),
        ((-5, 0, 0), 0.0, True),  # a plane
    ],
)
def test_a_sphere_is_seen_as_soon_as_it_reaches_into_the_view(centre, radius, seen):
    found = in_view([camera(), camera()], np.array([centre], float), np.array([radius]))
    assert found.tolist() == [seen]


@pytest.mark.parametrize(
    "change",
    [{"orthographic": 1}, {"frustum_width": 0.2}, {"frustum_top": 0.2}],
    ids=lambda each: next(iter(each)),
)
def test_all_is_drawn_where_the_view_is_no_symmetric_pyramid(change):
    odd = camera(**change)
    assert in_view([odd, odd], np.array([[-5.0, 0, 0]]), np.array([0.1])).all()


def scene(generator: np.random.Generator) -> str:
    """Bodies of all kinds around five cameras, many of them cut by the edge of an image."""
    kinds = ("sphere", "capsule", "ellipsoid", "cylinder", "box", "mesh")
    geoms = []
    for index in range(120):
        place, turn = generator.uniform(-2, 2, 3), generator.uniform(-180, 180, 3)
        kind, size = kinds[index % len(kinds)], generator.uniform(0.05, 0.4, 3)
        what = 'mesh="wedge"' if kind == "mesh" else f'size="{size[0]} {size[1]} {size[2]}"'
        colour = generator.uniform(0.2, 1, 3)
        geoms.append(
            f'<geom type="{kind}" {what} group="1" pos="{place[0]} {place[1]} {place[2]}" '
            f'euler="{turn[0]} {turn[1]} {turn[2]}" rgba="{colour[0]} {colour[1]} {colour[2]} '
            f'{0.5 if index % 7 == 0 else 1}"/>'
        )
    cameras = [
        f'<camera name="{index}" pos="{generator.uniform(-1, 1)} {generator.uniform(-1, 1)} 0.2" '
        f'euler="{generator.uniform(60, 120)} {generator.uniform(-180, 180)} 0" fovy="{fovy}"/>'
        for index, fovy in enumerate((30, 45, 60, 75, 100))
    ]
    return f"""<mujoco><asset><mesh name="wedge" vertex="0 0 0  .5 0 0  0 .4 0  .3 .3 .6"/></asset>
    <worldbody><light pos="0 0 3"/><geom type="plane" size="5 5 .1" pos="0 0 -2" group="1"/>
    {"".join(geoms)}{"".join(cameras)}</worldbody></mujoco>"""


def test_no_pixel_changes_and_much_is_left_out(monkeypatch):
    pytest.importorskip("mujoco")
    try:
        mujoco = rendering.load_mujoco()
    except UsageError as error:
        pytest.skip(str(error))
    model = mujoco.MjModel.from_xml_string(scene(np.random.default_rng(0)))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    cameras, left_out = Cameras(model, 64, "fast"), []

    def counted(views, centres, radii):
        seen = in_view(views, centres, radii)
        left_out.append(int((~seen).sum()))
        return seen

    for name in map(str, range(5)):
        monkeypatch.setattr(rendering, "in_view", counted)
        image = cameras.image(data, name)
        monkeypatch.setattr(rendering, "in_view", lambda views, centres, radii: np.ones(len(radii), bool))
        assert np.array_equal(image, cameras.image(data, name))
        assert image.std() > 5
    cameras.close()
    assert min(left_out) > 30, left_out
