from __future__ import annotations

import pytest

from safehold.policy import Policy, Zone, default_policy
from safehold.source import audit_source


def shown(audit) -> list[tuple[str, str, str]]:
    return [(item.pattern, item.kind, item.via) for item in audit.artifacts]


@pytest.mark.parametrize(
    ("expression", "pattern"),
    [
        ("'models/a.joblib'", "models/a.joblib"),
        ("'./models//a.joblib'", "models/a.joblib"),
        ("Path('models') / 'a.joblib'", "models/a.joblib"),
        ("pathlib.Path('models', 'sub') / name", "models/sub/*"),
        ("os.path.join('models', name + '.joblib')", "models/*"),
        ("os.path.join(MODELS, f'{name}-v{n}.joblib')", "models/*-v*.joblib"),
        ("f'models/{name}.joblib'", "models/*.joblib"),
        ("f'{MODELS}/a.joblib'", "models/a.joblib"),
        ("'models/%s.joblib' % name", "models/*.joblib"),
        ("'models/{}.joblib'.format(name)", "models/*.joblib"),
        ("'models/' + name", "models/*"),
        ("str(DIRECTORY / 'a.joblib')", "models/deep/a.joblib"),
        ("(DIRECTORY / 'a').with_suffix('.joblib')", "models/deep/a.joblib"),
        ("DIRECTORY.parent.joinpath('a', name)", "models/a/*"),
        ("Path(__file__).parent / 'a.joblib'", "app/a.joblib"),
        ("Path(__file__).resolve().parents[1] / 'models/a.joblib'", "models/a.joblib"),
        ("os.path.join(os.path.dirname(__file__), '..', 'models', 'a')", "models/a"),
        ("os.environ.get('MODEL', 'models/a.joblib')", "models/a.joblib"),
        ("os.getenv('MODEL', 'models/a.joblib')", "models/a.joblib"),
        ("path or 'models/a.joblib'", "models/a.joblib"),
        ("'/var/lib/a.joblib'", "/var/lib/a.joblib"),
        ("'../shared/a.joblib'", "../shared/a.joblib"),
        ("b'models/a.joblib'", "models/a.joblib"),
    ],
)
def test_a_path_that_the_source_shows(expression, pattern, look):
    audit = look(
        "import joblib, os, pathlib\nfrom pathlib import Path\nMODELS = 'models'\n"
        f"DIRECTORY = Path(MODELS) / 'deep'\ndef f(name, n, path):\n    joblib.load({expression})\n"
    )
    assert shown(audit) == [(pattern, "read", "path")]


@pytest.mark.parametrize(
    "expression",
    [
        "name",
        "f'{name}/a.joblib'",
        "name + '/a'",
        "os.path.join(name, 'a')",
        "unknown() / 'a'",
        "', '.join(['a'])",
        "BOTH",
        "io.BytesIO(b'')",
        "path.unknown()",
        "*paths",
        "a[0]",
    ],
)
def test_a_path_that_the_source_does_not_show(expression, look):
    audit = look(
        "import joblib, os, io\nBOTH = 'a'\nBOTH = 'b'\n"
        f"def f(name, path, paths, a):\n    joblib.load({expression})\n"
    )
    assert shown(audit) == []
    assert len(audit.findings) == 1


@pytest.mark.parametrize(
    ("body", "via"),
    [
        ("with open('data/a.pkl', 'rb') as file:\n    pickle.load(file)\n", "handle"),
        ("with gzip.open('data/a.pkl') as file:\n    pickle.load(file)\n", "handle"),
        ("with Path('data', 'a.pkl').open('rb') as file:\n    pickle.load(file)\n", "handle"),
        ("pickle.load(open('data/a.pkl', 'rb'))\n", "handle"),
        ("file = open(file='data/a.pkl', mode='rb')\npickle.load(file=file)\n", "handle"),
        ("PATH = 'data/a.pkl'\nwith open(PATH, 'rb') as f, g:\n    pickle.load(f)\n", "handle"),
        ("pickle.loads(open('data/a.pkl', 'rb').read())\n", "bytes"),
        ("pickle.loads(Path('data/a.pkl').read_bytes())\n", "bytes"),
        ("raw = Path('data/a.pkl').read_bytes()\npickle.loads(raw)\n", "bytes"),
        ("pickle.Unpickler(open('data/a.pkl', 'rb')).load()\n", "handle"),
    ],
)
def test_a_path_behind_a_handle_or_bytes(body, via, look):
    audit = look("import pickle, gzip\nfrom pathlib import Path\n" + body)
    assert shown(audit) == [("data/a.pkl", "read", via)]


def test_the_nearest_handle_of_the_same_name_counts(look):
    audit = look(
        "import pickle\ndef f():\n    with open('data/a', 'rb') as h:\n        a = pickle.load(h)\n"
        "    with open('data/b', 'rb') as h:\n        b = pickle.load(h)\n"
    )
    assert [item.pattern for item in audit.artifacts] == ["data/a", "data/b"]


def test_paths_kept_on_self_and_found_by_glob(look):
    audit = look(
        "import joblib\nfrom pathlib import Path\nclass R:\n    kind = 'x'\n"
        "    def __init__(self, base='models'):\n        self.base = Path(base)\n"
        "    def save(self, m, name):\n        joblib.dump(m, self.base / self.kind / name)\n"
        "    def all(self):\n        return [joblib.load(p) for p in self.base.glob('*.joblib')]\n"
    )
    assert shown(audit) == [("models/x/*", "write", "path"), ("models/*.joblib", "read", "path")]
    assert not any(item.is_sure for item in audit.artifacts)  # a caller can give another base
    assert all(item.is_model and item.codec == "joblib" for item in audit.artifacts)


