"""A list of mappings is one entry of one table: what follows from it alone, shown on a list that no manifest has."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from ltx_ray.errors import ManifestError
from ltx_ray.manifest import cells, fields, interpolate, merge, resolve, rows, schema, sweep
from ltx_ray.manifest.keys import DEFAULTS, SCENE, VIDEO
from ltx_ray.manifest.load import load_manifest
from ltx_ray.manifest.schema import files_of
from ltx_ray.manifest.tables import PATH, ListOf, Table, word
from tests.unit.manifest.cards import MODELS

STILL = Table(
    {
        "path": PATH,
        "at": fields.whole(0, 100, "a frame"),
        "strength": fields.number(0.0, 1.0, "a strength"),
        "look": Table({"name": word(fields.text("a look")), "crf": fields.whole(0, 51)}, null="none"),
    },
    twice=(("at", "look.crf"),),
)
STILLS = ListOf(STILL, entry="still", usual="path and at", most=3, defaults={"at": 0, "strength": 1.0})


@pytest.fixture(autouse=True)
def stills(monkeypatch):
    """Give a video and a scene ``stills``, by an entry in the table of each and by nothing else."""
    scene = replace(SCENE, keys={**SCENE.keys, "stills": STILLS}, title="the scene")
    keys = {**VIDEO.keys, "scenes": replace(VIDEO.keys["scenes"], table=scene), "stills": STILLS}
    video = replace(VIDEO, keys=keys)
    for module in (cells, interpolate, merge, resolve, rows, schema, sweep):
        monkeypatch.setattr(module, "VIDEO", video, raising=False)
    defaults = replace(DEFAULTS, keys={key: rule for key, rule in keys.items() if key != "id"})
    for name in ("load", "overrides", "sweep"):
        monkeypatch.setattr(f"ltx_ray.manifest.{name}.DEFAULTS", defaults)


@pytest.fixture
def merged(load, monkeypatch):
    """What every video of a text is by dotted key, and its id."""

    def merged(text, *overrides, **how):
        made = []
        build = resolve.build
        monkeypatch.setattr(resolve, "build", lambda merged: made.append(merged) or build(merged))
        load(text, *overrides, **how)
        return [(each.id, each.values) for each in made]

    return merged


def stills_of(merged, *given, **how):
    return [values.get("stills") for _, values in merged(*given, **how)]


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("stills: 3", "stills: 3 is not a list of 1 to 3 stills"),
        ("stills: []", "stills: [] is not a list of 1 to 3 stills"),
        ("stills: [{path: /a}, 7]", "stills[1]: 7 is not a mapping with path and at"),
        ("stills: [{path: 3}]", "stills[0].path: 3 is not a path"),
        ("stills: [{}, {at: 1.5}]", "stills[1].at: 1.5 is not a frame; nearest are 1 and 2"),
        ("stills: [{strenght: 1}]", "stills[0].strenght: is not a key here; nearest is strength"),
        ("stills: [{width: 640}]", "stills[0].width: is a key of the whole video; put it beside stills"),
        ("stills: [{look: {crf: 99}}]", "stills[0].look.crf: 99 is not a whole number between 0 and 51"),
        ("stills: [{crf: 9}]", "stills[0].crf: is not a key here; it can be look.crf"),
        ("stills: [{look: 3}]", "stills[0].look: 3 is not a mapping with the keys name, crf, or null for none"),
        ("stills: [{at: 1, look.crf: 2}]", "stills[0].look.crf: is given beside at; keep one of them"),
        ("stils: []", "stils: is not a key here; nearest is stills"),
        ("stills.2.at: 3", "stills.2.at: there is no still 2; the next one is 0"),
        ("scenes: [{stills: [{at: x}]}]", "scenes[0].stills[0].at: 'x' is not a frame"),
        ("scenes: [{stills: [{cut: true}]}]", "scenes[0].stills[0].cut: is a key of the scene; put it beside stills"),
        ('"scenes[0].stills[1].at": 3', "scenes.0.stills.1.at: there is no still 1; the next one is 0"),
    ],
)
def test_what_is_wrong_in_a_list_is_told_where_it_stands(sentences, keys, found):
    lines = sentences(f"videos: [{{id: fox, prompt: p, {keys}}}]")
    assert f"demo.yaml: videos[0] 'fox'.{found}" in lines
    assert len(lines) == 1 or "scenes" in keys


def test_entries_have_their_defaults_and_dotted_keys(merged):
    (stills,) = stills_of(merged, "videos: [{prompt: p, stills: [{path: /a}, {path: /b, look: {name: x}, at: 9}]}]")
    assert stills == (
        {"path": "/a", "at": 0, "strength": 1.0},
        {"path": "/b", "at": 9, "strength": 1.0, "look.name": "x"},
    )


def test_a_list_replaces_an_earlier_one_whole_and_single_keys_are_put_into_it(merged):
    text = """
