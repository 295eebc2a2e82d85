from __future__ import annotations

import itertools

import pytest

from safehold import dangers
from safehold.allow import PRESETS, AllowList, _smallest, preset, smallest_list


@pytest.mark.parametrize(
    ("names", "allow"),
    [
        ([], ()),
        (["collections.OrderedDict", "builtins.set"], ()),
        (["numpy.ndarray", "numpy.dtype"], ("numpy",)),
        (["scipy.sparse._csr.csr_matrix", "numpy.ndarray"], ("scipy",)),
        (["pandas.core.frame.DataFrame", "numpy.ndarray"], ("pandas",)),
        (["pandas.core.frame.DataFrame", "sklearn.svm._classes.SVC"], ("pandas", "sklearn")),
        (["joblib.numpy_pickle.NumpyArrayWrapper"], ("joblib",)),
        (["shop.Order", "numpy.ndarray", "shop.models.Item.Kind"],
         ("numpy", "shop.Order", "shop.models.Item.Kind")),
    ],
)  # fmt: skip
def test_presets_cover_what_they_can_and_exact_names_the_rest(names, allow):
    assert smallest_list(names).allow == allow
    assert smallest_list(names).refused == {}


@pytest.mark.parametrize("presets", [PRESETS, PRESETS[::-1]])
def test_the_preset_that_permits_least_is_chosen(presets, monkeypatch):
    """Every preset that brings numpy covers its names."""
    monkeypatch.setattr(_smallest, "PRESETS", presets)
    assert smallest_list(["numpy.ndarray"]).allow == ("numpy",)
    assert smallest_list(["numpy.ndarray", "numpy.ma.core.MaskedArray"]).allow == ("numpy",)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_entry_can_be_left_out(count):
    some = {one: max(preset(one).classes).replace(":", ".") for one in PRESETS}
    for chosen in itertools.combinations(PRESETS, count):
        names = {some[one] for one in chosen} | {"shop.Order"}
        allow = smallest_list(names).allow
        assert all(map(AllowList.of(allow).permits_dotted, names))
        for entry in allow:
            fewer = AllowList.of(set(allow) - {entry})
            assert not all(map(fewer.permits_dotted, names)), (names, entry)


def test_nothing_dangerous_is_proposed():
    names = [row.name if "." in row.name else f"{row.name}.run" for row in dangers.rows()]
    permitted = AllowList.of(PRESETS)  # a few, with the arguments that real dumps give them
    names = [name for name in names if not permitted.permits_dotted(name)]
    found = smallest_list([*names, "numpy.ndarray"])
    assert found.allow == ("numpy",)
    assert set(found.refused) == set(names)
    assert len(found.refused) > 100
    assert all("cannot be allowed" in reason for reason in found.refused.values())


@pytest.mark.parametrize("name", ["*", "shop", "shop.f.<locals>.Own", "shop..Own", ""])
def test_what_is_no_exact_name_is_not_proposed(name):
    found = smallest_list([name])
    assert found.allow == ()
    assert set(found.refused) == {name}
