"""Files of joblib, NumPy and torch before and after `safehold migrate --data`."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytestmark = pytest.mark.extras

import joblib  # noqa: E402
import numpy as np  # noqa: E402

from safehold._cli import main  # noqa: E402
from safehold.keys import generate_key  # noqa: E402
from tests.cli.test_migrate_data import snapshot  # noqa: E402

POLICY = """\
version = 1
[[zone]]
name = "models"
paths = ["models/**"]
trust = "internal"
codecs = ["pickle", "joblib", "msgpack", "npy", "npz"]
allow = ["sklearn", "numpy", "torch"]
[[zone]]
name = "data"
paths = ["data/**"]
codecs = ["msgpack"]
"""
# Each reads one file and prints what equal values print alike; as before, then as after.
READS = {
    "models/m.joblib": "import joblib\nprint(joblib.load('models/m.joblib').predict([[3.0]]))",
    "models/z.joblib": "import joblib\nprint(joblib.load('models/z.joblib')['w'].sum())",
    "models/x.joblib.xz": "import joblib\nprint(joblib.load('models/x.joblib.xz'))",
    "models/o.npy": "import numpy\nprint(numpy.load('models/o.npy', allow_pickle=True).tolist())",
    "models/o.npz": "import numpy\nfound = numpy.load('models/o.npz', allow_pickle=True)\n"
    "print(found['a'].tolist(), found['b'].tolist())",
    "data/n.npy": "import numpy\nprint(numpy.load('data/n.npy', allow_pickle=True).tolist())",
    "data/v.joblib": "import joblib\nprint(joblib.load('data/v.joblib')['v'].tolist())",
}
TORCH = "import torch\nprint(torch.load('models/t.pt')['layer'].tolist())"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAFEHOLD_SECRET_KEY", generate_key())
    root = tmp_path / "service"
    for name in ("app", "models", "data"):
        (root / name).mkdir(parents=True)
    (root / "safehold.toml").write_text(POLICY)
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit([[1.0], [2.0]], [2.0, 4.0])
    joblib.dump(model, root / "models/m.joblib")
    joblib.dump({"w": np.arange(5000.0)}, root / "models/z.joblib", compress=3)
    joblib.dump([1, "two"], root / "models/x.joblib.xz", compress=("xz", 3))
    objects = np.array([{"a": 1}, None, "text"], dtype=object)
    np.save(root / "models/o.npy", objects)
    np.savez(root / "models/o.npz", a=objects, b=np.arange(3))
    np.save(root / "data/n.npy", np.arange(4.0))
    joblib.dump({"v": np.arange(3)}, root / "data/v.joblib")
    return root


RUN = """
import contextlib, io, json, runpy, sys
printed = {}
for name in sys.argv[1:]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        runpy.run_path(name)
    printed[name] = out.getvalue()
