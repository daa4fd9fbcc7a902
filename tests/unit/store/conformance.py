"""What every store promises, whatever carries it. A subclass gives the fixture ``uri``."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from ltx_ray.errors import ArtifactCorrupt, ArtifactMissing, StoreUnusable
from ltx_ray.spec.task import Parent
from ltx_ray.store import artifacts, remote
from ltx_ray.store.gc import collect
from ltx_ray.store.key_file import Meta
from ltx_ray.store.layout import key_name, object_name
from ltx_ray.store.open import open_store

META = Meta(
    stage="decode",
    unit="fox/window 2",
    recipe={"prompt": 'a "fox" \u00e9', "sigmas": [1.0, 0.5, 0.0], "frame_rate": "24000/1001", "crop_px": None},
    parents=(Parent("video", "ab" * 32), Parent("video", "cd" * 32)),
    made_of={"ab" * 32: "12" * 32},
    run_s=1.25,
    total_s=2.0,
    peak_bytes=123456,
    software={"torch": "2.13.0"},
    suffix=".mp4",
)


def key_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


A, B, C, D, E, F = (key_of(letter) for letter in "abcdef")

BROKEN = {
    "empty": b"",
    "cut": b'{"schema":1,"key":"aa',
    "zeros": bytes(300),
    "not json": b"\xff\xfe garbage }\n",
    "not an object": b'["}"]\n',
    "deep": b"[" * 100_000 + b"}\n",
    "empty object": b"{}\n",
}


class StoreConformance:
    @pytest.fixture
    def store(self, uri):
        return open_store(uri)

    @pytest.fixture(params=["few", "many"])
    def quantity(self, request, monkeypatch):
        """Both ways of asking: name by name, and by listing."""
        if request.param == "many":
            monkeypatch.setattr(artifacts, "_MANY", 1)
            monkeypatch.setattr(remote, "_MANY", 1)

    def spoil(self, store, key, data):
        """Change the bytes that a key is bound to, as a broken disk would."""
        store.shelf.put(object_name(store.lookup(key).digest), data)

    def every_state(self, store):
        """A whole, B absent, C broken, D without its object, E with an object of another size, F corrupt."""
        for key, data in ((A, b"a"), (D, b"dd"), (E, b"eee"), (F, b"ffff")):
            store.commit(key, data, META)
        store.shelf.create(key_name(C), b"")
        store.shelf.remove(object_name(store.lookup(D).digest))
        self.spoil(store, E, b"ee")
        self.spoil(store, F, b"FFFF")

    def test_what_is_committed_is_read_back(self, store, uri):
        bound = store.commit(A, b"bytes", META)
        assert bound.digest == hashlib.sha256(b"bytes").hexdigest()
        assert (bound.key, bound.num_bytes) == (A, 5)
        assert open_store(uri).read(A) == b"bytes"

    def test_empty_bytes_are_an_artifact_too(self, store):
        store.commit(A, b"", META)
        assert store.read(A) == b""
        assert store.known([A]) == {A}

    def test_the_key_file_says_how_the_artifact_was_made(self, store, uri):
        bound = store.commit(A, b"bytes", META)
        assert open_store(uri).lookup(A) == bound
        assert bound.meta == META

    def test_an_absent_key_is_found_nowhere(self, store):
        assert store.lookup(A) is None
        assert store.known([A, B]) == set()
        with pytest.raises(ArtifactMissing, match=f"artifact {A[:12]} is not in"):
            store.read(A)
        with pytest.raises(ArtifactMissing), store.local_path(A):
            pass

    def test_the_second_to_commit_a_key_adopts_the_first(self, store):
        first = store.commit(A, b"first", META)
        assert store.commit(A, b"second", META) == first
        assert store.read(A) == b"first"

    def test_the_loser_of_a_race_adopts_the_winner(self, store, uri, monkeypatch):
        winner = open_store(uri)
        create = type(store.shelf).create

        def overtaken(shelf, name, data):
            monkeypatch.undo()
            winner.commit(A, b"winner", META)
            return create(shelf, name, data)

        monkeypatch.setattr(type(store.shelf), "create", overtaken)
        assert store.commit(A, b"loser", META) == winner.lookup(A)
        assert store.read(A) == b"winner"

    def test_a_key_that_is_bound_costs_no_second_object(self, store):
        store.commit(A, b"first", META)
        store.commit(A, b"second", META)
        assert len(store.shelf.names("objects")) == 1

    def test_a_broken_key_file_that_was_replaced_meanwhile_is_not_removed(self, store, uri, monkeypatch):
        store.shelf.create(key_name(A), b"")
        remove_if = type(store.shelf).remove_if

        def overtaken(shelf, name, judge):
            monkeypatch.undo()
            open_store(uri).commit(A, b"winner", META)
            remove_if(shelf, name, judge)

        monkeypatch.setattr(type(store.shelf), "remove_if", overtaken)
        store.commit(A, b"loser", META)
        assert store.read(A) == b"winner"

    def test_a_file_made_in_scratch_is_committed_like_its_bytes(self, store):
        data = bytes(range(256)) * 5000
        with store.scratch() as folder:
            (folder / "chunk.mp4").write_bytes(data)
            bound = store.commit(A, folder / "chunk.mp4", META)
        assert (bound.digest, bound.num_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
        assert store.read(A) == data
        assert not folder.exists()

    def test_local_path_is_a_file_with_the_artifact(self, store):
        store.commit(A, b"frames", META)
        with store.local_path(A) as path:
            assert path.read_bytes() == b"frames"
            assert path.name == store.lookup(A).digest

    def test_an_error_of_the_caller_passes_through_local_path(self, store):
        store.commit(A, b"frames", META)
        with pytest.raises(FileNotFoundError, match="mine"), store.local_path(A):
            raise FileNotFoundError("mine")

    def test_two_keys_may_share_their_bytes(self, store):
        store.commit(A, b"same", META)
        store.commit(B, b"same", META)
        store.forget(A)
        assert store.lookup(A) is None
        assert store.read(B) == b"same"

    def test_a_forgotten_key_can_be_bound_again(self, store):
        store.commit(A, b"first", META)
        store.forget(A)
        store.forget(A)
        store.commit(A, b"second", META)
        assert store.read(A) == b"second"

    def test_what_is_dropped_frees_its_bytes(self, store):
        store.commit(A, b"kept", META)
        store.commit(B, b"dropped", META)
        assert store.drop([B, C]) == len(b"dropped")
        assert store.keys() == {A}
        assert len(store.shelf.names("objects")) == 1
        assert store.drop([B, C]) == 0

    def test_bytes_that_another_key_is_bound_to_are_not_dropped(self, store):
        for key in (A, B, C):
            store.commit(key, b"same", META)
        assert store.drop([A, B]) == 0
        assert store.read(C) == b"same"
        assert store.drop([C]) == len(b"same")

    def test_known_is_exactly_what_lookup_finds(self, store, quantity):
        self.every_state(store)
        assert store.known([A, B, C, D, E, F, A]) == {A, F}
        assert store.known([A, B, C]) == {A}
        assert {key for key in (A, B, C, D, E, F) if store.lookup(key)} == {A, F}

    def test_known_of_nothing_is_nothing(self, store):
        assert store.known([]) == set()

    def test_a_binding_without_its_object_is_replaced(self, store):
        self.every_state(store)
        for key in (D, E):
            store.commit(key, b"made differently", META)
            assert store.read(key) == b"made differently"

    @pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
    def test_a_broken_key_file_counts_as_absent_and_is_replaced(self, store, content, quantity):
        store.shelf.create(key_name(A), content)
        assert store.lookup(A) is None
        assert store.known([A, B]) == set()
        store.commit(A, b"bytes", META)
        assert store.read(A) == b"bytes"

    def test_a_key_file_of_another_key_is_broken(self, store, quantity):
        other = store.commit(B, b"bytes", META)
        store.shelf.create(key_name(A), other.to_json())
        assert store.lookup(A) is None
        assert store.known([A, B]) == {B}
        assert store.known([A]) == set()
        assert [finding.kind for finding in store.verify([A])] == ["broken"]

    def test_a_key_file_of_a_newer_program_is_refused_and_kept(self, store):
        bound = store.commit(A, b"bytes", META)
        newer = bound.to_json().replace(b'"schema":1', b'"schema":2')
        store.forget(A)
        store.shelf.create(key_name(A), newer)
        for ask in (
            store.lookup,
            store.read,
            lambda key: store.known([key]),
            lambda key: store.commit(key, b"x", META),
        ):
            with pytest.raises(StoreUnusable, match=r"schema 2, this program reads up to 1"):
                ask(A)
        assert store.shelf.read(key_name(A)) == newer

    def test_corrupt_bytes_are_never_handed_out(self, store):
        self.every_state(store)
        with pytest.raises(ArtifactCorrupt):
            store.read(F)
        with pytest.raises(ArtifactCorrupt), store.local_path(F):
            pytest.fail("corrupt bytes were handed out")

    def test_making_a_corrupt_artifact_again_heals_it(self, store):
        self.every_state(store)
        store.forget(F)
        store.commit(F, b"ffff", META)
        assert store.read(F) == b"ffff"

    def family(self, store):
        """C was made of A and B, and D of C; nothing is bound to B any more."""
        digests = {}
        for key, parents in ((A, ()), (B, ()), (C, (A, B)), (D, (C,))):
            made_of = {parent: digests[parent] for parent in parents}
            digests[key] = store.commit(key, f"{key} first".encode(), replace(META, made_of=made_of)).digest
        store.forget(B)

    def test_an_input_that_is_made_again_as_it_was_estranges_nobody(self, store):
        self.family(store)
        assert store.estranged([A, B, C, D]) == set()
        store.forget(A)
        assert store.estranged([C, D]) == set()
        store.commit(A, f"{A} first".encode(), META)
        assert store.estranged([A, B, C, D]) == set()
        assert store.verify() == []

    def test_an_input_that_is_made_again_differently_estranges_what_was_made_of_it(self, store):
        self.family(store)
        store.forget(A)
        store.commit(A, b"second", META)
        assert store.estranged([C, D]) == {C}
        assert [(finding.kind, finding.key) for finding in store.verify()] == [("estranged", C)]
        store.forget(C)
        store.commit(C, f"{C} first".encode(), replace(META, made_of={A: store.lookup(A).digest}))
        assert store.estranged([C, D]) == set(), "its own bytes came out the same, so what was made of it stays"

    def test_only_what_is_broken_is_condemned(self, store):
        self.every_state(store)
        for key in (A, B, C, D, E, F):
            store.condemn(key)
        assert store.keys() == {A}

    def test_verify_names_what_is_wrong(self, store):
        self.every_state(store)
        found = {finding.key: finding.kind for finding in store.verify([A, B, C, D, E, F])}
        assert found == {B: "unbound", C: "broken", D: "missing", E: "size", F: "corrupt"}
        assert [finding.key for finding in store.verify()] == sorted([C, D, E, F])

    def test_keys_are_the_bound_ones(self, store):
        assert store.keys() == set()
        store.commit(A, b"a", META)
        store.commit(B, b"b", META)
        store.shelf.put("keys/readme.txt", b"not a key file")
        assert store.keys() == {A, B}

    def test_a_token_is_seen_through_another_handle(self, store, uri):
        store.put_token("node-1", b"proof")
        other = open_store(uri)
        assert other.get_token("node-1") == b"proof"
        other.drop_token("node-1")
        assert store.get_token("node-1") is None

    def test_a_token_may_be_written_again(self, store):
        store.put_token("node-1", b"old")
        store.put_token("node-1", b"new")
        assert store.get_token("node-1") == b"new"

    def test_a_store_opened_for_reading_sees_what_is_there(self, store, uri):
        store.commit(A, b"a", META)
        assert open_store(uri, create=False).read(A) == b"a"

    def test_opening_leaves_nothing_behind(self, store):
        assert [name for folder in ("tokens", "tmp", "objects", "keys") for name in store.shelf.names(folder)] == []

    def test_gc_deletes_only_objects_that_no_key_is_bound_to(self, store):
        store.commit(A, b"kept", META)
        store.commit(B, b"forgotten", META)
        store.forget(B)
        assert collect(store, young_s=0.0, dry_run=True).num_objects == 1
        assert len(store.shelf.names("objects")) == 2
        collected = collect(store, young_s=0.0)
        assert (collected.num_keys, collected.num_objects, collected.num_bytes) == (0, 1, len(b"forgotten"))
        assert store.read(A) == b"kept"
        assert len(store.shelf.names("objects")) == 1

    def test_gc_spares_what_is_young(self, store):
        store.commit(A, b"forgotten", META)
        store.forget(A)
        store.commit(B, b"bound", META)
        collected = collect(store, older_than_s=0.0)
        assert (collected.num_keys, collected.num_objects, collected.num_bytes) == (0, 0, 0)
        assert store.read(B) == b"bound"
        assert len(store.shelf.names("objects")) == 2

    def test_gc_forgets_keys_that_are_not_kept(self, store):
        self.every_state(store)
        store.commit(B, b"dropped", META)
        collected = collect(store, keep=[A, F], older_than_s=0.0, young_s=0.0)
        assert collected.num_keys == 4
        assert store.keys() == {A, F}
        assert len(store.shelf.names("objects")) == 2