def test_written_bytes_and_cache_directories(look):
    audit = look(
        "import pickle, joblib\nfrom pathlib import Path\n"
        "Path('data/x').write_bytes(pickle.dumps(1))\njoblib.Memory('cache/memo')\n"
    )
    assert shown(audit) == [("data/x", "write", "bytes"), ("cache/memo/**", "read", "path")]


def test_an_absolute_path_below_the_root_is_relative(tmp_path):
    data = f"import joblib\njoblib.load('{tmp_path}/models/a')\n".encode()
    audit = audit_source(data, "m.py", default_policy(tmp_path))
    assert [item.pattern for item in audit.artifacts] == ["models/a"]


PLAIN = [
    "{'a': 1, 'b': [1.5, None, 'x'], 'c': (True, b'')}",
    "[str(x) for x in y]",
    "sorted({1, 2})",
    "f'{x}'",
    "-1",
]


@pytest.mark.parametrize("value", [value for value in PLAIN if "for" not in value])
def test_plain_data_in_an_external_zone_gets_the_data_facade(value, look):
    audit = look(
        "import pickle\nwith open('data/a.pkl', 'wb') as f:\n"
        f"    pickle.dump({value}, f, protocol=pickle.HIGHEST_PROTOCOL)\n"
        "with open('data/a.pkl', 'rb') as f:\n    x = pickle.load(f)\n"
    )
    assert audit.after is not None
    assert b"import safehold.compat.data as pickle\n" in audit.after
    assert audit.diagnostics == ()


@pytest.mark.parametrize(
    "body",
    [
        "pickle.dump(x, open('data/a', 'wb'))",  # not shown to be plain
        "pickle.dump({'a': x}, open('data/a', 'wb'))",
        "pickle.dump({'a': 1}, open('models/a', 'wb'))",  # internal zone
        "pickle.dump({'a': 1}, open(x, 'wb'))",  # unknown place
        "pickle.dump({'a': 1}, file)",
        "pickle.load(open('data/a', 'rb'))",  # who wrote it?
        "pickle.dump({'a': 1}, open(f'data/{x}.pkl', 'wb'))",  # any of several files
        "pickle.dump(1, open('data/a', 'wb')); pickle.load(open('data/b', 'rb'))",
        "pickle.dump(1, open('data/a', 'wb')); pickle.dumps(1)",
        "pickle.dump(1, open('data/a', 'wb')); call(pickle.dump)",
        "pickle.dump(1, open('data/a', 'wb')); pickle.Unpickler(x)",
        "d = {}; d['k'] = x; pickle.dump(d, open('data/a', 'wb'))",
        "d = []; d.append(x); pickle.dump(d, open('data/a', 'wb'))",
        "d = RandomForestClassifier(); pickle.dump(d, open('data/a', 'wb'))",
    ],
)
def test_everything_else_gets_the_general_facade(body, look):
    audit = look(f"import pickle\ndef f(x, file):\n    {body}\n")
    assert audit.after is not None
    assert b"import safehold.compat.pickle as pickle\n" in audit.after


def test_a_default_that_a_caller_can_replace_is_not_sure_enough_for_the_data_facade(look):
    audit = look(
        "import pickle\ndef f(path='data/a'):\n"
        "    with open(path, 'wb') as h:\n        pickle.dump({'a': 1}, h)\n"
    )
    assert b"compat.pickle" in audit.after


@pytest.mark.parametrize(
    "write",
    [
        "pickle.dump(model, open('data/x.pkl', 'wb'))",
        "pickle.dump(RandomForestClassifier().fit(a, b), open('data/x.pkl', 'wb'))",
        "thing = make_pipeline(a); pickle.dump(thing, open('data/x.pkl', 'wb'))",
        "thing = a(); thing.fit(b); pickle.dump({'t': thing}, open('data/x.pkl', 'wb'))",
        "pickle.dump(a, open('data/best_model.pkl', 'wb'))",
        "joblib.dump(a, 'data/a.bin')",
    ],
)
def test_a_model_written_to_an_external_zone_is_signed_and_said(write, look):
    audit = look(f"import pickle, joblib\ndef f(a, b, model):\n    {write}\n")
    assert b"compat.data" not in audit.after
    (note,) = [item for item in audit.diagnostics if "external zone 'data'" in item.message]
    assert "signed" in note.message
    assert not note.is_open
    assert audit.is_settled
    assert all(item.is_model for item in audit.artifacts)


def test_a_model_in_an_internal_zone_needs_no_note(look):
    audit = look("import joblib\ndef f(model):\n    joblib.dump(model, 'models/a.joblib')\n")
    assert audit.diagnostics == ()


def test_the_policy_decides_which_zone_a_path_is_in(tmp_path):
    zone = Zone(name="store", paths=("store/**",), trust="internal", codecs=("pickle",))
    data = b"import pickle\npickle.dump({'a': 1}, open('store/a', 'wb'))\n"
    inside = audit_source(data, "m.py", Policy(root=tmp_path, zones=(zone,)))
    outside = audit_source(data, "m.py", Policy(root=tmp_path))
    assert b"compat.pickle" in inside.after
    assert b"compat.data" in outside.after
    assert inside.findings[0].detail["zone"] == "store"
