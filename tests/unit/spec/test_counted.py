"""Long loops say how far they are to whoever watches, and change nothing for others."""

from ltx_ray.manifest.load import load_manifest
from ltx_ray.plan.graph import build_plan
from ltx_ray.spec.counted import EVERY, ON_COUNT, counted
from tests.unit.manifest.cards import MODELS


def test_what_is_counted_is_told_now_and_then(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "p"}\n' * (EVERY + 1))
    told = []
    token = ON_COUNT.set(lambda what, num: told.append((what, num)))
    try:
        films = load_manifest(str(rows), [], models=MODELS)
        build_plan(films, MODELS)
    finally:
        ON_COUNT.reset(token)
    assert told == [("rows read", EVERY), ("videos planned", EVERY)]


def test_nobody_watches_and_everything_is_as_it_was():
    assert list(counted(range(3 * EVERY), "x")) == list(range(3 * EVERY))
