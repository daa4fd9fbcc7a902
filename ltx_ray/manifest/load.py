"""From a file to a ``Manifest``: reads it, checks it whole, fills in every default, and says everything that is wrong.

YAML and JSON hold ``videos`` with defaults and sweeps; the rows of JSONL, CSV and Parquet are videos.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from ltx_ray.manifest.fields import Wrong, one_of, plain_path
from ltx_ray.manifest.files import format_of, name_of, opened, read_text
from ltx_ray.manifest.interpolate import interpolated
from ltx_ray.manifest.keys import DEFAULTS, TOP
from ltx_ray.manifest.moved import NamedFiles
from ltx_ray.manifest.overrides import ORDER, PLACE, read_overrides
from ltx_ray.manifest.problems import BAD, Layer, Problems, nearest, refuse, shown
from ltx_ray.manifest.resolve import MAX_VIDEOS, Resolver, Shared
from ltx_ray.manifest.rows import parse_json, read_rows
from ltx_ray.manifest.safe_yaml import parse_yaml
from ltx_ray.manifest.schema import MANIFEST_VERSION, Manifest, Video
from ltx_ray.manifest.sweep import NO_SWEEP, read_sweep
from ltx_ray.manifest.tables import read_layer
from ltx_ray.spec.acyclic import without_collector
from ltx_ray.spec.counted import counted
from ltx_ray.spec.keep import KEEPS, Keep
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.redact import redact

SECTIONS = ("version", "model", "output", "defaults", "sweep", "keep", "videos")


@without_collector()
def load_manifest(
    source: str, overrides: Sequence[str], *, models: Mapping[str, ModelFacts], files: NamedFiles | None = None
) -> Manifest:
    """The manifest at ``source`` (path, fsspec URI, or ``-``) with ``key=value`` and ``ID:key=value`` laid over it.

    Args:
        files: where files lie that are elsewhere than it says; is told every path that it names.

    Raises:
        ManifestError: every problem of the file and of the overrides, in file order.
    """
    problems, files = Problems(), files or NamedFiles()
    try:
        source = plain_path(source)
    except Wrong as wrong:
        raise refuse(name_of(source), str(wrong)) from None
    overrides, keep = _split_keep(overrides, problems)
    kind = format_of(source)
    if kind in ("yaml", "json"):
        text = read_text(source)
        name = name_of(source)
        tree = parse_yaml(text, name=name) if kind == "yaml" else _json(text, name)
        videos = _from_tree(tree, source, overrides, models, files, problems)
        if isinstance(tree, dict) and "keep" in tree:
            keep = keep or _read_keep(tree["keep"], Layer(f"{name}: ", (), dict.fromkeys(tree)), problems)
    else:
        videos = _from_rows(source, kind, overrides, models, files, problems)
    problems.raise_any()
    return Manifest(source=redact(source, {}), videos=videos, notes=problems.notes, keep=keep or "all")


def _split_keep(overrides: Sequence[str], problems: Problems) -> tuple[list[str], Keep | None]:
    """``keep=...`` is of the whole run, so it is told apart from what is laid over videos; the last one wins."""
    keep: Keep | None = None
    rest = []
    for text in overrides:
        key, equals, value = text.partition("=")
        if equals and key.strip() == "keep":
            keep = _read_keep(value.strip(), Layer(f"{PLACE}: ", (ORDER,)), problems)
        else:
            rest.append(text)
    return rest, keep


def _read_keep(value: object, layer: Layer, problems: Problems) -> Keep | None:
    try:
        return cast(Keep, one_of("a policy", KEEPS)(value))
    except Wrong as wrong:
        problems.add(layer, "keep", str(wrong))
        return None


def _json(text: str, name: str) -> object:
    return parse_json(text, name) if text.strip() else None


def _from_tree(
    tree: object,
    source: str,
    overrides: Sequence[str],
    models: Mapping[str, ModelFacts],
    files: NamedFiles,
    problems: Problems,
) -> tuple[Video, ...]:
    """The videos of a YAML or JSON file."""
    name = name_of(source)
    if tree is None:
        raise refuse(name, "is empty; a manifest needs at least videos with a prompt each")
    if not isinstance(tree, dict):
        raise refuse(name, f"{shown(tree)} is not a mapping; a manifest has the keys {', '.join(SECTIONS)}")
    tree = interpolated(tree, name, problems)
    if tree.get("videos") is BAD:
        problems.raise_any()
    tree = {key: value for key, value in tree.items() if value is not BAD}
    order = {key: position for position, key in enumerate(tree)}
    root = Layer(f"{name}: ", (), dict.fromkeys(tree))
    _check_sections(tree, root, problems)
    top: dict[str, object] = {key: tree[key] for key in ("model", "output") if key in tree}
    layers = (
        read_layer(top, Layer(f"{name}: ", (order.get("output", order.get("model", 0)),)), problems, TOP),
        _defaults(tree, Layer(f"{name}: defaults.", (order.get("defaults", 0),)), problems),
    )
    sweep = Layer(f"{name}: sweep.", (order.get("sweep", 0),))
    combinations = read_sweep(tree["sweep"], sweep, problems) if "sweep" in tree else NO_SWEEP
    num_videos = len(combinations) * (len(entries) if isinstance(entries := tree.get("videos"), list) else 0)
    if num_videos > MAX_VIDEOS:
        problems.add(sweep, "", f"makes {num_videos:,} videos; at most {MAX_VIDEOS:,} are planned at once")
        combinations = NO_SWEEP
    shared = Shared(source, models, layers, read_overrides(overrides, problems), combinations, files)
    resolver = Resolver(shared, problems)
    return tuple(_entries(entries if isinstance(entries, list) else [], name, order.get("videos", 0), resolver))


def _entries(entries: list[object], name: str, section: int, resolver: Resolver) -> Iterator[Video]:
    for idx, raw in enumerate(counted(entries, "videos read")):
        yield from resolver.videos(raw, f"{name}: videos[{idx}]", (section, idx), idx + 1)
    if entries:
        resolver.finish()


def _check_sections(tree: dict[str, object], root: Layer, problems: Problems) -> None:
    """The keys beside ``videos``, and that there are videos at all."""
    for key in tree:
        if key in DEFAULTS.names and key not in SECTIONS:
            problems.add(root, key, "is a key of a video; put it under defaults")
        elif key not in SECTIONS:
            problems.add(root, key, f"is not a key here; {nearest(key, SECTIONS)}")
    version = tree.get("version", MANIFEST_VERSION)
    if type(version) is int and version > MANIFEST_VERSION:
        problems.add(root, "version", f"{version} is newer than this program reads, {MANIFEST_VERSION}; update ltx_ray")
    elif type(version) is not int or version != MANIFEST_VERSION:
        problems.add(root, "version", f"{shown(version)} is not a version; it can be {MANIFEST_VERSION}")
    videos = tree.get("videos")
    if "videos" not in tree:
        problems.add(root, "videos", "is missing; list at least one video")
    elif not isinstance(videos, list) or not videos:
        problems.add(root, "videos", f"{shown(videos)} is not a list with at least one video")


def _defaults(tree: dict[str, object], layer: Layer, problems: Problems) -> Layer:
    raw = tree.get("defaults", {})
    if not isinstance(raw, dict):
        problems.add(layer, "", f"{shown(raw)} is not a mapping of keys")
        return layer
    return read_layer(raw, layer, problems, DEFAULTS)


def _from_rows(
    source: str,
    kind: str,
    overrides: Sequence[str],
    models: Mapping[str, ModelFacts],
    files: NamedFiles,
    problems: Problems,
) -> tuple[Video, ...]:
    """The videos of a file of rows."""
    name = name_of(source)
    nothing = Layer(f"{name}: ", (0,))
    shared = Shared(source, models, (nothing,), read_overrides(overrides, problems), files=files)
    resolver = Resolver(shared, problems)
    videos: list[Video] = []
    num_rows = 0
    with opened(source) as file:
        for num_rows, row in enumerate(counted(read_rows(file, kind, name=name), "rows read"), 1):
            videos.extend(resolver.videos(row.raw, f"{name}: {row.where}", (0, num_rows), num_rows))
    if not num_rows:
        raise refuse(name, "is empty; every row is a video and needs at least a prompt")
    resolver.finish()
    return tuple(videos)
