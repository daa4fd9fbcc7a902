import gzip
import io
import json
from decimal import Decimal
from fractions import Fraction
from math import nan

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltx_ray.errors import ManifestError
from ltx_ray.spec.seeds import seed_of_id

ROWS = [
    {"id": "fox", "prompt": "a fox, ${x}", "seed": 3, "output.crf": 20, "stage1.sigmas": [1.0, 0.5, 0.0]},
    {"id": "007", "prompt": "an owl", "frame_rate": 23.976},
]


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def parquet(rows):
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


CSV = """id,prompt,seed,output.crf,stage1.sigmas,frame_rate
fox,"a fox, ${x}",3,20,"[1.0, 0.5, 0.0]",
007,an owl,,,,23.976
"""


def test_all_kinds_of_rows_say_the_same(load):
    expected = load(json.dumps({"videos": ROWS})).videos
    keys = {key: None for row in ROWS for key in row}
    assert load(jsonl(ROWS), name="rows.jsonl").videos == expected
    assert load(CSV, name="rows.csv").videos == expected
    assert load(parquet([keys | row for row in ROWS]), name="rows.parquet").videos == expected


def test_problems_of_rows_name_their_line_or_row(sentences):
    bad = [{"prompt": "p"}, {"id": "fox", "prompt": "p", "width": 700}]
    what = "'fox'.width: 700 is not a multiple of 64; nearest are 640 and 704"
    assert sentences("\n" + jsonl(bad), name="rows.jsonl") == [f"rows.jsonl: line 3 {what}"]
    assert sentences("id,prompt,width\n,p,\nfox,p,700\n", name="rows.csv") == [f"rows.csv: line 3 {what}"]
    assert sentences(parquet([{"id": None, "width": None} | bad[0], bad[1]]), name="rows.parquet") == [
        f"rows.parquet: row 2 {what}"
    ]


def test_null_in_a_row_means_not_given_except_for_refine(load):
    (video,) = load('{"prompt": "p", "seed": null, "width": null, "refine": null}', name="rows.jsonl").videos
    assert (video.width, video.scenes[0].refine) == (768, None)


def test_whole_floats_of_a_parquet_column_with_gaps_are_integers(load):
    table = parquet(
        [{"prompt": "p", "seed": 7.0, "output": {"crf": 20.0, "codec": None}}, {"prompt": "p", "seed": None}]
    )
    videos = load(table, name="rows.parquet").videos
    assert (videos[0].scenes[0].seed, videos[0].output.crf) == (7, 20)


def test_a_row_in_which_nothing_is_given_is_none(load):
    assert len(load("id,prompt,seed\na,x,1\n,,\n , ,\n", name="rows.csv").videos) == 1
    assert len(load('{"prompt": "x"}\n{"prompt": null, "seed": NaN}\n', name="rows.jsonl").videos) == 1
    gaps = [{"prompt": "x", "output": {"crf": 20}}, {"prompt": None, "output": {"crf": None}}]
    assert len(load(parquet(gaps), name="rows.parquet").videos) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", 'id,prompt,seed,stage1.sigmas\na,x,7.0,\nb,y,,"[1.0, 0.0]"\n'),
        ("rows.jsonl", '{"id": "a", "prompt": "x", "seed": 7.0}\n{"id": "b", "prompt": "y", "seed": NaN}\n'),
        ("rows.parquet", parquet([{"id": "a", "prompt": "x", "seed": 7.0}, {"id": "b", "prompt": "y", "seed": None}])),
        ("rows.parquet", parquet([{"id": "a", "prompt": "x", "seed": 7.0}, {"id": "b", "prompt": "y", "seed": nan}])),
        ("rows.parquet", parquet([{"id": "a", "prompt": "x", "seed": "7"}, {"id": "b", "prompt": "y", "seed": ""}])),
        ("rows.parquet", parquet([{"id": "a", "prompt": "x", "seed": Decimal("7.00")}, {"id": "b", "prompt": "y"}])),
    ],
)
def test_numbers_as_pandas_and_databases_write_them(load, name, content):
    videos = load(content, name=name).videos
    assert [video.scenes[0].seed for video in videos] == [7, seed_of_id("b")]


