"""What keys of other programs are called here: node graphs, scripts and services that make video have their own."""

from __future__ import annotations

from collections.abc import Mapping

_CALLED = {
    "frame_rate": "fps framerate frames_per_second output_fps video_fps",
    "num_frames": "frames length video_length n_frames nframes frame_count total_frames num_video_frames",
    "seconds": "duration duration_s duration_seconds length_seconds secs",
    "stage1.steps": "num_inference_steps inference_steps sampling_steps num_steps",
    "stage1.sampler": "sampler_name",
    "stage1.schedule": "scheduler",
    "stage1.guidance.video.cfg": "cfg_scale guidance guidance_scale video_cfg_guidance_scale text_cfg",
    "stage1.guidance.audio.cfg": "audio_cfg audio_cfg_guidance_scale",
    "stage1.guidance.video.stg": "stg_scale video_stg_guidance_scale",
    "stage1.guidance.video.rescale": "rescale_scale guidance_rescale cfg_rescale",
    "refine.strength": "denoise denoise_strength denoising_strength",
    "negative_prompt": "negative neg neg_prompt negative_text prompt_negative",
    "prompt": "text caption positive positive_prompt text_prompt description",
    "seed": "noise_seed random_seed rng_seed",
    "id": "name video_id title",
    "output.path": "filename file_name filename_prefix output_path out_path save_path outfile",
    "output.to": "upload_to upload_uri output_uri destination",
    "model": "model_name ckpt ckpt_name checkpoint checkpoint_path unet_name",
    "image": "init_image input_image start_image first_frame image_path",
    "audio.path": "audio_path soundtrack music input_audio audio_file",
    "picture.path": "foley_video silent_video",
    "extend.path": "video input_video init_video source_video video_path",
}
#: By their words; a key of a mapping inside is looked up by its last name.
CALLED: Mapping[str, str] = {word: ours for ours, words in _CALLED.items() for word in words.split()}

#: What has no key, and what there is instead.
INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(("end_image", "last_frame"), "write images: [{path: ..., at: last}]"),
    **dict.fromkeys(("resolution", "size", "image_size", "aspect_ratio"), "write width and height"),
    **dict.fromkeys(
        ("batch_size", "num_videos", "num_videos_per_prompt"), "make variants by `sweep: {seed: [1, 2, 3]}`"
    ),
}
