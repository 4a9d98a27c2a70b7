"""The page's charts: each compiles, asks for nothing from elsewhere, and tells A and B apart."""

import json

import pytest
import vl_convert

from toyflow.report.explore.charts import charts

CHARTS = charts()


@pytest.mark.parametrize("name", CHARTS)
def test_it_compiles_without_rows(name):
    spec = {**CHARTS[name], "width": 300, "datasets": {}}
    names = {layer["data"]["name"] for layer in spec["layer"] if "data" in layer} | {
        spec.get("data", {}).get("name")
    }
    spec["datasets"] = {each: [] for each in names if each}
    assert spec["datasets"] and vl_convert.vegalite_to_vega(spec)["marks"]


def test_nothing_is_loaded():
    assert '"url"' not in json.dumps(CHARTS)


def test_sides_differ_in_shape_or_dashes_as_well_as_in_colour():
    for name in ("success", "errors"):
        assert {"strokeDash", "shape"} & {
            channel for layer in CHARTS[name]["layer"] for channel in layer["encoding"]
        }