def test_decimals_of_a_database_are_exact(load):
    row = {"prompt": "x", "frame_rate": Decimal("23.976"), "seconds": Decimal("1.500"), "extra": None}
    (video,) = load(parquet([row]), name="rows.parquet").videos
    assert (video.frame_rate, video.scenes[0].seconds) == (Fraction(24000, 1001), Fraction(3, 2))


@pytest.mark.parametrize(
    "content",
    [
        "id;prompt;seconds\nfox;A fox, red;1,5\n",
        "\ufeffid;prompt;seconds;\r\nfox;A fox, red;1.5;\r\n;;;\r\n",
        "id\tprompt\tseconds\nfox\tA fox, red\t1.5\n",
        'sep=;\r\nid;prompt;seconds\r\nfox;"A fox, red";"1,5"\r\n',
        "SEP=|\nid|prompt|seconds\nfox|A fox, red|1.5\n",
        'id,prompt,seconds\nfox,"A fox, red",1.5\n',
    ],
)
def test_tables_of_excel_mean_what_they_show(load, content):
    (video,) = load(content, name="rows.csv").videos
    assert (video.id, video.scenes[0].prompt, video.scenes[0].seconds) == ("fox", "A fox, red", Fraction(3, 2))


def test_lines_are_counted_as_they_stand_in_the_file(sentences):
    what = "'fox'.width: 700 is not a multiple of 64; nearest are 640 and 704"
    assert sentences("sep=;\nid;prompt;width\nfox;p;700\n", name="rows.csv") == [f"rows.csv: line 3 {what}"]
    (told,) = sentences("id;prompt\nfox;red;blue\n", name="rows.csv")
    assert told == "rows.csv: line 2: has 3 cells for 2 columns; quote cells with semicolons"


def test_the_index_that_pandas_writes_is_named(sentences):
    (told,) = sentences(",prompt\n0,a fox\n", name="rows.csv")
    assert told.endswith("name each once, and write tables without their index")


def test_scenes_can_be_columns(load):
    (video,) = load(
        "scenes.0.prompt,scenes.0.seconds,scenes.1.prompt,scenes.1.seconds\na,2,1984,3\n", name="rows.csv"
    ).videos
    assert [(scene.prompt, scene.seconds) for scene in video.scenes] == [("a", Fraction(2)), ("1984", Fraction(3))]


def test_the_command_line_changes_rows_too(load):
    assert [video.width for video in load(jsonl(ROWS), "width=640", "fox:width=896", name="rows.jsonl").videos] == [
        896,
        640,
    ]


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("rows.jsonl", "", ["rows.jsonl: is empty; every row is a video and needs at least a prompt"]),
        ("rows.jsonl", "\n \n", ["rows.jsonl: is empty; every row is a video and needs at least a prompt"]),
        ("rows.csv", "", ["rows.csv: is empty; every row is a video and needs at least a prompt"]),
        ("rows.csv", "id,prompt\n", ["rows.csv: is empty; every row is a video and needs at least a prompt"]),
        (
            "rows.jsonl",
            '{"prompt": "p"}\n{"prompt": "q\n[1]\n{"a": 1, "a": 2}\n{"id": "fox"}',
            [
                "rows.jsonl: line 2: is not JSON, or the file is cut short: Invalid control character at column 14",
                "rows.jsonl: line 3: [1] is not a mapping of keys",
                "rows.jsonl: line 4: the key 'a' is given twice; keep one of them",
                "rows.jsonl: line 5 'fox'.prompt: is missing; a video needs a prompt, or scenes that each have one",
            ],
        ),
        ("rows.jsonl", b'{"prompt": "caf\xe9"}\n', ["rows.jsonl: line 1: byte 0xe9 is not UTF-8 text"]),
        ("rows.jsonl", "[" * 100_000, ["rows.jsonl: line 1: is nested too deep"]),
        ("rows.jsonl", '{"seed": ' + "9" * 5000 + "}", ["rows.jsonl: line 1: has a number of thousands of digits"]),
        (
            "rows.jsonl",
            " " * 2**20 + "{}",
            ["rows.jsonl: line 1: is longer than 1048576 bytes; put one video on a line"],
        ),
        ("rows.csv", "id,prompt\nfox,p,3\n", ["rows.csv: line 2: has 3 cells for 2 columns; quote cells with commas"]),
        (
            "rows.csv",
            "id,id\nfox,p\n",
            ["rows.csv: line 1: a column has no name, or the name of another; name each once"],
        ),
        (
            "rows.csv",
            'id,prompt\nfox,"p\n',
            ["rows.csv: line 2: is not CSV, or the file is cut short: unexpected end of data"],
        ),
        ("rows.csv", b"id,prompt\nfox,caf\xe9\n", ["rows.csv: line 2: byte 0xe9 is not UTF-8 text"]),
        ("rows.parquet", b"PAR1", ["rows.parquet: is not Parquet, or the file is cut short: "]),
        ("rows.parquet", b"", ["rows.parquet: is not Parquet, or the file is cut short: "]),
    ],
)
def test_bad_rows_are_refused_in_sentences(sentences, name, content, found):
    lines = sentences(content, name=name)
    assert len(lines) == len(found)
    assert all(line.startswith(start) for line, start in zip(lines, found, strict=True))


