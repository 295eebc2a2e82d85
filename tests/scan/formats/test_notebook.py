from __future__ import annotations

import base64
import gzip
import json
import pickle
import tracemalloc
import zlib

import pytest

from safehold.scan import scan_path
from safehold.scan.budget import STRIDE, Budget, OutOfTime
from safehold.scan.formats.notebook import _embedded
from tests.bypasses.payloads import named, stream

BAD = stream(named("os", "system"))


def notebook(*sources, outputs=()):
    cells = [
        {"cell_type": "code", "metadata": {}, "source": one, "outputs": list(outputs)}
        for one in sources
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def scanned(tmp_path, text):
    (tmp_path / "a.ipynb").write_text(text)
    return scan_path(tmp_path).files


def encoded(data):
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "source",
    [
        f"pickle.loads(base64.b64decode('{encoded(BAD)}'))",
        [f"data = '{encoded(BAD)}'\n", "print(1)"],
        f"data = '{base64.urlsafe_b64encode(BAD).decode().rstrip('=')}'",
        f"data = ('{encoded(BAD)[:16]}'\n   '{encoded(BAD)[16:]}')",
        [f"data = ('{encoded(BAD)[:16]}'\n", f" + '{encoded(BAD)[16:]}')"],
        f"data = '{encoded(gzip.compress(BAD))}'",
        f"data = '{encoded(zlib.compress(BAD))}'",
        f"data = bytes.fromhex('{BAD.hex()}')",
        "data = b'" + "".join(f"\\x{byte:02x}" for byte in BAD) + "'",
        f"data = {BAD!r}",
        '"""' + base64.encodebytes(b"\x80\x04" + b"\x8c\x02os0" * 30 + BAD[2:]).decode() + '"""',
    ],
    ids=["base64", "lines", "url", "literals", "sum", "gzip", "zlib", "hex", "escapes", "repr",
         "long lines"],
)  # fmt: skip
def test_pickle_in_a_cell(source, tmp_path):
    (only,) = scanned(tmp_path, notebook(source))
    assert (only.format, only.verdict) == ("notebook", "malicious")


def test_pickle_in_an_output_or_an_attachment(tmp_path):
    for kind in ("application/octet-stream", "image/png", "text/plain"):
        output = {"output_type": "display_data", "data": {kind: encoded(BAD)}, "metadata": {}}
        (only,) = scanned(tmp_path, notebook("x", outputs=[output]))
        assert only.verdict == "malicious"


def test_ordinary_notebooks_are_left_out(tmp_path):
    image = encoded(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400)
    output = {"output_type": "display_data", "data": {"image/png": image}, "metadata": {}}
    source = [
        "import numpy as np\n", "some_function_with_a_long_name(another_quite_long_name)\n",
        "digest = 'eb3bb0a0b3f1d0a1c0a1b2c3d4e5f60718293a4b5c6d7e8f'\n", "b'\\x00\\x01'\n",
    ]  # fmt: skip
    assert not scanned(tmp_path, notebook(source, outputs=[output]))
    report = scan_path(tmp_path / "a.ipynb").files[0]
    assert (report.format, report.verdict) == ("notebook", "clean")


def test_harmless_pickle_is_clean(tmp_path):
    (only,) = scanned(tmp_path, notebook(f"x = '{encoded(pickle.dumps({'a': [1, 2]}))}'"))
    assert (only.format, only.verdict) == ("notebook", "clean"), only.findings


def test_notebook_that_is_no_json_is_searched(tmp_path):
    (only,) = scanned(tmp_path, notebook(f"x = '{encoded(BAD)}'")[:-1])
    assert only.verdict == "malicious"


def test_a_pickle_behind_more_texts_than_are_read_is_not_left_out(tmp_path):
    """The last of a tree is read first, so the filling stands behind the cell."""
    evil = "x = " + encoded(stream(named("os", "system")))
    text = f'{{"cells": [{{"source": "{evil}"}}], "metadata": [{"[]," * 1_100_000}0]}}'
    [report] = scanned(tmp_path, text)
    assert report.verdict != "clean"
    assert "SH105" in {finding.rule.id for finding in report.findings}


@pytest.mark.parametrize(
    "text",
    ["80" * 150_000, "b'" + r"\x80" * 80_000 + "'", "b'" + "a" * 300_000, "b''" * 100_000],
)
def test_what_may_be_bytes_takes_no_memory_for_each_of_them(tmp_path, text):
    scanned(tmp_path, json.dumps({"cells": [{"source": text[:100]}]}))
    whole = json.dumps({"cells": [{"source": text}]})
    tracemalloc.start()
    try:
        scanned(tmp_path, whole)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 30 * len(whole)


@pytest.mark.parametrize("digits", ["", "8"])
def test_hex_with_a_digit_too_many_is_read(tmp_path, digits):
    (only,) = scanned(tmp_path, notebook(f"data = bytes.fromhex('{BAD.hex()}{digits}')"))
    assert only.verdict == "malicious"


@pytest.mark.parametrize(
    "part", ["b'b'", "'a' + 'a' ", "0123456789abcdef.", "QUJDREVGR0hJSktM.", 'b""" ']
)
def test_each_search_of_a_text_asks_the_clock(part):
    with pytest.raises(OutOfTime):
        list(_embedded(part * 2 * STRIDE, Budget(0)))
    assert list(_embedded(part * 2 * STRIDE, Budget())) == []
