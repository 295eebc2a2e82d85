"""MLflow: the ``MLmodel`` beside a model says which module loads it, and from which code."""

from __future__ import annotations

import re
from typing import Final

from safehold import dangers
from safehold.scan import rules
from safehold.scan.documents import encoding_of
from safehold.scan.references import leads_outside
from safehold.scan.visit import Source, Visit

ENDS: Final = ("mlmodel",)
_LARGEST: Final = 2**22
_ENTRY: Final = re.compile(
    r"""(?:^|[{,])[ \t]*["']?(loader_module|code|code_paths?|model_code_path|python_model|data|"""
    r"""pickled_model|model_path|model_data|saved_model_dir)["']?[ \t]*:[ \t]*([^\n,}]*)""",
    re.MULTILINE,
)
_FLAVORS: Final = frozenset(
    """
    catboost diviner dspy fastai gluon h2o johnsnowlabs keras langchain lightgbm llama_index mleap
    mxnet onnx openai paddle pmdarima promptflow prophet pytorch sentence_transformers shap sklearn
    spacy spark statsmodels tensorflow transformers xgboost
    """.split()
)
_LOADERS: Final = re.compile(
    rf"mlflow\.(?:{'|'.join(sorted(_FLAVORS))}|pyfunc\.model|pyfunc\.loaders\.\w+)(?:\.model)?"
)
_CODE: Final = frozenset({"code", "code_path", "code_paths", "model_code_path"})
# Names written with escapes or put together by tags and anchors are not followed.
_HIDDEN: Final = re.compile(
    r"""(?:loader_module|code)["']?[ \t]*:[ \t]*(?:[&*!>|]|"[^"\n]*\\)"""
    r"""|"[^"\n]*\\[xuU][^"\n]*"\s*:"""
)


def read(source: Source, visit: Visit) -> str | None:
    """Check the loader and the paths of a model; None for anything else."""
    if source.name.replace("\\", "/").rsplit("/", 1)[-1] != "MLmodel":
        return None
    if len(source.data) > _LARGEST:
        visit.note(source, rules.LIMIT_EXCEEDED, "a description larger than any model needs")
        return "mlflow"
    text = bytes(source.data).decode(encoding_of(source.data), "replace")
    if _HIDDEN.search(text):
        message = "a name that is written so that it is hard to read"
        visit.note(source, rules.UNREADABLE_STREAM, message)
    for key, raw in _ENTRY.findall(text):
        value = raw.split(" #", 1)[0].strip().strip("\"'")
        if value in ("", "null", "~"):
            continue
        if key == "loader_module":
            _check_loader(source, visit, value)
        else:
            _check_path(source, visit, key, value)
    return "mlflow"


def _check_loader(source: Source, visit: Visit, module: str) -> None:
    detail = {"loader_module": module[:200]}
    if _LOADERS.fullmatch(module):
        return
    danger = dangers.lookup(module, "_load_pyfunc")
    if danger is not None:
        message = f"is loaded by {module[:200]}, which {danger.why}"
        visit.note(source, rules.DANGEROUS_GLOBAL, message, None, detail)
    else:
        message = f"is loaded by {module[:200]}, a module that is not MLflow's own"
        visit.note(source, rules.EMBEDDED_CODE, message, None, detail)


def _check_path(source: Source, visit: Visit, key: str, path: str) -> None:
    detail = {key: path[:200]}
    if leads_outside(path):
        message = "names a file outside the model's directory"
        visit.note(source, rules.OUTSIDE_FILE, message, None, detail)
    elif key in _CODE:
        message = "brings code of its own, which is imported when the model is loaded"
        visit.note(source, rules.EMBEDDED_CODE, message, None, detail)