print(json.dumps(printed))
"""


def service(root: Path, reads: dict[str, str], stem: str = "read", *, code: int = 0) -> list[str]:
    """Write one module for each file, run them, and return what each prints, or the error."""
    names = [f"app/{stem}_{number}.py" for number in range(len(reads))]
    for name, text in zip(names, reads.values(), strict=True):
        if not (root / name).exists():
            (root / name).write_text(text + "\n")
    environment = os.environ | {"SAFEHOLD_POLICY": str(root / "safehold.toml")}
    done = subprocess.run(
        [sys.executable, "-B", "-c", RUN, *names],
        cwd=root, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr[-2000:]
    if code:
        return [done.stderr]
    return list(json.loads(done.stdout).values())


def check_round(root: Path, reads: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    before = service(root, reads)
    contents = {name: (root / name).read_bytes() for name in reads}
    whole = snapshot(root)
    places = ["--data", str(root / "models"), str(root / "data")]

    assert main(["migrate", str(root), *places, "--write", "--format", "json"]) == 0

    told = {file["path"]: file for file in json.loads(capsys.readouterr().out)["data"]}
    assert set(told) == set(reads)
    for name, data in contents.items():
        assert told[name]["outcome"] in ("sealed", "converted"), told[name]
        assert (root / f"{name}.unsealed").read_bytes() == data
        assert (root / name).read_bytes() != data
    assert service(root, reads) == before
    assert main(["migrate", str(root), "--rollback"]) == 0
    assert snapshot(root) == whole
    assert main(["migrate", str(root), *places, "--write"]) == 0
    assert main(["migrate", str(root), "--finalize"]) == 0
    assert not list(root.rglob("*.unsealed"))
    assert service(root, reads) == before


def test_files_of_joblib_and_numpy(tree, capsys):
    check_round(tree, READS, capsys)


def test_files_of_torch(tree, capsys):
    torch = pytest.importorskip("torch")
    for name in READS:
        (tree / name).unlink()
    torch.save({"layer": torch.arange(6.0)}, tree / "models/t.pt")
    check_round(tree, {"models/t.pt": TORCH}, capsys)


def test_listed_files(tree, capsys):
    torch = pytest.importorskip("torch")
    torch.save({"layer": torch.arange(6.0)}, tree / "models/t.pt")
    reads = {**READS, "models/t.pt": TORCH}
    del reads["models/o.npz"]  # which has no listed form
    (tree / "models/o.npz").unlink()
    before = service(tree, reads)
    contents = {name: (tree / name).read_bytes() for name in reads}
    day = (datetime.now(UTC).date() + timedelta(days=1)).isoformat()
    places = ["--data", str(tree / "models"), str(tree / "data")]

    assert main(["migrate", str(tree), *places, "--unsealed-until", day, "--write"]) == 0

    assert {name: (tree / name).read_bytes() for name in reads} == contents
    assert service(tree, reads) == before
    guarded = (
        "import safehold\nsafehold.guard.install(safehold.Context.load('safehold.toml'))\n"
        "import joblib\nprint(joblib.load('models/m.joblib').predict([[3.0]]))"
    )
    assert service(tree, {"models/m.joblib": guarded}, "guarded") == [before[0]]
    for name in reads:
        (tree / name).write_bytes(contents["models/x.joblib.xz" if "x." not in name else name])
    assert "is another file" in service(tree, {"": guarded}, "again", code=1)[0]


def planted(marker: Path) -> bytes:
    """Make an array of objects whose pickle calls `posix.system`."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        out, {"descr": "|O", "fortran_order": False, "shape": (1,)}
    )
    return out.getvalue() + f"cposix\nsystem\n(S'touch {marker}'\ntR.".encode()


def test_planted_arrays_and_joblib_files_are_left(tree, tmp_path, capsys):
    import zipfile

    marker = tmp_path / "ran"
    evil = planted(marker)
    (tree / "models/o.npy").write_bytes(evil)
    with zipfile.ZipFile(tree / "models/o.npz", "w") as archive:
        archive.writestr("a.npy", evil)
    (tree / "models/m.joblib").write_bytes(f"cposix\nsystem\n(S'touch {marker}'\ntR.".encode())
    (tree / "app/read.py").write_text("\n".join(READS.values()))

    assert main(["migrate", str(tree), "--data", str(tree / "models"), "--write"]) == 1

    out = capsys.readouterr().out
    assert not marker.exists()
    for name in ("o.npy", "o.npz", "m.joblib"):
        assert f"left models/{name}: malicious" in out
        assert not (tree / f"models/{name}.unsealed").exists()


def test_an_archive_that_names_what_the_zone_lacks_is_left(tree, capsys):
    (tree / "safehold.toml").write_text(POLICY.replace('"sklearn", ', "").replace(', "torch"', ""))
    from sklearn.linear_model import LinearRegression

    np.savez(tree / "models/o.npz", a=np.array([LinearRegression(), None], dtype=object))
    (tree / "app/read.py").write_text(READS["models/o.npz"])
    main(["migrate", str(tree), "--data", str(tree / "models"), "--format", "json"])
    told = {file["path"]: file for file in json.loads(capsys.readouterr().out)["data"]}
    assert told["models/o.npz"]["outcome"] == "leave"
    assert told["models/m.joblib"]["outcome"] == "leave"
