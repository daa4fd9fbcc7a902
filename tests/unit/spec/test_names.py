from __future__ import annotations

import subprocess
import sys

import pytest

from ltx_ray.spec.names import why_unnameable

ASK = """
import sys
from ltx_ray.spec.names import why_unnameable
print(ascii(why_unnameable(sys.argv[1].encode().decode("unicode_escape"))))
"""


@pytest.mark.parametrize("path", ["fox.mp4", "below/ü 狐.mp4", "bytes\udcff.mp4", ""])
def test_in_a_utf_8_session_every_text_and_every_byte_is_a_name(path):
    assert why_unnameable(path) is None


@pytest.mark.parametrize("path", ["\\u72d0", "below/f\\xfc.mp4"])
def test_in_an_ascii_session_it_is_said_which_sign_is_none(path):
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ran = subprocess.run([sys.executable, "-c", ASK, path], env=env, capture_output=True, text=True, check=True)
    assert "and here names of files are written in ascii; set PYTHONUTF8=1 or a UTF-8 locale" in ran.stdout
    sane = subprocess.run([sys.executable, "-c", ASK, "fox.mp4"], env=env, capture_output=True, text=True, check=True)
    assert sane.stdout == "None\n"