defaults: {stills: [{path: /a, at: 5}, {path: /b}]}
videos: [{prompt: p}, {prompt: p, stills.1.at: 7}, {prompt: p, stills: [{path: /c}]}]
"""
    brief = [[(still["path"], still["at"]) for still in stills] for stills in stills_of(merged, text, "stills[0].at=8")]
    assert brief == [[("/a", 8), ("/b", 0)], [("/a", 8), ("/b", 7)], [("/c", 8)]]


def test_a_relative_path_is_beside_the_file_that_gives_it(merged, tmp_path):
    text = "videos: [{id: fox, prompt: p, stills: [{path: a.png}, {path: b.png}]}]"
    (stills,) = stills_of(merged, text, "fox:stills.1.path=c.png")
    assert [still["path"] for still in stills] == [str(tmp_path / "a.png"), "c.png"]


def test_a_relative_path_of_a_manifest_elsewhere_is_refused_where_it_stands():
    import fsspec

    row = b'{"id": "fox", "scenes": [{"prompt": "p", "stills": [{"path": "/a.png"}, {"path": "b.png"}]}]}\n'
    fsspec.filesystem("memory").pipe("stills.jsonl", row)
    with pytest.raises(ManifestError) as raised:
        load_manifest("memory://stills.jsonl", [], models=MODELS)
    assert str(raised.value) == (
        "stills.jsonl: line 1 'fox'.scenes[0].stills[1].path: 'b.png' is relative, and the manifest is not on this "
        "machine; write a path that starts with /"
    )


def test_a_scene_has_a_list_of_its_own(merged, tmp_path):
    text = "videos: [{id: sea, scenes: [{prompt: a, stills: [{path: a.png}]}, {prompt: b}]}]"
    ((_, values),) = merged(text, "sea:scenes.0.stills.1.path=/b.png", "scenes[0].stills[0].at=4")
    first, second = values["scenes"]
    assert [(still["path"], still["at"]) for still in first["stills"]] == [(str(tmp_path / "a.png"), 4), ("/b.png", 0)]
    assert "stills" not in second


def test_a_sweep_may_change_one_key_of_an_entry(merged):
    text = "videos: [{id: fox, prompt: p, stills: [{path: /a}]}]\nsweep: {stills.0.strength: [0.5, 1]}"
    found = [(video_id, values["stills"][0]["strength"]) for video_id, values in merged(text)]
    assert found == [("fox-strength0.5", 0.5), ("fox-strength1", 1.0)]


def test_a_swept_path_is_numbered_wherever_it_stands(merged):
    text = "videos: [{id: fox, prompt: p}]\nsweep: {stills.0.path: [/a.png, /b.png]}"
    assert [(video_id, values["stills"][0]["path"]) for video_id, values in merged(text)] == [
        ("fox-path1", "/a.png"),
        ("fox-path2", "/b.png"),
    ]


def test_a_path_is_literal_and_the_rest_of_an_entry_is_not(merged):
    text = 'defaults: {seed: 5}\nvideos: [{prompt: p, stills: [{path: "/${x}", at: "${defaults.seed}"}]}]'
    assert stills_of(merged, text) == [({"path": "/${x}", "at": 5, "strength": 1.0},)]


@pytest.mark.parametrize(
    "table",
    [
        "prompt,stills.0.path,stills.0.at\np,/007,3\n",
        'prompt,stills\np,"[{path: /007, at: 3}]"\n',
        'prompt,stills.0.path,stills[0].at\np,"/007",3\n',
    ],
)
def test_cells_say_all_of_this_too(merged, table):
    assert stills_of(merged, table, name="rows.csv") == [({"path": "/007", "at": 3, "strength": 1.0},)]


def test_a_cell_of_a_path_is_taken_as_written(merged, tmp_path):
    (stills,) = stills_of(merged, "prompt,stills.0.path\np,007\n", name="rows.csv")
    assert stills[0]["path"] == str(tmp_path / "007")


def test_the_files_of_a_video_are_found_by_the_mark(monkeypatch):
    extend = Table({"path": PATH}, null="none")
    scenes = ListOf(Table({"stills": STILLS}), entry="scene", usual="stills", most=9)
    monkeypatch.setattr(schema, "VIDEO", Table({"extend": extend, "stills": STILLS, "scenes": scenes}))
    still = some = SimpleNamespace
    video = some(
        extend=some(path="/x"),
        stills=[still(path="/a"), still(path="/b")],
        scenes=[some(stills=[]), some(stills=[still(path="/c")])],
    )
    assert [*files_of(video)] == [
        ("extend.path", "/x", "film"),
        ("stills[0].path", "/a", "film"),
        ("stills[1].path", "/b", "film"),
        ("scenes[1].stills[0].path", "/c", "film"),
    ]
    assert [*files_of(some(extend=None, stills=[], scenes=[]))] == []
