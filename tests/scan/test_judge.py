"""What a name may do: by allow list, by role, by arguments, and for classes of one's own."""

from __future__ import annotations

import copyreg
import pickle

import pytest

from safehold import dangers
from safehold.allow import PRESETS, AllowList, preset
from safehold.scan import scan_bytes
from tests.bypasses.payloads import Raw, call, named, stream, value

OWN = frozenset({"app.models.Model", "app.models.Outer.Inner"})


def verdict(data, **options):
    return scan_bytes(data, "a.pkl", **options).verdict


def new(module, name, args=b")"):
    return Raw(named(module, name).opcodes + args + b"\x81")


def built(made, state=b"}"):
    return Raw(made.opcodes + state + b"b")


MODEL = named("app.models", "Model")


@pytest.mark.parametrize(
    "data",
    [
        stream(new("app.models", "Model")),
        stream(built(new("app.models", "Model"))),
        stream(built(new("app.models", "Model", b"K\x01\x85"))),
        stream(built(new("app.models", "Outer.Inner"))),
        stream(call(MODEL)),
        stream(call(named("copyreg", "_reconstructor"), MODEL, named("builtins", "object"), None)),
        stream(
            call(named("copy_reg", "_reconstructor"), MODEL, named("__builtin__", "object"), None),
            protocol=2,
        ),
        stream(call(named("copyreg", "__newobj__"), MODEL)),
        stream(Raw(b"(iapp.models\nModel\n}b"), protocol=None),
        stream(MODEL),
    ],
)
def test_own_class_may_be_instantiated_and_given_state(data):
    assert verdict(data) == "suspicious"
    assert verdict(data, own=OWN) == "clean"
    assert verdict(data, allow=AllowList.of({"builtins", *OWN})) == "clean"


@pytest.mark.parametrize(
    "data",
    [
        stream(call(MODEL, "argument")),
        stream(Raw(b"(" + value("argument") + b"iapp.models\nModel\n"), protocol=None),
        stream(Raw(b"(" + MODEL.opcodes + value("argument") + b"o")),
        stream(call(named("copyreg", "_reconstructor"), MODEL, MODEL, None)),
    ],
)
def test_own_class_may_not_be_called_with_arguments(data):
    assert verdict(data, own=OWN) == "suspicious"
    assert verdict(data, allow=AllowList.of({"builtins", *OWN})) == "suspicious"


def test_own_never_makes_a_danger_known():
    assert verdict(stream(named("os", "system")), own=frozenset({"os.system"})) == "malicious"


def test_other_names_of_the_same_module_stay_unknown():
    assert verdict(stream(named("app.models", "run")), own=OWN) == "suspicious"


@pytest.mark.parametrize(
    "state", [b"N}" + value("x") + b"K\x01s\x86", b"}" + value("x") + b"K\x01s"]
)
def test_state_on_a_class_is_an_attack(state):
    """The second half of a two-part state is set by setattr, also on a class or module."""
    assert verdict(stream(Raw(MODEL.opcodes + state + b"b")), own=OWN) == "malicious"


def test_dunder_in_the_slots_of_an_instance_is_an_attack():
    state = b"N}" + value("__class__") + MODEL.opcodes + b"s\x86"
    assert verdict(stream(built(new("app.models", "Model"), state)), own=OWN) == "malicious"
    harmless = b"N}" + value("slot") + b"K\x01s\x86"
    assert verdict(stream(built(new("app.models", "Model"), harmless)), own=OWN) == "clean"


@pytest.mark.parametrize("items", [b"K\x01a", b"(K\x01e", value("k") + b"K\x01s", b"(K\x01\x90"])
def test_items_put_into_a_global_are_an_attack(items):
    assert verdict(stream(Raw(MODEL.opcodes + items)), own=OWN) == "malicious"


def test_call_of_something_made_is_an_attack():
    assert verdict(stream(call(new("app.models", "Model"))), own=OWN) == "malicious"


GETATTR = named("builtins", "getattr")


