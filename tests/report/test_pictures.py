"""Pictures of figures: what they were drawn from, and how they look on dark pages."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from toyflow.report.pictures import checksum_of, on_both_grounds, uri, view_of


@pytest.fixture(autouse=True)
def closed():
    """No figure of an earlier test stays."""
    plt.close("all")


def drawn(y=(0.1, 0.4), color="tab:blue", title="loss", rows=((0, 1),), dpi=100):
    figure, axes = plt.subplots(figsize=(2, 1), dpi=dpi)
    axes.plot([1, 2], y, color=color, label="uniform")
    axes.bar([1, 2], [3, 4])
    axes.scatter([1], [2])
    axes.imshow(np.asarray(rows))
    axes.set_title(title)
    figure.legend()
    return figure


@pytest.mark.parametrize(
    "other", [{"y": (0.1, 0.41)}, {"color": "tab:red"}, {"title": "score"}, {"rows": ((1, 0),)}]
)
def test_a_checksum_is_of_numbers_colours_and_words(other):
    assert checksum_of(drawn()) != checksum_of(drawn(**other))


def test_a_checksum_is_not_of_pixels_nor_of_rounding():
    alike = [drawn(), drawn(dpi=37), drawn(y=(0.1 + 1e-12, 0.4)), drawn()]
    alike[-1].canvas.draw()
    assert len({checksum_of(figure) for figure in alike}) == 1
    zeros = [drawn(y=(value, 1)) for value in (0.0, -0.0, 1e-17, -1e-17)]
    assert len({checksum_of(figure) for figure in zeros}) == 1


def test_without_pixels_a_view_says_the_same():
    whole, empty = (view_of(drawn(), "loss", "a line", None, pixels=pixels) for pixels in (True, False))
    assert (whole.drawn_from, whole.width) == (empty.drawn_from, empty.width) and empty.width == 192
    assert empty.light == empty.dark == uri(b"") and len(whole.light) > len(empty.light) + 100
    assert not plt.get_fignums()


def test_on_a_dark_ground_greys_are_turned_and_hues_stay(tmp_path):
    colours = {"black": (0, 0, 0), "grey": (230, 230, 230), "red": (210, 40, 40)}
    picture = Image.new("RGBA", (3, 1))
    picture.putdata([(*colour, 255) for colour in colours.values()])
    found = []
    for name, content in zip(("light", "dark"), on_both_grounds(picture), strict=True):
        (tmp_path / name).write_bytes(content)
        found.append(np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int)[0])
    light, dark = found
    assert np.abs(light - [*colours.values()]).max() < 8
    assert dark[0].min() > 240 and dark[1].max() < 70 and (dark[2] == light[2]).all()
