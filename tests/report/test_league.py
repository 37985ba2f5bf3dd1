"""The league table says what the rows say."""

import csv
import io
import xml.etree.ElementTree

import pytest

from keras_vssl.report import league


def row(method, protocol, metric, value, seed=0, backbone="r3d_nano", **extra):
    return {
        "method": method, "backbone": backbone, "dataset": "clips", "protocol": protocol,
        "metric": metric, "value": value, "seed": seed, **extra,
    }  # fmt: skip


@pytest.fixture
def rows():
    found = [row("floor_thumbnail", "retrieval", "top1", 0.18, None, backbone="any")]
    for seed, shift in ((0, -0.02), (1, 0.0), (2, 0.02)):
        for method, value in (("vcop", 0.3), ("cvrl", 0.4), ("random", 0.2)):
            found.append(row(method, "retrieval", "top1", value + shift, seed))
            found.append(row(method, "linear", "top1", value + 0.1 + shift, seed))
        found.append(row("vcop", "pretext", "accuracy", 0.5 + shift, seed, chance=1 / 6))
        found.append(row("vcop", "cost", "milliseconds_per_step", 100 + seed, seed))
    return found


def test_lines_are_ranked_by_transfer_with_the_baselines_last(rows):
    found = league.league(rows)
    assert [line["method"] for line in found] == ["cvrl", "vcop", "floor_thumbnail", "random"]
    mean, spread, seeds = found[0]["cells"]["retrieval", "top1"]
    assert mean == pytest.approx(0.4) and spread == pytest.approx(0.02) and seeds == 3
    assert found[1]["pretext"] == ("accuracy", 1 / 6)
    assert found[2]["backbone"] is None


def test_every_table_has_the_figures_the_chance_and_the_spread(rows):
    found = league.league(rows)
    head, body = league.grid(found)
    assert head == [
        "method", "backbone", "own task (chance)", "retrieval top-1", "linear probe", "ms a step"
    ]  # fmt: skip
    vcop = body[1]
    assert vcop[2] == "accuracy 50.0 ± 2.0 (16.7)" and vcop[3] == "30.0 ± 2.0"
    assert vcop[5] == "101 ± 1"
    for text in (league.as_text(found), league.as_markdown(found), league.as_html(found)):
        assert "50.0 ± 2.0" in text and "VCOP" in text
    assert "16.7" in league.as_html(found)


def test_the_csv_holds_every_value(rows):
    read = list(csv.DictReader(io.StringIO(league.as_csv(rows))))
    assert len(read) == len(rows)
    assert [float(r["value"]) for r in read] == [r["value"] for r in rows]


def test_the_picture_is_a_whole_document_with_a_dot_a_value(rows):
    found = league.league(rows)
    root = xml.etree.ElementTree.fromstring(league.picture(found, "clips <1>"))
    circles = [e for e in root.iter() if e.tag.endswith("circle")]
    assert len(circles) == sum(r["protocol"] in ("retrieval", "linear") for r in rows)
    dashes = [e.get("stroke-dasharray") for e in root.iter() if e.get("stroke-dasharray")]
    assert dashes.count("5 4") == 2 and dashes.count("1 3") == 1, "random weights, and the floor"
    assert league.picture(league.league([]), "nothing") == ""
