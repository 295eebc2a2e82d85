"""Services of other kinds than the example: each does the same before and after hardening.

Their programs and data are made here. A service is run, looked at (nothing changes), hardened,
run again, hardened again (nothing changes) and rolled back.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from safehold.keys import generate_key

pytestmark = pytest.mark.extras


@dataclass(frozen=True)
class Kind:
    """Sources, the program that makes the artifacts and the one that uses them."""

    sources: dict[str, str]
    make: tuple[str, ...] = ("make.py",)
    use: tuple[str, ...] = ("use.py",)
    options: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    sealed: tuple[str, ...] = ()


FLAT = Kind(
    {
        "shapes.py": """
import collections
from dataclasses import dataclass
import numpy as np

Point = collections.namedtuple("Point", "x y")

@dataclass
class Order:
    number: int

class Counter:
    def __init__(self, start):
        self.value = start
    def __getstate__(self):
        return {"value": self.value}
    def __setstate__(self, state):
        self.value = state["value"]

def clip(values):
    return np.clip(values, -1, 1)
""",
        "make.py": """
import gzip, pickle, joblib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from shapes import Counter, Order, Point, clip

X = np.arange(12.0).reshape(6, 2)
pipe = make_pipeline(FunctionTransformer(clip), LogisticRegression()).fit(X, [0, 1] * 3)
joblib.dump(pipe, "pipe.joblib")
with open("orders.pkl", "wb") as file:
    pickle.dump([Order(1), Point(1, 2)], file)
with gzip.open("counter.pkl.gz", "wb") as file:
    pickle.dump(Counter(5), file)
with open("events.pkl", "wb") as file:
    for number in range(3):
        pickle.dump({"n": number}, file)
with open("old.pkl", "wb") as file:
    pickle.dump({"a": [1, 2.5, None, (3, "x")]}, file, protocol=0)
joblib.dump({"objects": np.array([{"a": 1}, None], dtype=object), "x": X}, "mixed.joblib", 3)
""",
        "use.py": """
import gzip, pickle, joblib
import numpy as np

print(joblib.load("pipe.joblib").predict(np.ones((2, 2))).tolist())
with open("orders.pkl", "rb") as file:
    print(pickle.load(file))
with gzip.open("counter.pkl.gz", "rb") as file:
    print(pickle.load(file).value)
with open("events.pkl", "rb") as file:
    try:
        while True:
            print(pickle.load(file))
    except EOFError:
        print("end")
with open("old.pkl", "rb") as file:
    print(pickle.load(file))
print(joblib.load("mixed.joblib")["objects"].tolist())
""",
    },
    options=("--allow", "shapes.clip", "--allow", "shapes.Counter"),
    sealed=("pipe.joblib", "orders.pkl", "events.pkl", "old.pkl", "mixed.joblib"),
)

PACKAGE = Kind(
    {
        "src/churn/__init__.py": "",
        "src/churn/storage.py": """
import pickle
from pathlib import Path
import joblib

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"

def load_model(name):
    return joblib.load(WEIGHTS / f"{name}.joblib")

def save_model(model, name):
    WEIGHTS.mkdir(exist_ok=True)
    joblib.dump(model, WEIGHTS / f"{name}.joblib")

def save_state(state, name):
    with open(WEIGHTS / (name + ".pkl"), "wb") as handle:
        pickle.dump(state, handle, protocol=pickle.HIGHEST_PROTOCOL)

def load_state(name):
    with open(WEIGHTS / (name + ".pkl"), "rb") as handle:
        return pickle.load(handle)
""",
        "src/churn/model.py": """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

class Majority(ClassifierMixin, BaseEstimator):
    class Vote:
        def __init__(self, label):
            self.label = label

    def fit(self, X, y):
        values, counts = np.unique(y, return_counts=True)
        self.vote_ = Majority.Vote(int(values[counts.argmax()]))
        return self

    def predict(self, X):
        return np.full(len(X), self.vote_.label)
""",
        "src/churn/train.py": """
import sys
import pandas as pd
from .model import Majority
from .storage import save_model, save_state

def train(name):
    save_model(Majority().fit([[1], [2], [3]], [0, 1, 1]), name)
    frame = pd.DataFrame({"a": [1, 2], "c": pd.Categorical(["u", "v"])})
    save_state({"frame": frame, "threshold": 0.5}, "state")

if __name__ == "__main__":
    train("churn")
