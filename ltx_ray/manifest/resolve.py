"""Lays the places that give values over one another and builds every video from the result.

built-in <- preset <- ``model`` and ``output`` beside ``videos`` <- ``defaults`` <- video <- sweep <- command line.
What all videos share is merged once for each model and preset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ltx_ray.errors import ManifestError
from ltx_ray.manifest import paths
from ltx_ray.manifest.build import build, builder_like
from ltx_ray.manifest.fields import MAX_ID_CHARS
from ltx_ray.manifest.keys import VIDEO
from ltx_ray.manifest.merge import Merged, Tell, gives_list, lay_over, origin, put_entries_together, strongest
from ltx_ray.manifest.moved import NamedFiles
from ltx_ray.manifest.overrides import PLACE, Overrides
from ltx_ray.manifest.presets import BUILT_IN, PRESETS
from ltx_ray.manifest.problems import BAD, Layer, Problems, nearest, shown
from ltx_ray.manifest.scenes import refuse_beside_scenes
from ltx_ray.manifest.schema import Video
from ltx_ray.manifest.sweep import NO_SWEEP, Combination
from ltx_ray.manifest.tables import Entries, Table, read_layer
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.seeds import seed_of_id

MAX_VIDEOS = 1_000_000
#: Keys whose values are most likely a video's own. Videos that differ in nothing else are built once.
OWN = frozenset({"id", "prompt", "seed"})
MAX_FIRSTS = 1000


@dataclass(frozen=True, slots=True)
class Shared:
    """What a file and the command line say of all videos; ``layers`` weakest first."""

    source: str  #: of the file
    models: Mapping[str, ModelFacts]
    layers: tuple[Layer, ...]
    overrides: Overrides
    combinations: tuple[Combination, ...] = NO_SWEEP
    files: NamedFiles = field(default_factory=NamedFiles)


class _First(NamedTuple):
    """A video of which nothing had to be told, for those that differ from it in ``OWN`` alone."""

    build_like: Callable[[Merged], Video]
    facts: ModelFacts
    preset: str
    values: dict[str, Any]  #: of all of them


class Resolver:
    """Makes videos out of entries, one by one, and watches what must be unique among them."""

    def __init__(self, shared: Shared, problems: Problems) -> None:
        self._shared = shared
        self._problems = problems
        self._bases: dict[tuple[str, str], dict[str, Any]] = {}
        self._entries: dict[str, str] = {}  # id before the sweep -> where it stands
        self._ids: set[str] = set()  # after the sweep; unique if the ids before it are
        self._files: dict[str, tuple[str, str]] = {}  # folded path -> id and path
        self._folders: dict[str, str] = {}  # folded folder of a file -> id
        self._shared_templates: list[Layer] = []  # with a problem that was noted
        self._lists = tuple(VIDEO.lists)
        self._lists_everywhere = any(gives_list(layer, self._lists) for layer in shared.layers)
        self._firsts: dict[object, _First] = {}  # by all that makes a video but for ``OWN``

    def videos(self, raw: object, where: str, order: tuple[int, ...], position: int) -> Iterator[Video]:
        """The videos of one entry: one for each combination of the sweep; ``position`` counts entries from 1."""
        if not isinstance(raw, dict):
            if raw is not BAD:
                what = (
                    raw.problems[0].what if isinstance(raw, ManifestError) else f"{shown(raw)} is not a mapping of keys"
                )
                self._problems.add(Layer(where, order), "", what)
            return
        entry_id = f"video-{position:05d}"
        given = raw.get("id", entry_id)
        label = f" '{given[:MAX_ID_CHARS]}'" if isinstance(given, str) and given.isprintable() else ""
        entry = read_layer(raw, Layer(f"{where}{label}.", order), self._problems, VIDEO)
        if (own := entry.values.get("id", BAD)) is not BAD:
            entry_id = own
        self._check_entry(entry, entry_id)
        for combination in self._shared.combinations:
            yield self._video(entry, entry_id, combination)

    def finish(self) -> None:
        """Note what can only be known after the last entry."""
        swept = {key for combination in self._shared.combinations for key in combination.keys}
        self._shared.overrides.check([*self._entries, *self._ids], swept, self._problems)

    def _video(self, entry: Layer, entry_id: str, combination: Combination) -> Video:
        video_id = entry_id + combination.suffix
        above = [entry] if combination.layer is None else [entry, combination.layer]
        above += self._shared.overrides.layers(entry_id, video_id)
        stack = [*self._shared.layers, *above]
        self._check_id(entry, video_id)

        def merged(facts: ModelFacts, preset: str, values: dict[str, Any], report: Tell) -> Merged:
            return Merged(
                id=video_id,
                index=len(self._ids),
                seed=seed_of_id(entry_id),
                facts=facts,
                preset=preset,
                values=values,
                report=report,
                note=self._teller(self._problems.note, stack, entry),
                is_set=lambda key: strongest(stack, key) is not None,
            )

        report = self._teller(self._problems.add, stack, entry)
        alike = None if self._gives_list(above) else tuple([_rest(layer) for layer in above])
        first = self._firsts.get(alike)
        own = {key: value for layer in above for key, value in layer.values.items() if key in OWN}
        if first is not None and (values := first.values | own).get("prompt", BAD) is not BAD:
            video = first.build_like(merged(first.facts, first.preset, values, report))
        else:
            num_told = self._problems.num_told
            facts = self._facts(stack, entry)
            if facts is None:  # a stand-in, so that the rest of the video is looked at
                facts, report = next(iter(self._shared.models.values())), _only(("prompt", "path"), report)
            preset = self._preset(stack, entry, facts)
            values = self._values(facts, preset, above, stack)
            video = build(merged(facts, preset, values, report))
            if alike is not None and num_told == self._problems.num_told and len(self._firsts) < MAX_FIRSTS:
                base = self._base(facts, preset)
                shared = {key: value for key, value in values.items() if key not in OWN}
                shared |= {key: base[key] for key in OWN if key in base}
                self._firsts[alike] = _First(builder_like(video), facts, preset, shared)
        if video.output.path:
            self._check_file(video, origin(stack, "output.path") or entry, entry)
        return video

    def _values(self, facts: ModelFacts, preset: str, above: Sequence[Layer], stack: Sequence[Layer]) -> dict[str, Any]:
        """What every place says of a video together; files are seen from the working directory."""
        values = dict(self._base(facts, preset))
        for layer in above:
            lay_over(values, layer.values)
        if self._gives_list(above):
            refuse_beside_scenes(stack, self._problems)
            put_entries_together(values, stack, self._problems, VIDEO)
        self._find_files(values, VIDEO, stack, "")
        return values

    def _gives_list(self, above: Sequence[Layer]) -> bool:
        return self._lists_everywhere or any(gives_list(layer, self._lists) for layer in above)

    def _teller(self, tell: Callable[[Layer, str, str], None], stack: Sequence[Layer], entry: Layer) -> Tell:
        return lambda key, what: tell(origin(stack, key) or entry, key, what)

    def _facts(self, stack: Sequence[Layer], entry: Layer) -> ModelFacts | None:
        """What is known of the video's model; None when it is unknown, which is noted."""
        models, layer = self._shared.models, strongest(stack, "model")
        name = BUILT_IN["model"] if layer is None else layer.values["model"]
        if name not in models and name is not BAD:
            what = f"{shown(name)} is not a known model; {nearest(name, models)}"
            self._problems.add(layer or entry, "model", what)
        return models.get(name)

    def _preset(self, stack: Sequence[Layer], entry: Layer, facts: ModelFacts) -> str:
        """The preset's name; the model's first when none is given or the given one is unknown, which is noted."""
        presets, layer = PRESETS[facts.family], strongest(stack, "preset")
        default = next(iter(presets))
        name: str = default if layer is None else layer.values["preset"]
        if name in presets:
            return name
        if name is not BAD:
            what = f"{shown(name)} is not a preset of {facts.name}; {nearest(name, presets)}"
            self._problems.add(layer or entry, "preset", what)
        return default

    def _find_files(self, values: dict[str, Any], table: Table, stack: Sequence[Layer], prefix: str) -> None:
        """Make every path in ``values`` one as seen from the working directory, in lists too."""
        for key in table.local:
            if isinstance(path := values.get(key), str):
                values[key] = self._local(path, f"{prefix}{key}", origin(stack, f"{prefix}{key}") or stack[-1])
        for name, rule in table.lists.items():
            if rule.table.has_local and isinstance(entries := values.get(name), Entries):
                for idx, part in enumerate(entries):
                    if part is not BAD:
                        self._find_files(part, rule.table, stack, f"{prefix}{name}[{idx}].")

    def _local(self, path: str, key: str, layer: Layer) -> str:
        """A relative path is beside the file that gives it, unless the file lies elsewhere by now."""
        source, files = self._shared.source, self._shared.files
        is_own = layer.prefix.startswith(f"{PLACE}: ")
        if (moved := files.moved_to(path, is_own=is_own)) is not None:
            return moved
        if source == "-" or is_own or Path(path).is_absolute():
            return files.named(path, path, is_own=is_own)
        if "://" not in source:
            return files.named(path, str((files.beside or Path(source).parent) / path), is_own=is_own)
        what = f"{shown(path)} is relative, and the manifest is not on this machine; write a path that starts with /"
        self._problems.add(layer, key, what)
        return ""

    def _base(self, facts: ModelFacts, preset: str) -> dict[str, Any]:
        key = (facts.name, preset)
        if key not in self._bases:
            values = dict(BUILT_IN)
            lay_over(values, PRESETS[facts.family][preset])
            for layer in self._shared.layers:
                lay_over(values, layer.values)
            self._bases[key] = values
        return self._bases[key]

    def _check_entry(self, entry: Layer, entry_id: str) -> None:
        place = entry.prefix.partition(": ")[2].rstrip(".")
        first = self._entries.setdefault(entry_id, place)
        if first != place:
            self._problems.add(entry, "id", f"{shown(entry_id)} is also the id of {first}; ids are unique")

    def _check_id(self, entry: Layer, video_id: str) -> None:
        self._ids.add(video_id)
        if len(video_id) > MAX_ID_CHARS:
            what = f"{shown(video_id)} has {len(video_id)} characters after the sweep; at most {MAX_ID_CHARS}"
            self._problems.add(entry, "id", what)

    def _check_file(self, video: Video, template: Layer, entry: Layer) -> None:
        """Note a second video with the same file; a template that many videos share is noted once."""
        path = video.output.path
        first_id, first_path = self._files.setdefault(paths.folded(path), (video.id, path))
        if first_id == video.id:
            self._check_folders(path, video.id, entry)
            return
        if path != first_path:
            what = f"{path!r} and {first_path!r} are one file where case does not count; rename one"
            self._problems.add(entry, "output.path" if "output.path" in entry.values else "id", what)
        elif template is entry or template not in self._shared_templates:
            self._shared_templates.append(template)
            what = f"{path!r} is the file of both {first_id!r} and {video.id!r}; put {{id}} into the path"
            self._problems.add(template, "output.path", what)

    def _check_folders(self, path: str, video_id: str, entry: Layer) -> None:
        """Note a file that stands where another needs a folder."""
        file = paths.folded(path)
        folders = [file[:idx] for idx, char in enumerate(file) if char == "/"]
        other = self._folders.get(file) or next((self._files[at][0] for at in folders if at in self._files), None)
        if other is not None:
            what = f"{path!r} and the file of {other!r} are one name, as a file and as a folder; rename one"
            self._problems.add(entry, "output.path" if "output.path" in entry.values else "id", what)
        self._folders.update(dict.fromkeys(folders, video_id))


def _rest(layer: Layer) -> tuple[tuple[str, Any], ...]:
    return tuple([item for item in layer.values.items() if item[0] not in OWN])


def _only(endings: tuple[str, ...], report: Tell) -> Tell:
    """``report`` for the keys that mean the same for every model."""
    return lambda key, what: report(key, what) if key.endswith(endings) else None
