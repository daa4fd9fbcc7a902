from __future__ import annotations

import pytest
import torch

from ltx_ray.models.ltx2.audio_reach import Range, cells_of_mel, mel_of_samples
from tests.unit.models.ltx2.vae_examples import HOP, MEL_BINS, audio_vae, vocoder

MARKED = 60  # of 120 mel frames


@pytest.mark.parametrize("kind", ["short plain", "short extending"])
def test_the_reach_of_a_vocoder_is_where_a_broken_mel_frame_is_heard(kind):
    made, hop = vocoder(kind, torch.float32), HOP[kind]
    mel = torch.zeros(1, 2, 120, MEL_BINS)
    mel[:, :, MARKED] = torch.nan
    with torch.no_grad():
        broken = made(mel)[0, 0].isnan()
    heard = {sample // hop for sample in broken.nonzero().flatten().tolist()}
    said = {
        frame
        for frame in range(120)
        for reached in [mel_of_samples(Range(frame * hop, (frame + 1) * hop - 1), made)]
        if reached.first <= MARKED <= reached.last
    }
    assert said == heard


def test_the_reach_of_the_vae_is_where_a_broken_cell_is_heard():
    vae = audio_vae()
    cells = torch.zeros(1, 8, 60, MEL_BINS // 4, dtype=torch.float64)
    cells[:, :, 10] = torch.nan
    with torch.no_grad():
        broken = vae.decode(cells, return_dict=False)[0].isnan().any(dim=3)[0, 0]
    said = [cells_of_mel(Range(frame, frame), vae.decoder) for frame in range(len(broken))]
    assert broken.tolist() == [reached.first <= 10 <= reached.last for reached in said]