def test_a_parquet_file_cut_short_is_refused(sentences):
    (found,) = sentences(parquet(ROWS)[:-20], name="rows.parquet")
    assert found.startswith("rows.parquet: is not Parquet, or the file is cut short: ")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["rows.jsonl", "rows.csv", "rows.parquet", "demo.yaml", "demo.json"]),
    st.binary(max_size=40) | st.text(alphabet="{}[]:,\"'&*!|>-?#%@`\n\t ab1\x00", max_size=30).map(str.encode),
)
def test_no_bytes_bring_anything_but_sentences(load, name, content):
    with pytest.raises(ManifestError):
        load(content, name=name)


def test_rows_together_are_what_each_is_alone(load):
    rows = [
        {
            "id": f"v{n}",
            "prompt": f"p{n % 7}",
            "width": 128 + 64 * (n % 3),
            "preset": ["draft", "dev"][n % 2],
            "output": {"crf": n % 52},
        }
        for n in range(60)
    ]
    together = load(jsonl(rows), name="rows.jsonl").videos
    assert together == tuple(load(jsonl([row]), name="one.jsonl").videos[0] for row in rows)


def test_rows_that_are_alike_keep_what_is_their_own(load, sentences):
    rows = [
        {"id": "a", "prompt": "p", "seed": 3, "extend.path": "x.mp4"},
        {"id": "b", "prompt": "q", "extend.path": "x.mp4"},
        {"id": "c", "prompt": "r", "seed": 3, "extend.path": "/x.mp4"},
    ]
    together = load(jsonl(rows), "c:extend.path=x.mp4", "output.path={id}-{index}-{seed}.mp4", name="rows.jsonl").videos
    assert [(video.scenes[0].prompt, video.output.path) for video in together] == [
        ("p", "a-00001-3.mp4"),
        ("q", f"b-00002-{together[1].scenes[0].seed}.mp4"),
        ("r", "c-00003-3.mp4"),
    ]
    assert together[0].extend.path == together[1].extend.path != together[2].extend.path == "x.mp4"
    del rows[1]["prompt"], rows[2]["extend.path"]
    assert sentences(jsonl([*rows, {"prompt": "s", "seed": -2}]), name="rows.jsonl") == [
        "rows.jsonl: line 2 'b'.prompt: is missing; a video needs a prompt, or scenes that each have one",
        "rows.jsonl: line 4 'video-00004'.seed: -2 is not a whole number between -1 and 18446744073709551615",
    ]


@pytest.mark.parametrize(("name", "content"), [("rows.jsonl.gz", jsonl(ROWS)), ("rows.CSV.GZ", CSV)])
def test_rows_may_be_packed(load, name, content):
    assert len(load(gzip.compress(content.encode()), name=name).videos) == 2


@pytest.mark.parametrize(
    "damage", [lambda packed: packed[:40], lambda packed: b"no gzip", lambda packed: packed[:-9] + b"x" * 9]
)
def test_a_damaged_pack_is_refused(sentences, damage):
    packed = gzip.compress(jsonl(ROWS * 50).encode())
    (told,) = sentences(damage(packed), name="rows.jsonl.gz")
    assert told.startswith("rows.jsonl.gz: is not gzip, or the file is cut short: ")


def test_text_of_excel_in_utf_16_is_told_what_to_be(sentences):
    for encoding in ("utf-16-le", "utf-16-be"):
        text = "\ufeffid\tprompt\nfox\ta\n".encode(encoding)
        assert sentences(text, name="rows.csv") == [
            "rows.csv: is UTF-16 text; save it as UTF-8, which Excel calls `CSV UTF-8`"
        ]
