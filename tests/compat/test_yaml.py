"""The facade of PyYAML: no tag names a Python object, whichever loader is asked for."""

from __future__ import annotations

import io

import pytest

from safehold.errors import TypeNotAllowed

plain = pytest.importorskip("yaml")
from safehold.compat import yaml  # noqa: E402

pytestmark = pytest.mark.extras
LOADERS = [
    getattr(plain, name)
    for name in ("Loader", "FullLoader", "UnsafeLoader", "CLoader", "CFullLoader", "CUnsafeLoader")
    if hasattr(plain, name)
]


def hostile(marker) -> list[str]:
    return [
        f"!!python/object/apply:os.system ['touch {marker}']",
        f"a: [&x !!python/object/new:os.system ['touch {marker}']]",
        "!!python/name:os.system",
        "!!python/module:os",
        "!!python/object:collections.OrderedDict {}",
        f"!<tag:yaml.org,2002:python/object/apply:os.system> ['touch {marker}']",
        f"%TAG ! tag:yaml.org,2002:python/object/apply:\n---\n!os.system ['touch {marker}']",
        f"? !!python/object/apply:os.system ['touch {marker}']\n: 1",
    ]


@pytest.mark.parametrize("loader", LOADERS, ids=lambda loader: loader.__name__)
@pytest.mark.parametrize("number", range(8))
def test_a_tag_that_names_an_object_is_refused(loader, number, tmp_path):
    marker = tmp_path / "ran"
    text = hostile(marker)[number]
    with pytest.raises(TypeNotAllowed, match="names a Python object") as caught:
        yaml.load(text, loader)
    assert isinstance(caught.value, plain.YAMLError)
    assert "line" in str(caught.value)
    with pytest.raises(plain.YAMLError):
        list(yaml.load_all(f"--- 1\n{text if text.startswith('%') else '--- ' + text}", loader))
    assert not marker.exists()


@pytest.mark.parametrize("name", ["full_load", "unsafe_load", "full_load_all", "unsafe_load_all"])
def test_the_functions_without_a_loader_refuse_too(name, tmp_path):
    marker = tmp_path / "ran"
    for text in hostile(marker):
        with pytest.raises(TypeNotAllowed):
            list(getattr(yaml, name)(text))
    assert not marker.exists()


def test_data_is_what_it_was():
    text = "a: [1, 2.5, true, null, 2024-01-02]\nb: !!python/tuple [x, !!python/complex 1j]\n"
    for loader in LOADERS:
        assert yaml.load(text, loader) == plain.load(text, plain.FullLoader)
    assert yaml.load(io.StringIO(text)) == yaml.full_load(text) == yaml.unsafe_load(text)
    assert list(yaml.load_all("--- 1\n--- 2\n", plain.Loader)) == [1, 2]


def test_what_a_program_adds_to_its_loader_stays():
    class Own(plain.Loader):
        pass

    Own.add_constructor("!env", lambda loader, node: f"env:{loader.construct_scalar(node)}")
    Own.add_multi_constructor("!x/", lambda _, suffix, node: (suffix, node.value))
    assert yaml.load("[!env HOME, !x/y z]", Own) == ["env:HOME", ("y", "z")]
    made = lambda stream: Own(stream)  # noqa: E731, PLW0108  (a factory, as callers pass them)
    assert yaml.load("!env HOME", made) == "env:HOME"
    with pytest.raises(TypeNotAllowed):
        yaml.load("!!python/name:os.system", made)


def test_a_class_of_the_program_with_a_tag_of_its_own_stays():
    class Monster(plain.YAMLObject):
        yaml_tag = "!Monster"

    assert yaml.load("!Monster {hp: 3}", plain.Loader).hp == 3


def test_all_else_is_that_of_the_library():
    assert yaml.safe_load("a: 1") == {"a": 1}
    assert yaml.dump({"a": 1}) == "a: 1\n"
    assert yaml.SafeLoader is plain.SafeLoader
    assert yaml.YAMLError is plain.YAMLError