def test_getattr_may_fetch_listed_members_only():
    """Old protocols spell nested classes that way."""
    listed = next(name for name in sorted(preset("builtins").classes) if ":" in name)
    assert listed
    assert verdict(stream(call(GETATTR, named("collections", "OrderedDict"), "x"))) == "malicious"
    assert verdict(stream(call(GETATTR, "text", "join"))) == "malicious"


@pytest.mark.parametrize(
    "holder",
    [
        b"](%se",
        b"}" + value("k") + b"%ss",
        b"%s\x85",
        b"(%st",
        b"(%s\x91",
        b"]%sa",
        MODEL.opcodes + b")\x81%sb",
        b"(" + value("k") + b"%sd",
    ],
)
def test_getattr_may_not_be_kept(holder):
    data = stream(Raw(holder.replace(b"%s", GETATTR.opcodes)))
    assert verdict(data, own=OWN) == "malicious"
    harmless = stream(Raw(holder.replace(b"%s", b"N")))
    assert verdict(harmless, own=OWN) == "clean"


def test_presets_and_dangers_meet_only_where_arguments_are_checked():
    both = set()
    for name in PRESETS:
        one = preset(name)
        for dotted in one.classes | one.functions:
            module, qualname = dotted.split(":")
            if dangers.lookup(module, qualname) is not None:
                both.add(dotted)
                assert not AllowList.of(PRESETS).arguments_ok(module, qualname, ("x",))
    assert both <= {"builtins:getattr", "functools:partial"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (stream(call(named("_codecs", "encode"), "x", "latin1")), "clean"),
        (stream(call(named("_codecs", "encode"), "x", "rot13")), "suspicious"),
        (stream(call(named("builtins", "bytearray"), b"x")), "clean"),
        (stream(call(named("builtins", "bytearray"), 10**11)), "suspicious"),
    ],
)
def test_arguments_decide(data, expected):
    assert verdict(data) == expected


def test_unfolding_a_range_is_a_bomb():
    data = stream(call(named("builtins", "set"), call(named("builtins", "range"), 10**12)))
    assert "SH105" in {finding.rule.id for finding in scan_bytes(data, "a.pkl").findings}


def test_names_that_are_reported_are_bounded_and_printable():
    data = stream(Raw(value("m\x1b[31m" * 100) + value("n\n") + b"\x93"))
    [finding] = scan_bytes(data, "a.pkl").findings
    assert finding.message.isprintable()
    assert len(finding.message) < 300


def test_findings_of_one_kind_are_bounded():
    data = b"".join(named("m", f"n{number}").opcodes + b"0" for number in range(3000)) + b"N."
    assert 100 <= len(scan_bytes(data, "a.pkl").findings) <= 300


def test_each_name_is_found_once():
    data = stream(*[named("m", "n")] * 50)
    assert len(scan_bytes(data, "a.pkl").findings) == 1


def test_globals_have_roles_and_plain_says_that_there_are_none():
    report = scan_bytes(stream(call(named("collections", "OrderedDict"))), "a.pkl")
    assert {(use.name, use.role) for use in report.globals} == {
        ("collections.OrderedDict", "named"),
        ("collections.OrderedDict", "called"),
    }
    assert not report.plain
    plain = {"a": [1, 2.5, None, "x", b"y", (1,), {2}, frozenset([3]), bytearray(b"z"), 1j]}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        report = scan_bytes(pickle.dumps(plain, protocol), "a.pkl")
        assert (report.verdict, report.plain) == ("clean", True), report


def test_reconstructor_is_what_copyreg_calls():
    assert copyreg._reconstructor.__module__ == "copyreg"


def test_a_member_reached_by_getattr_is_judged_by_its_own_name():
    zone = call(
        call(named("builtins", "getattr"), named("zoneinfo", "ZoneInfo"), "_unpickle"), "UTC", True
    )
    assert verdict(stream(zone)) == "clean"
    system = call(call(named("builtins", "getattr"), named("random", "_os"), "system"), "true")
    report = scan_bytes(stream(system), "a.pkl")
    assert report.verdict == "malicious"
    assert any("names random._os.system, which" in found.message for found in report.findings)
    other = call(call(named("builtins", "getattr"), named("zoneinfo", "ZoneInfo"), "clear_cache"))
    assert verdict(stream(other)) == "malicious"
