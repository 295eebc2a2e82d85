"""Hostile files of the formats of models: archives of arrays, headers, counts and texts.

As `hostile_bytes`, whose builders it uses, and as harmless.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterable

from tests.fuzz.hostile_bytes import PROTO, Build, Family, field, flood, numbered, up_to

FAMILIES: dict[str, Family] = {}


def _add(name: str, build: Build, suffix: str, *, clean: bool = False) -> None:
    FAMILIES[name] = Family(build, suffix, clean)


# --- archives of arrays and of models ---------------------------------------------------------


def npy(kind: str, shape: str, content: bytes) -> bytes:
    """Return an array of numpy."""
    text = f"{{'descr':{kind},'fortran_order':False,'shape':({shape})}}\n".encode()
    return b"\x93NUMPY\x02\0" + struct.pack("<I", len(text)) + text + content


def archive(name: str, content: bytes, *, packed: bool = False, most: int = 120_000) -> Build:
    """Return a builder of archives whose members all hold the same."""

    def build(size: int) -> bytes:
        buffer = io.BytesIO()
        method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
        with zipfile.ZipFile(buffer, "w", method) as found:
            for at in range(most):
                found.writestr(zipfile.ZipInfo(name.replace("%", str(at))), content, method)
                if buffer.tell() > size - 200 * (at + 2):
                    break
        return buffer.getvalue()

    return build


_OBJECTS = PROTO + b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\x01b\x87RN0."
_FIELDS = "[" + ",".join(f"('f{at}','<f8')" for at in range(200)) + "]"
for _name, _content, _clean in (
    ("arrays of objects", npy("'|O'", "1,", PROTO + b"N."), True),
    ("arrays of names", npy("'|O'", "1,", PROTO + b"ca\nb\n."), False),
    ("arrays of numpy's objects", npy("'|O'", "1,", _OBJECTS), True),
    ("arrays of many objects", npy("'|O'", "9,", PROTO + b"(" + b"]" * 2000 + b"t."), True),
    ("arrays of floods", npy("'|O'", "9,", PROTO + b"N0" * 2000 + b"N."), True),
    ("small arrays", npy("'|u1'", "1,", b"a"), True),
    ("empty arrays", npy("'|u1'", "0,", b""), True),
    ("records", npy(_FIELDS, "0,", b""), True),
    ("shapes", npy("'|u1'", "0," + "1," * 1000, b""), True),
    ("headers that are none", npy("open(", "", b""), False),
):
    _add(f"npz of {_name}", archive("a%.npy", _content), ".npz", clean=_clean)
    _add(f"packed npz of {_name}", archive("a%.npy", _content, packed=True), ".npz", clean=_clean)
_add("npy of records", flood(npy(_FIELDS, "0,", b"")), ".npy", clean=True)
_add("npy of headers that are none", flood(npy("open(", "", b"")), ".npy")
_add("npy of many objects", flood(b"]", npy("'|O'", "1,", PROTO + b"("), b"t."), ".npy", clean=True)

_LEARNER = b"{L" + bytes(7) + b"\x07learner["
_MEMBERS: dict[str, bytes] = {
    "a%.pkl": b"ca\nb\n.",
    "a%.joblib": b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n.",
    "a%.json": b'{"auto_map":{"a":"b"}}',
    "a%.ipynb": b'{"cells":[{"source":["a"]}]}',
    "a%.yaml": b"a: !!python/name:a.b c",
    "a%.onnx": b"\x08\x07\x3a\x02\x0a\0",
    "a%.h5": b"\x89HDF\r\n\x1a\n" + bytes(40),
    "a%.gguf": b"GGUF" + struct.pack("<IQQ", 3, 0, 0),
    "a%.safetensors": struct.pack("<Q", 2) + b"{}",
    "a%.pmml": b"<PMML><a/></PMML>",
    "a%.ubj": _LEARNER + b"]}",
    "a%.cbm": b"CBM1" + bytes(12),
    "a%.tflite": struct.pack("<I4s", 8, b"TFL3") + bytes(12),
    "a%.pbtxt": b"node { op: 'A' }",
    "a%.jinja": b"{{ a }}",
    "a%.gz": gzip.compress(PROTO + b"N.", mtime=0),
    "a%.parquet": b"PAR1" + bytes(8) + struct.pack("<I", 4) + b"PAR1",
    "a%.py": b"import os\n",
    "a%": b"abc",
    "MLmodel%/MLmodel": b"code: a",
}
for _name, _content in _MEMBERS.items():
    _suffix = _name.rpartition("%")[2] or " bytes"
    _add(f"zip of {_suffix.strip('./ ')}", archive(_name, _content), ".zip", clean=True)
_add("torch of tensors", archive("archive/data/%", b"abcd"), ".pt", clean=True)
_add("torch of pickles", archive("archive/a%/data.pkl", PROTO + b"N."), ".pt", clean=True)
_add("torch of code", archive("archive/code/a%.py", b"a"), ".pt", clean=True)
_add("keras of configurations", archive("a%/config.json", b'{"class_name":"a"}'), ".keras",
     clean=True)  # fmt: skip
_add("skops of schemas", archive("a%/schema.json", b"{}"), ".skops", clean=True)

# --- headers and counts -----------------------------------------------------------------------


def _safetensors(rows: Callable[[int], str]) -> Build:
    def build(size: int) -> bytes:
        parts, length, count = [], 0, 0
        while length < size - 20:
            parts.append(rows(count))
            length += len(parts[-1]) + 1
            count += 1
        text = ("{" + ",".join(parts) + "}").encode()
        return struct.pack("<Q", len(text)) + text

    return build


_TENSOR = '"t%":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
_add("safetensors of tensors", _safetensors(lambda at: _TENSOR.replace("%", str(at))),
     ".safetensors", clean=True)  # fmt: skip
_add("safetensors of equal tensors", _safetensors(lambda _: _TENSOR), ".safetensors")
_SHAPE = '"t%":{"dtype":"F32","shape":[' + "1," * 500 + '0],"data_offsets":[0,0]}'
_add("safetensors of shapes", _safetensors(lambda at: _SHAPE.replace("%", str(at))),
     ".safetensors", clean=True)  # fmt: skip
_add("safetensors of notes", _safetensors(lambda at: f'"{at}":"a"'), ".safetensors")
_add("safetensors of digits", _safetensors(lambda at: f'"t{at}":' + "1" * 4000), ".safetensors")
_add("safetensors without end", flood(b"[", struct.pack("<Q", 2**26) + b"{"), ".safetensors")

_GGUF = b"GGUF" + struct.pack("<IQQ", 3, 0, 2**40)
for _kind, _value in {
    "texts": struct.pack("<IQ", 8, 2) + b"ab",
    "empty arrays": struct.pack("<IIQ", 9, 4, 0),
    "arrays of bytes": struct.pack("<IIQ", 9, 0, 64) + bytes(64),
    "arrays of arrays": struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ", 4, 0),
    "templates": struct.pack("<IQ", 8, 7) + b"{{ a }}",
}.items():
    _key = "\x0b\0\0\0\0\0\0\0key%" + _value.decode("latin-1")
    _add(f"gguf of {_kind} by key", numbered(_key, _GGUF, width=8), ".gguf")
_add("gguf of named tensors", numbered("\x09\0\0\0\0\0\0\0t%" + "\x01\0\0\0\x01" + "\0" * 19,
     b"GGUF" + struct.pack("<IQQ", 3, 2**40, 0), width=8), ".gguf")  # fmt: skip

for _kind, _unit in {
    "arrays": b"[",
    "empty arrays": b"[]",
    "typed arrays": b"[$i#L" + bytes(8),
    "arrays of nulls": b"[$Z#L" + bytes(6) + b"\xff\xff",
    "counted arrays": b"[#L" + bytes(8),
    "objects": b"{",
    "empty objects": b"{}",
    "keys": b"{L" + bytes(7) + b"\x01aZ}",
    "texts": b"SL" + bytes(7) + b"\x02ab",
    "numbers": b"i\x01",
}.items():
    _add(f"ubjson of {_kind}", flood(_unit, _LEARNER), ".ubj")


def _nested(numbers: Iterable[int], most: int = 2000) -> Build:
    """Return a builder of messages in messages, again and again."""
    path = tuple(numbers)

    def build(size: int) -> bytes:
        unit = b""
        for at in range(most):
            unit = field(path[at % len(path)], unit)
        return b"\x08\x07" + field(7, unit * max(1, size // len(unit)))

    return build


def _coreml(number: int, unit: bytes) -> Build:
    return lambda size: b"\x08\x07" + field(number, unit * max(1, size // len(unit)))


def _onnx(unit: bytes) -> Build:
    return lambda size: b"\x08\x07" + field(7, unit * max(1, size // len(unit)))


_add("onnx of graphs in graphs", _nested((1, 5, 6)), ".onnx", clean=True)
_add("onnx of attributes", _onnx(field(1, field(5, b"\x0a\x01a") * 100)), ".onnx", clean=True)
_add("onnx of outside data", _onnx(field(5, field(13, field(1, b"location") + field(2, b"a")))),
     ".onnx", clean=True)  # fmt: skip
_add("onnx of functions", lambda size: b"\x08\x07" + field(25, b"") * (size // 3), ".onnx",
     clean=True)  # fmt: skip
_add("onnx of notes", lambda size: b"\x08\x07" + field(14, b"\x0a\x01a") * (size // 5), ".onnx",
     clean=True)  # fmt: skip
_NODE = field(1, field(1, b"a") + field(2, b"Add"))
_add("graph of equal names", flood(field(1, field(1, b"a") + field(2, b"Const")), _NODE), ".pb",
     clean=True)  # fmt: skip
_CONSTANT = field(5, field(2, field(2, b"a")))
_add(
    "graph of constants", flood(field(1, field(2, b"Const") + _CONSTANT), _NODE), ".pb", clean=True
)
_add("graph of names", lambda size: _NODE + b"".join(
     field(1, field(1, b"%x" % at) + field(2, b"Add")) for at in range(size // 18)), ".pb",
     clean=True)  # fmt: skip
_add("graph of one constant", lambda size: _NODE + field(1, field(2, b"Const")
     + _CONSTANT * (size // 7)), ".pb", clean=True)  # fmt: skip
for _number in (200, 202, 300, 500, 502, 555, 556, 3000):
    _add(f"coreml of field {_number}", _coreml(_number, b"\x0a\0"), ".mlmodel", clean=True)
_add("coreml of layers", _coreml(500, field(1, field(500, field(10, b"a")))), ".mlmodel")

# --- texts ------------------------------------------------------------------------------------

for _kind, _unit, _head in (
    ("spaces", b" ", b"node"),
    ("spaces behind colons", b" ", b"node :"),
    ("escapes", b"\\x41", b"node { op: '"),
    ("strings", b"'a' ", b"node { op: "),
    ("operations", b"op: 'A' 'B'\n", b"node { "),
    ("open operations", b"op: '", b"node { "),
    ("words", b"node ", b"node { "),
    ("spaces behind op", b"op ", b"node { "),
):
    _add(f"text graph of {_kind}", flood(_unit, _head), ".pbtxt", clean=True)

for _kind, _unit in {
    "spaces": b" ",
    "attributes": b'<a b="c"/>',
    "deep elements": b"<a>",
    "texts": b"abc ",
    "comments": b"<!-- a -->",
    "references": b"&amp;",
    "instructions": b"<?a b?>",
    "sections": b"<![CDATA[a]]>",
    "spaces of names": b'<a xmlns:b="c"/>',
}.items():
    _add(f"pmml of {_kind}", flood(_unit, b"<PMML>", b"</PMML>"), ".pmml", clean=True)
_add("pmml of one tag", flood(b' a="b"', b"<PMML><a", b"/></PMML>"), ".pmml")
_add("pmml of distinct attributes", numbered(' a%=""', b"<PMML><a", b"/></PMML>"), ".pmml",
     clean=True)  # fmt: skip
_add("pmml of entities", numbered('<!ENTITY a% "b">', b"<!DOCTYPE PMML [", b"]><PMML/>"), ".pmml")

for _kind, _unit in {
    "trees": b"Tree=0\n",
    "equal signs": b"=1",
    "tree sizes": b"tree_sizes=1 1 1 1\n",
    "parameters": b"[a: b]\n",
    "empty lines": b"\n",
    "one line": b"a",
}.items():
    _add(f"lightgbm of {_kind}", flood(_unit, b"tree\nversion=v4\n"), ".txt")

_DOCUMENT = 16 * 2**20 - 100
for _kind, _unit, _head, _tail in (
    ("arrays of numbers", b"1.5,", b'{"learner":[', b"0]}"),
    (
        "trees",
        b'{"a":[1],"b":[2]},',
        b'{"learner":{"gradient_booster":{"model":{"trees":[',
        b"0]}}}}",
    ),
    ("spaces", b" ", b'{"learner":', b"1}"),
):
    _add(f"xgboost of {_kind}", up_to(_DOCUMENT, flood(_unit, _head, _tail)), ".json", clean=True)
    _add(f"large xgboost of {_kind}", flood(_unit, _head, _tail), ".json", clean=True)
for _kind, _unit in {"keys": '"k%":1,', "long keys": '"' + "k" * 200 + '%":"a",'}.items():
    _add(f"large json of {_kind}", numbered(_unit, b"{", b'"a":1}'), ".json", clean=True)
for _kind, _unit in {
    "quotes": b"b'a'",
    "open quotes of three": b"b'''a",
    "escapes": b"\\\\x80",
    "hex digits": b"8",
    "lines of letters": b"A" * 76 + b"\\n",
    "joints": b"'+'",
    "spaces": b" ",
}.items():
    _build = up_to(_DOCUMENT, flood(_unit, b'{"cells":["b\'', b"'\"]}"))
    _add(f"notebook of one text of {_kind}", _build, ".ipynb", clean=True)
for _kind, _unit in {
    "spaces": b" ",
    "exclamation marks": b"!",
    "open tags": b"!<",
    "targets": b"_target_",
    "targets and spaces": b"_target_ ",
    "nested aliases": b"[*a,*a,",
    "lines": b"\n",
    "colons": b": ",
}.items():
    _add(f"yaml of a flood of {_kind}", up_to(_DOCUMENT, flood(_unit, b"python: &a a\n")), ".yaml",
         clean=True)  # fmt: skip
_add("json of a template", lambda size: json.dumps(
     {"chat_template": "{{ a['" + "\\x5f" * (min(size, _DOCUMENT) // 6) + "'] }}"}).encode(),
     "tokenizer_config.json", clean=True)  # fmt: skip
