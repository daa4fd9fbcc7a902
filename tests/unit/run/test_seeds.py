"""A seed that is left to chance is drawn once for a run."""

from dataclasses import replace

from ltx_ray.run.record import Run
from ltx_ray.run.seeds import with_seeds
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.seeds import ANY_SEED, MAX_SEED
from ltx_ray.store import run_dir
from tests.unit.plan.examples import SCENE, manifest, video

ANY = replace(SCENE, seed=ANY_SEED)
FILMS = manifest(
    video("fox", scenes=(ANY, replace(SCENE, seed=MAX_SEED), ANY)), video("owl", scenes=(ANY,)), video("lynx")
)


def seeds_of(films):
    return [[scene.seed for scene in film.scenes] for film in films.videos]


def rendered(tmp_path, films):
    run = Run(tmp_path / "run")
    drawn = with_seeds(films, run)
    run_dir.prepare(run.layout)
    run_dir.write_lines(run.layout.manifest, [canonical(drawn)])
    return drawn


def test_every_scene_gets_a_seed_and_scenes_of_a_video_share_it(tmp_path):
    drawn = with_seeds(FILMS, Run(tmp_path / "run"))
    fox, owl, given = seeds_of(drawn)
    assert fox[0] == fox[2] and fox[1] == MAX_SEED and given == [SCENE.seed]
    assert 0 <= fox[0] < 2**32 and fox[0] != owl[0]
    assert drawn != with_seeds(FILMS, Run(tmp_path / "run"))


def test_the_same_run_goes_on_with_what_was_drawn_also_for_new_videos_beside(tmp_path):
    drawn = rendered(tmp_path, FILMS)
    assert with_seeds(FILMS, Run(tmp_path / "run")) == drawn
    more = replace(FILMS, videos=(video("hare", scenes=(ANY,)), *FILMS.videos))
    again = with_seeds(more, Run(tmp_path / "run"))
    assert again.videos[1:] == drawn.videos and again.videos[0].scenes[0].seed >= 0


def test_a_damaged_record_of_a_run_only_draws_anew(tmp_path):
    rendered(tmp_path, FILMS)
    run = Run(tmp_path / "run")
    for odd in ("", "[]", '{"videos": 3}', '{"videos": [{"id": "fox", "scenes": [{"seed": "x"}, 3]}]}', '{"videos'):
        run.layout.manifest.write_text(odd)
        assert all(seed >= 0 for seeds in seeds_of(with_seeds(FILMS, Run(run.layout.path))) for seed in seeds)


def test_a_manifest_that_leaves_nothing_to_chance_is_left_alone(tmp_path):
    films = manifest(video())
    assert with_seeds(films, Run(tmp_path / "run")) is films