""",
        "src/churn/serve.py": """
from .storage import load_model, load_state
from .train import train

print(load_model("churn").predict([[1]] * 2).tolist(), load_state("state")["frame"].c.tolist())
train("newer")
print(load_model("newer").predict([[1]]).tolist())
""",
    },
    make=("-m", "churn.train"),
    use=("-m", "churn.serve"),
    variables={"PYTHONPATH": "src"},
    sealed=("weights/churn.joblib", "weights/state.pkl"),
)

WORKERS = Kind(
    {
        "work/__init__.py": "",
        "work/jobs.py": """
import pickle
from dataclasses import dataclass
from multiprocessing import get_context
from joblib import Memory, Parallel, delayed

memory = Memory("results", verbose=0)

@dataclass
class Result:
    number: int

@memory.cache
def slow(number):
    print("computed", number)
    return {"result": Result(number)}

def one(number):
    return pickle.dumps(Result(number))

def pooled(numbers):
    with get_context("fork").Pool(2) as pool:
        return [pickle.loads(data) for data in pool.map(one, numbers)]

def parallel(numbers):
    return Parallel(n_jobs=2)(delayed(slow)(number) for number in numbers)
""",
        "make.py": "from work.jobs import slow\nslow(1), slow(2)\n",
        "use.py": """
from work.jobs import parallel, pooled, slow

if __name__ == "__main__":
    print(slow(1), slow(2), pooled([1, 2]), parallel([1, 2]))
""",
    },
)

CONTENTS = Kind(
    {
        "site_config.py": "from pathlib import Path\nMEDIA = Path(__file__).parent / 'media'\n",
        "scores/__init__.py": "",
        "scores/ml.py": """
import pickle
from dataclasses import dataclass
from importlib import import_module

settings = import_module("site_config")

@dataclass
class Weights:
    values: dict

def path(name):
    return settings.MEDIA / name

def save(value, name):
    settings.MEDIA.mkdir(exist_ok=True)
    path(name).write_bytes(pickle.dumps(value))

def load(name):
    return pickle.loads(path(name).read_bytes())
""",
        "make.py": "from scores.ml import Weights, save\nsave(Weights({'a': 3}), 'weights.pkl')\n",
        "use.py": """
from scores.ml import Weights, load, save

print(load("weights.pkl"))
save(Weights({"b": 4}), "second.pkl")
print(load("second.pkl"))
""",
    },
    sealed=("media/weights.pkl",),
)

KINDS = {"flat": FLAT, "package": PACKAGE, "workers": WORKERS, "contents": CONTENTS}


@pytest.fixture
def key() -> str:
    return generate_key()


def run(root: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    usual = {
        name: value for name, value in os.environ.items() if not name.startswith("SAFEHOLD_")
    } | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "default"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=root, env=usual | variables, check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.relative_to(root).parts[0] not in ("var", ".safehold")
    }


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_a_service_works_after_hardening_as_it_did_before(kind, key, tmp_path):
    root = tmp_path / "service"
    for name, text in kind.sources.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text.lstrip("\n"))
    made = run(root, *kind.make, **kind.variables)
    assert made.returncode == 0, made.stderr
    used = run(root, *kind.use, **kind.variables)
    assert used.returncode == 0, used.stderr
    before = files(root)
    command = ("-m", "safehold", "harden", str(root))

    looked = run(root, *command)
    assert (looked.returncode, looked.stderr) == (1, "")
    assert files(root) == before
    assert not (root / ".safehold").exists()

    hardened = run(root, *command, "--write", *kind.options, SAFEHOLD_SECRET_KEY=key)
    assert (hardened.returncode, hardened.stderr) == (0, ""), hardened.stdout
    for name in kind.sealed:
        assert (root / name).read_bytes().startswith(b"SFH1"), name

    written = files(root)
    again = run(root, *command, "--write", SAFEHOLD_SECRET_KEY=key)
    assert again.returncode == 0, again.stdout
    assert "nothing to change" in again.stdout
    assert files(root) == written

    after = run(
        root,
        *kind.use,
        **kind.variables,
        SAFEHOLD_SECRET_KEY=key,
        SAFEHOLD_POLICY=str(root / "safehold.toml"),
    )
    assert (after.returncode, after.stdout) == (0, used.stdout), after.stderr

    run(root, "-m", "safehold", "migrate", str(root), "--rollback")
    restored = files(root)
    assert {name: restored[name] for name in before} == before
