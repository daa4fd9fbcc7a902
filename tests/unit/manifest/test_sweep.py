import pytest

FOX = "videos: [{id: fox, prompt: a fox}]\n"


def ids(manifest):
    return [video.id for video in manifest.videos]


def test_every_video_comes_once_for_every_combination_the_last_key_fastest(load):
    manifest = load("videos: [{id: a, prompt: p}, {id: b, prompt: p}]\nsweep: {seed: [7, 8], output: {crf: [18, 30]}}")
    assert ids(manifest) == [
        "a-seed7-crf18",
        "a-seed7-crf30",
        "a-seed8-crf18",
        "a-seed8-crf30",
        "b-seed7-crf18",
        "b-seed7-crf30",
        "b-seed8-crf18",
        "b-seed8-crf30",
    ]
    assert [(video.scenes[0].seed, video.output.crf) for video in manifest.videos[:3]] == [(7, 18), (7, 30), (8, 18)]


def test_words_name_themselves_and_what_cannot_be_a_name_is_numbered(load):
    assert ids(load(FOX + "sweep: {preset: [distilled, draft]}")) == ["fox-distilled", "fox-draft"]
    assert ids(load(FOX + "sweep: {frame_rate: [24, 24000/1001]}")) == ["fox-frame_rate24", "fox-frame_rate24000_1001"]
    assert ids(load(FOX + "sweep: {stage1.sigmas: [[1, 0], [1, 0.5, 0]]}")) == ["fox-sigmas1", "fox-sigmas2"]
    assert ids(load(FOX + "sweep: {prompt: [a cat, a dog]}")) == ["fox-prompt1", "fox-prompt2"]


def test_videos_of_a_sweep_share_the_seed_of_their_id(load):
    first, second = load(FOX + "sweep: {output.crf: [18, 30]}").videos
    assert first.scenes[0].seed == second.scenes[0].seed


def test_a_sweep_wins_over_the_video_and_may_turn_refinement_off(load):
    videos = load(
        "videos: [{id: fox, prompt: p, seed: 3}]\nsweep: {seed: [4], refine: [null, {sigmas: [0.5, 0]}]}"
    ).videos
    assert [
        (video.id, video.scenes[0].seed, video.scenes[0].refine and video.scenes[0].refine.sigmas) for video in videos
    ] == [
        ("fox-seed4-refine1", 4, None),
        ("fox-seed4-refine2", 4, (0.5, 0.0)),
    ]


def test_a_swept_video_is_known_to_the_command_line_by_both_its_ids(load):
    manifest = load(FOX + "sweep: {seed: [7, 8]}", "fox:width=640", "fox-seed8:width=896")
    assert [video.width for video in manifest.videos] == [640, 896]


@pytest.mark.parametrize(
    ("sweep", "found"),
    [
        ("3", ["sweep: 3 is not a mapping from keys to lists of values"]),
        ("{seed: 3}", ["sweep.seed: 3 is not a list of values"]),
        ("{seed: []}", ["sweep.seed: [] is not a list of values"]),
        ("{seed: [7, 7]}", ["sweep.seed: 7 is listed twice, or like another value"]),
        ("{seed: [7, -2]}", ["sweep.seed: -2 is not a whole number between -1 and 18446744073709551615"]),
        ("{width: [640, 700]}", ["sweep.width: 700 is not a multiple of 64; nearest are 640 and 704"]),
        ("{sed: [7]}", ["sweep.sed: is not a key here; nearest is seed"]),
        ("{id: [a]}", ["sweep.id: names one video, so it cannot be given to several; take it out"]),
        ("{seconds: [2], num_frames: [9]}", ["sweep.num_frames: is swept beside seconds; keep one of them"]),
        (
            f"{{seed: {list(range(101))}, width: {list(range(101))}}}",
            ["sweep: makes 10,201 combinations; at most 10,000"],
        ),
    ],
)
def test_a_bad_sweep_is_refused_in_a_sentence(sentences, sweep, found):
    lines = sentences(FOX + f"sweep: {sweep}")
    assert lines[-1:] == [f"demo.yaml: {line}" for line in found]


def test_a_sweep_of_more_videos_than_can_be_planned_is_refused(sentences, monkeypatch):
    monkeypatch.setattr("ltx_ray.manifest.load.MAX_VIDEOS", 3)
    assert sentences(FOX + "sweep: {seed: [1, 2, 3, 4]}") == [
        "demo.yaml: sweep: makes 4 videos; at most 3 are planned at once"
    ]


def test_a_swept_key_on_the_command_line_is_refused_because_ids_would_lie(sentences):
    assert sentences(FOX + "sweep: {seed: [7, 8]}", "seed=9") == [
        "command line: seed: the file sweeps it, and ids carry the values; change it there"
    ]


def test_an_id_that_a_sweep_makes_too_long_is_refused(sentences):
    assert sentences(f"videos: [{{id: {'x' * 118}, prompt: p}}]\nsweep: {{seed: [7]}}") == [
        f"demo.yaml: videos[0] '{'x' * 118}'.id: '{'x' * 55} ... has 124 characters after the sweep; at most 120"
    ]
