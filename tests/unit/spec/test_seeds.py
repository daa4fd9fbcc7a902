"""Seeds are a promise: the same manifest means the same noise for ever."""

from ltx_ray.spec.seeds import MAX_SEED, noise_seed, seed_of_id


def test_seeds_never_change():
    assert seed_of_id("fox") == 35756622
    assert noise_seed(7, 0, "video") == 699223834790828598
    assert noise_seed(7, 0, "audio") == 6829610945586230316


def test_modality_and_segment_each_have_their_own_noise():
    seeds = {
        noise_seed(seed, segment, modality) for seed in (1, 2) for segment in (0, 1) for modality in ("video", "audio")
    }
    assert len(seeds) == 8
    assert all(0 <= seed <= MAX_SEED for seed in seeds)
