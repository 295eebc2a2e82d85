"""SH155: calls that build objects from bytes through a library without a facade.

They are found, reported and left as they are. What they read has to stay plain as well, so
`safehold harden` leaves the files that are shown here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

from safehold.findings import Confidence, Rule, Severity
from safehold.source.calls import Called
from safehold.source.reached import Handed, carried, handed
from safehold.source.row import Argument, Example, Item, SourceRule, Use
from safehold.source.unit import Unit

RULE = Rule(
    id="SH155",
    name="no-facade",
    title="A library without a facade reads or writes bytes that run as code",
    why="marshal, jsonpickle, MLflow's and Keras's loaders, zodbpickle and caches that pickle "
    "build what the bytes name, as pickle.load does; migration does not reach them.",
    remedy="Store the data in a format that names no class (Parquet, JSON, safetensors, a "
    "database), or load it with safehold.compat.pickle; files that such calls read are left "
    "unsealed.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
    score=10.0,
    fix="none",
    references=(
        "https://docs.python.org/3/library/marshal.html",
        "https://mlflow.org/docs/latest/model/",
        "https://keras.io/api/models/model_saving_apis/model_saving_and_loading/",
    ),
)


class _Known(NamedTuple):
    """What a function does, where it takes its file from, and what to do instead."""

    use: Use
    file: Argument | None
    remedy: str


_FIRST: Final = Argument(0, ("path", "file", "filename", "filepath", "model_uri", "directory"))
_SECOND: Final = Argument(1, ("file", "path"))
_MARSHAL: Final = "marshal reads code objects: keep data as JSON or MessagePack."
_JSONPICKLE: Final = (
    "jsonpickle builds the classes that the text names: decode with json, and build objects from "
    "the data by hand."
)
_MLFLOW: Final = (
    "An MLflow model is a directory with pickles in it: scan it with `safehold scan`, keep it "
    "where only the registry writes, or save the model by itself with safehold.compat.joblib."
)
_KERAS: Final = (
    "Lambda layers and custom objects of a model file run code: load weights alone, or .keras "
    "files with safe_mode=True, and scan the file with `safehold scan`."
)
_CACHE: Final = "Its values are pickles: give it a serializer for JSON, or a directory of its own."
_FLAVORS: Final = (
    "pyfunc sklearn xgboost lightgbm catboost statsmodels spacy prophet pmdarima pytorch "
    "tensorflow keras spark fastai h2o onnx paddle langchain transformers sentence_transformers "
    "diviner"
).split()
_KNOWN: Final[dict[str, _Known]] = {
    "marshal.load": _Known(Use.READ, _FIRST, _MARSHAL),
    "marshal.loads": _Known(Use.READ, None, _MARSHAL),
    "marshal.dump": _Known(Use.WRITE, _SECOND, _MARSHAL),
    "marshal.dumps": _Known(Use.WRITE, None, _MARSHAL),
    **dict.fromkeys(
        ("jsonpickle.decode", "jsonpickle.loads", "jsonpickle.unpickler.decode",
         "jsonpickle.Unpickler", "jsonpickle.unpickler.Unpickler"),
        _Known(Use.READ, None, _JSONPICKLE),
    ),
    **{f"mlflow.{flavor}.load_model": _Known(Use.READ, _FIRST, _MLFLOW) for flavor in _FLAVORS},
    "mlflow.pyfunc.load_pyfunc": _Known(Use.READ, _FIRST, _MLFLOW),
    **{
        f"{keras}.{module}.load_model": _Known(Use.READ, _FIRST, _KERAS)
        for keras in ("keras", "tensorflow.keras", "tf_keras")
        for module in ("models", "saving")
    },
    "tensorflow.saved_model.load": _Known(Use.READ, _FIRST, _KERAS),
    "keras.config.enable_unsafe_deserialization": _Known(Use.READ, None, _KERAS),
    "fastai.learner.load_learner": _Known(Use.READ, _FIRST, RULE.remedy),
    "fastai.vision.all.load_learner": _Known(Use.READ, _FIRST, RULE.remedy),
    "gensim.utils.unpickle": _Known(Use.READ, _FIRST, RULE.remedy),
    **{
        f"zodbpickle.{module}.{name}": _Known(Use.READ, None, RULE.remedy)
        for module in ("pickle", "fastpickle", "slowpickle")
        for name in ("load", "loads", "Unpickler")
    },
    "diskcache.Cache": _Known(Use.READ, _FIRST, _CACHE),
    "diskcache.FanoutCache": _Known(Use.READ, _FIRST, _CACHE),
    "sqlitedict.SqliteDict": _Known(Use.READ, _FIRST, _CACHE),
}  # fmt: skip
_NAMES: Final = frozenset(_KNOWN)
_RUAMEL: Final = "ruamel.yaml.YAML"
_TRUSTING: Final = "trust_remote_code"
_CHECKPOINT: Final = "load_from_checkpoint"


def _check(unit: Unit) -> Iterator[Item]:
    """Yield every call that reads or writes through such a library."""
    for called in unit.calls(*_KNOWN):
        known = _KNOWN[called.name]
        if known.remedy is not _CACHE or called.argument(9, "disk", "encode", "decode") is None:
            yield _item(unit, called, known)
    for use in (*handed(unit, _NAMES), *carried(unit, _NAMES)):
        yield _item(unit, use, _KNOWN[use.name], confidence=Confidence.MEDIUM)
    for called in unit.calls(_RUAMEL):
        typ = called.argument(99, "typ")
        if isinstance(typ, ast.Constant) and typ.value == "unsafe":
            remedy = 'Use YAML(typ="safe").'
            yield _item(unit, called, _Known(Use.READ, None, remedy))
    for call, scope in unit.module.calls:
        for keyword in call.keywords:
            if keyword.arg == _TRUSTING and getattr(keyword.value, "value", None) is True:
                message = "trust_remote_code=True runs the code of a model's repository"
                remedy = "Load models that need no code of their own, or vendor that code."
                yield Item(keyword.value, message, remedy)
        if isinstance(call.func, ast.Attribute) and call.func.attr == _CHECKPOINT:
            called = Called(_CHECKPOINT, call, scope, tuple(call.args), tuple(call.keywords))
            yield _item(
                unit, called, _Known(Use.READ, _FIRST, RULE.remedy), confidence=Confidence.MEDIUM
            )


def _item(
    unit: Unit, use: Called | Handed, known: _Known, confidence: Confidence = Confidence.HIGH
) -> Item:
    is_read = known.use is Use.READ
    does = "runs what it reads" if is_read else "writes what runs when it is read"
    artifact = None
    if isinstance(use, Called) and known.file is not None:
        artifact = unit.accesses.of_call(use, known.use, known.file)
    return Item(
        use.node,
        f"{use.name} {does}; it has no facade and stays as it is",
        known.remedy,
        severity=None if is_read else Severity.MEDIUM,
        confidence=confidence,
        detail={"call": use.name, "path": None if artifact is None else artifact.pattern},
        artifact=artifact,
    )


OTHERS = SourceRule(
    rule=RULE,
    check=_check,
    names=(
        "marshal",
        "jsonpickle",
        "load_model",
        "load_pyfunc",
        "saved_model",
        "load_learner",
        "unpickle",
        "enable_unsafe_deserialization",
        "zodbpickle",
        "diskcache",
        "sqlitedict",
        "ruamel",
        _TRUSTING,
        _CHECKPOINT,
    ),
    bad=(
        Example("import marshal\n\ncode = marshal.load(open('code.bin', 'rb'))\n", (3,)),
        Example(
            "from marshal import dumps as mdumps\n\nenmarshal = mdumps\n",
            (3,),
        ),
        Example(
            "import marshal\n\n\nclass Code:\n    marshal = marshal\n\n"
            "    def read(self, data):\n        return self.marshal.loads(data)\n",
            (8,),
        ),
        Example("from jsonpickle import decode\n\ndecode('{}')\n", (3,)),
        Example("import mlflow\n\nmodel = mlflow.pyfunc.load_model('models:/fraud/1')\n", (3,)),
        Example(
            "from tensorflow import keras\n\nmodel = keras.models.load_model('models/m.keras')\n",
            (3,),
        ),
        Example("from ruamel.yaml import YAML\n\nYAML(typ='unsafe').load('a: 1')\n", (3,)),
        Example(
            "from transformers import AutoModel\n\n"
            "AutoModel.from_pretrained('a/b', trust_remote_code=True)\n",
            (3,),
        ),
        Example("import diskcache\n\ncache = diskcache.Cache('cache')\n", (3,)),
        Example("def restore(Net, path):\n    return Net.load_from_checkpoint(path)\n", (2,)),
    ),
    good=(
        Example("import marshal\n\nprint(marshal.version)\n"),
        Example("import mlflow\n\nmlflow.log_metric('auc', 0.9)\n"),
        Example("from ruamel.yaml import YAML\n\nYAML(typ='safe').load('a: 1')\n"),
        Example("import diskcache\n\ncache = diskcache.Cache('c', disk=diskcache.JSONDisk)\n"),
        Example("from .models import load_model\n\nload_model('m.keras')\n"),
        Example(
            "from transformers import AutoModel\n\n"
            "AutoModel.from_pretrained('a/b', trust_remote_code=False)\n"
        ),
    ),
)
