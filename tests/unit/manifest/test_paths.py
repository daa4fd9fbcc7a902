import pytest

from ltx_ray.manifest import paths


def test_fields_of_a_path_are_filled_in(load):
    manifest = load(
        """
videos: [{id: fox, prompt: p, seed: 3}, {id: owl, prompt: p, seed: 4}]
output: {path: "{preset}/{index}-{id}-{seed}-{width}x{height}.mov"}
"""
    )
    assert [video.output.path for video in manifest.videos] == [
        "distilled/00001-fox-3-768x512.mov",
        "distilled/00002-owl-4-768x512.mov",
    ]


def test_doubled_braces_are_braces():
    assert paths.filled("{{{id}}}.mp4", {"id": "fox"}) == "{fox}.mp4"


@pytest.mark.parametrize(
    "path", ["灯台.mp4", "a b/c.d.mkv", "fox.MP4", "a.b/c.mov", "Scene 1: the fox.mp4", "A: B.mp4"]
)
def test_usual_names_are_allowed(path):
    assert paths.filled(path, {}) == path


@pytest.mark.parametrize(
    ("video_id", "is_odd"),
    [
        ("Scene 1: the fox", True),
        ("why?", True),
        ('the "fox"', True),
        ("con", True),
        ("Aux.1", True),
        ("com5", True),
        ("console", False),
        ("fox.", False),  # fox..mp4
        ("fox & owl, 50%", False),
    ],
)
def test_a_name_that_windows_cannot_hold_is_noted(load, video_id, is_odd):
    what = f"demo.yaml: videos[0] '{video_id}'.output.path: Windows and exFAT disks cannot hold a file of this name"
    assert load(f"videos: [{{id: '{video_id}', prompt: p}}]").notes == ((what,) if is_odd else ())


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("../fox.mp4", "'../fox.mp4' leaves the output folder; take .. out"),
        ("a/../../fox.mp4", "'a/../../fox.mp4' leaves the output folder; take .. out"),
        ("/fox.mp4", "'/fox.mp4' is not below the output folder; write a relative path with /"),
        ("~/fox.mp4", "'~/fox.mp4' is not below the output folder; write a relative path with /"),
        ("C:fox.mp4", "'C:fox.mp4' is not below the output folder; write a relative path with /"),
        ("s3://b/fox.mp4", "'s3://b/fox.mp4' is not below the output folder; write a relative path with /"),
        (r"a\fox.mp4", "'a\\\\fox.mp4' is not below the output folder; write a relative path with /"),
        ("a//fox.mp4", "'a//fox.mp4' has an empty name in it; write names between slashes"),
        ("./fox.mp4", "'./fox.mp4' has an empty name in it; write names between slashes"),
        ("fox", "'fox' is not a kind of file that is written; end it in .mp4, .mov, .mkv"),
        ("fox.webm", "'fox.webm' is not a kind of file that is written; end it in .mp4, .mov, .mkv"),
        (".mp4", "'.mp4' is not a kind of file that is written; end it in .mp4, .mov, .mkv"),
        ("mp4", "'mp4' is not a kind of file that is written; end it in .mp4, .mov, .mkv"),
        ("{name}.mp4", "'{name}' is not a field of a path; it can be id, index, seed, preset, width, height"),
        (
            "{id.__class__}.mp4",
            "'{id.__class__}' is not a field of a path; it can be id, index, seed, preset, width, height",
        ),
        ("{id[0]}.mp4", "'{id[0]}' is not a field of a path; it can be id, index, seed, preset, width, height"),
        ("{}.mp4", "'{}' is not a field of a path; it can be id, index, seed, preset, width, height"),
        ("{id!r}.mp4", "'{id!r}.mp4' formats {id}; write {id} alone"),
        ("{seed:99999999999}.mp4", "'{seed:99999999999}.mp4' formats {seed}; write {seed} alone"),
        ("{id.mp4", "'{id.mp4' is not a path: expected '}' before end of string; write braces as {{ and }}"),
        ("灯" * 70 + ".mp4", f"'{'灯' * 55} ... has a name of 214 bytes; at most 200 fit, 1000 in all"),
    ],
)
def test_a_path_that_leaves_its_root_or_cannot_be_written_is_refused(sentences, path, found):
    content = "videos: [{id: fox, prompt: p, output: {path: '" + path + "'}}]"
    assert sentences(content) == [f"demo.yaml: videos[0] 'fox'.output.path: {found}"]


def test_two_videos_with_one_path_are_refused_where_the_path_is_written(sentences):
    assert sentences("videos: [{id: a, prompt: p}, {id: b, prompt: p}, {id: c, prompt: p}]\noutput: {path: x.mp4}") == [
        "demo.yaml: output.path: 'x.mp4' is the file of both 'a' and 'b'; put {id} into the path"
    ]
    assert sentences("videos: [{id: a, prompt: p, output.path: b.mp4}, {id: b, prompt: p, output.path: b.mp4}]") == [
        "demo.yaml: videos[1] 'b'.output.path: 'b.mp4' is the file of both 'a' and 'b'; put {id} into the path"
    ]


def test_paths_that_differ_only_in_case_or_composition_are_one_file(sentences):
    assert sentences("videos: [{id: fox, prompt: p}, {id: Fox, prompt: p}]") == [
        "demo.yaml: videos[1] 'Fox'.id: 'Fox.mp4' and 'fox.mp4' are one file where case does not count; rename one"
    ]
    assert len(sentences('videos: [{id: "caf\\u00e9", prompt: p}, {id: "cafe\\u0301", prompt: p}]')) == 1


def test_files_may_share_a_folder(load):
    load("videos: [{id: a, prompt: p, output.path: d/a.mp4}, {id: b, prompt: p, output.path: d/b.mp4}]")


def test_a_file_cannot_be_the_folder_of_another(sentences):
    inner, outer = "{id: a, prompt: p, output.path: x.mp4/a.mp4}", "{id: b, prompt: p, output.path: X.mp4}"
    told = "are one name, as a file and as a folder; rename one"
    assert sentences(f"videos: [{inner}, {outer}]") == [
        f"demo.yaml: videos[1] 'b'.output.path: 'X.mp4' and the file of 'a' {told}"
    ]
    assert sentences(f"videos: [{outer}, {inner}]") == [
        f"demo.yaml: videos[1] 'a'.output.path: 'x.mp4/a.mp4' and the file of 'b' {told}"
    ]


def test_ids_are_unique_and_an_automatic_id_counts(sentences):
    assert sentences("videos: [{id: a, prompt: p}, {id: video-00003, prompt: p}, {prompt: p}, {id: a, prompt: p}]") == [
        "demo.yaml: videos[2] 'video-00003'.id: 'video-00003' is also the id of videos[1] 'video-00003'; "
        "ids are unique",
        "demo.yaml: videos[3] 'a'.id: 'a' is also the id of videos[0] 'a'; ids are unique",
    ]
