"""What a plan would do on a cluster, and what that takes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ltx_ray import api
from ltx_ray.errors import DoesNotFit, PlanError
from ltx_ray.models.catalog import Catalog, Entry
from ltx_ray.models.ltx2.tiny_facts import TINY
from ltx_ray.run.estimate import read_duration, shown_duration

GB = 10**9
SIZES = {"text_encoder": 24.4, "connectors": 6.3, "transformer": 38.0, "upscaler": 1.0, "video_vae": 1.5}
H100S = '{name: a, cpus: 64, memory_gib: 512, devices: [{name: "NVIDIA H100 80GB HBM3", count: %d}]}'


@pytest.fixture
def catalog():
    """One model of the published size, whose files nobody has."""
    base = TINY["2.3"]
    weights = tuple(replace(each, digest=f"big {each.part}") for each in base.weights)
    sizes = tuple((part, int(size * GB)) for part, size in SIZES.items())
    facts = replace(base, name="big", digest="big", num_blocks=48, weights=weights, part_bytes=sizes)
    return Catalog(Entry(facts=facts, loader="tiny", precisions=("fp32",)))


@pytest.fixture
def foresee(tmp_path, catalog):
    def run(cluster=H100S % 8, *, model="big", num_videos=8, prices="", **options):
        path = tmp_path / "films.yaml"
        shown = {"model": model, "preset": "distilled", "width": 1920, "height": 1088, "num_frames": 121}
        videos = [{"id": f"v{idx}", "prompt": f"fox {idx}"} for idx in range(num_videos)]
        path.write_text(json.dumps({"defaults": shown, "videos": videos}))
        (tmp_path / "cluster.yaml").write_text(f"nodes: [{cluster}]\n{prices}")
        manifest = api.load_manifest(path, catalog=catalog)
        dry = api.dry_run(manifest, run_dir=tmp_path / "run", catalog=catalog)
        chosen = api.RenderOptions(**options)
        return api.foresee(dry, chosen, catalog=catalog, cluster=str(tmp_path / "cluster.yaml"))

    return run


def test_a_plan_says_for_every_worker_what_it_holds_where_and_why(foresee):
    found = foresee()
    rows = found.placement_rows()
    assert all(row["peak_gib"] <= row["budget_gib"] <= 80.0 for row in rows if row["device"])
    (text, *_) = [row for row in rows if "text_encode" in row["stages"]]
    assert {"text_encoder fp32", "connectors fp32"} <= set(text["parts"])
    assert text["precision"]["text_encoder"] == "fp32" and text["offload"] == "none"
    assert {row["node"] for row in rows} == {"a"} and all(row["why"] for row in rows)
    assert json.loads(json.dumps(found.estimate_row()))["basis"] == "by the table of cards"
    assert len(list(found.lines())) == len(rows) + 3


def test_more_cards_take_less_time_and_more_hours_of_cards(foresee):
    one, eight = (foresee(H100S % count).estimate for count in (1, 8))
    assert eight.wall_s < one.wall_s / 2 and eight.gpu_hours > one.gpu_hours
    assert one.band[0] < one.wall_s < one.band[1] and 0.5 < one.busy <= 1.0
    assert one.gpu_hours == pytest.approx(one.wall_s / 3600)
    assert list(one.peak_bytes) == ["NVIDIA H100 80GB HBM3"]


def test_a_slower_card_takes_longer_by_as_much_as_it_is_slower(foresee):
    fast, slow = foresee(H100S % 1), foresee((H100S % 1).replace("H100 80GB HBM3", "A100 80GB PCIe"))
    assert 2.0 < slow.estimate.wall_s / fast.estimate.wall_s < 3.5


def test_money_is_the_price_of_an_hour_times_hours(foresee):
    found = foresee(prices="prices: {H100: 2.0}").estimate
    assert found.cost == pytest.approx(2.0 * found.gpu_hours)
    assert foresee().estimate.cost is None


@pytest.mark.parametrize(
    ("ceilings", "said"),
    [
        (
            {"gpu_hours": 0.001},
            r"--max-gpu-hours 0.001: this takes about 0.\d+ hours of cards \(by the",
        ),
        ({"cost": 0.01}, r"--max-cost 0.01: no price is known of a card of this cluster; give --price"),
        ({"deadline": "5s"}, r"--deadline 5: this takes about \d+(\.\d+)? seconds"),
    ],
)
def test_what_takes_more_than_it_may_is_refused_before_work(foresee, ceilings, said):
    with pytest.raises(DoesNotFit, match=said):
        foresee(ceilings=api.ceilings(**ceilings))


def test_a_limit_that_is_met_refuses_nothing(foresee):
    ceilings = api.ceilings(gpu_hours=100.0, cost=100.0, deadline="2h")
    assert foresee(prices="prices: {H100: 2.0}", ceilings=ceilings).estimate is not None


def test_what_fits_no_card_is_refused_with_the_numbers(foresee):
    with pytest.raises(DoesNotFit, match=r"connectors|text_encode: takes .* GiB of a card, .* has 4.0"):
        foresee("{name: a, memory_gib: 256, devices: [{name: Small, memory_gib: 4}]}")


def test_cores_alone_get_workers_and_no_guess_of_their_time(foresee):
    found = foresee("{name: a, cpus: 4}", model="big")
    assert found.estimate is None and len(found.placement_rows()) == 4


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("45m", 2700), ("2h30m", 9000), ("1.5h", 5400), ("10s", 10)])
def test_lengths_of_time_are_read_as_people_write_them(text, seconds):
    assert read_duration(text, "--deadline") == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5", "5 days", "m"])
def test_what_is_no_length_of_time_is_a_sentence(text):
    with pytest.raises(PlanError, match=r"--deadline: .* is no length of time; write 90, 45m or 2h30m"):
        read_duration(text, "--deadline")


def test_lengths_of_time_are_shown_as_people_read_them():
    assert [shown_duration(each) for each in (8.51, 59.4, 750, 7500)] == ["8.5 s", "59 s", "12 min 30 s", "2 h 05 min"]
