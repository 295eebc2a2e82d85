from __future__ import annotations

from typing import Annotated, Literal

import pytest

pytestmark = pytest.mark.extras

from fastapi import FastAPI, Form, Query
from flask import Flask
from pydantic import BaseModel, ConfigDict, Field, field_validator

from safehold import inputs
from safehold.inputs import InputRefused
from safehold.inputs import django as for_django
from safehold.inputs import fastapi as for_fastapi
from safehold.inputs import flask as for_flask
from safehold.inputs.parsing import as_json
from tests.holding import world_of
from tests.inputs.asking import Client
from tests.web import django_project

django_project.configure(None, "")

from django import forms
from django.core.exceptions import ValidationError
from django.db.migrations.writer import MigrationWriter
from django.test import RequestFactory


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: inputs.PlainText[50]
    file: inputs.Filename = "a.txt"
    amount: int = 1
    tags: list[inputs.PlainText[10]] = []


GOOD = {"name": "O'Brien", "file": "é.txt", "amount": 3, "tags": ["x"]}
EVIL = "<script>alert(1)</script>\x00"


@pytest.fixture
def world(tmp_path):
    yield from world_of(tmp_path)


def test_does_nothing_to_what_is_expected(world):
    order = inputs.parse(Order, GOOD, hold=world.hold)
    assert order.model_dump() == GOOD
    assert inputs.parse(inputs.PlainText[5], "abc") == "abc"
    assert inputs.parse_body(Order, b'{"name": "a"}').name == "a"
    assert world.events.refused == []


def test_a_refusal_says_where_and_what_and_shows_nothing_of_the_input(world):
    data = {"name": EVIL, "amount": EVIL, EVIL: EVIL, "tags": [EVIL]}
    with pytest.raises(InputRefused) as caught:
        inputs.parse(Order, data, hold=world.hold)
    places = {place for place, _ in caught.value.fields}
    assert places == {"name", "amount", "?", "tags.0"}
    (event,) = world.events.refused
    assert event.rule == caught.value.rule == "SH551"
    for shown in (
        str(caught.value),
        str(caught.value.fields),
        str(as_json(caught.value)),
        str(event),
    ):
        assert "script" not in shown


def test_messages_that_quote_are_not_shown():
    class Cat(BaseModel):
        kind: Literal["cat"]

    class Dog(BaseModel):
        kind: Literal["<dog>"]

    class Owner(BaseModel):
        pet: Annotated[Cat | Dog, Field(discriminator="kind")]
        word: str = ""

        @field_validator("word")
        @classmethod
        def check(cls, value):
            message = f"bad {value}"
            raise ValueError(message)

    for data in ({"pet": {"kind": EVIL}}, {"pet": {"kind": "cat"}, "word": EVIL}):
        with pytest.raises(InputRefused) as caught:
            inputs.parse(Owner, data)
        assert "script" not in str(caught.value.fields)

    class Plain(BaseModel):
        dog: Dog

    with pytest.raises(InputRefused) as caught:
        inputs.parse(Plain, {"dog": {"kind": "x"}})
    assert "&lt;dog&gt;" in caught.value.fields[0][1]


def test_a_name_that_comes_twice_is_no_single_value():
    pairs = [("name", "a"), ("tags", "x")]
    assert inputs.parse_form(Order, pairs).tags == ["x"]
    assert inputs.parse_form(Order, [*pairs, ("tags", "y")]).tags == ["x", "y"]
    with pytest.raises(InputRefused) as caught:
        inputs.parse_form(Order, [*pairs, ("name", "b")])
    assert caught.value.fields[0][0] == "name"


def test_json_that_is_refused_is_an_event(world):
    with pytest.raises(InputRefused):
        inputs.parse_body(Order, b'{"name": "a", "name": "b"}', hold=world.hold)
    assert [event.rule for event in world.events.refused] == ["SH556"]


@pytest.fixture
def flask_client(world):
    app = Flask(__name__)
    for_flask.install(app, world.hold)

    @app.post("/")
    def make():
        return for_flask.body(Order, size=1000).model_dump()

    @app.get("/")
    def search():
        return for_flask.query(Order).model_dump()

    return app.test_client()


def test_flask(flask_client, world):
    assert flask_client.post("/", json=GOOD).json == GOOD
    assert flask_client.post("/", data=GOOD).json == GOOD
    assert flask_client.get("/?name=O'Brien&tags=x&tags=y").json["tags"] == ["x", "y"]
    for answer in (
        flask_client.post("/", json={**GOOD, "name": EVIL}),
        flask_client.post("/", data={**GOOD, "name": EVIL}),
        flask_client.post("/", json={**GOOD, EVIL: 1}),
        flask_client.get("/", query_string={"name": EVIL}),
        flask_client.post("/", data=b"[" * 100, content_type="application/json"),
        flask_client.post("/", data=b" " * 1001, content_type="application/json"),
        flask_client.post("/", data=b"x", content_type="text/plain"),
        flask_client.post("/", data={**GOOD, "name": "x" * 1000}),
    ):
        assert answer.status_code == 422
        assert answer.json["detail"]
        assert "script" not in answer.text
    assert len(world.events.refused) == 5


def test_fastapi_and_its_schema(world):
    app = FastAPI()
    for_fastapi.install(app, world.hold)

    @app.post("/")
    def make(order: Order) -> Order:
        return order

    @app.get("/")
    def search(name: inputs.PlainText[20], url: inputs.URL = "https://example.com/") -> str:
        return name

    @app.post("/form")
    def form(
        name: Annotated[inputs.Identifier, Form()], path: Annotated[inputs.RelativePath, Query()]
    ) -> str:
        return name

    @app.get("/refuse")
    def no() -> str:
        raise InputRefused("a <b> is refused")

    client = Client(app)
    assert client.post("/", json=GOOD).json() == GOOD
    assert client.get("/", params={"name": "O'Brien"}).json() == "O'Brien"
    assert client.post("/form?path=a/b", data={"name": "x"}).json() == "x"
    for answer in (
        client.post("/", json={**GOOD, "name": EVIL}),
        client.post("/", json={**GOOD, EVIL: EVIL}),
        client.get("/", params={"name": EVIL}),
        client.get("/", params={"name": "a", "url": "http://127.0.0.1/"}),
        client.post("/form?path=../x", data={"name": "x"}),
    ):
        assert answer.status_code == 422
        assert "script" not in answer.text
        assert "127.0.0.1" not in answer.text
    assert client.get("/refuse").json() == {
        "detail": [{"loc": "", "msg": "a &lt;b&gt; is refused"}]
    }
    assert len(world.events.refused) == 5

    schema = client.get("/openapi.json").json()
    order = schema["components"]["schemas"]["Order"]["properties"]
    assert (order["name"]["type"], order["name"]["maxLength"]) == ("string", 50)
    assert order["name"]["pattern"].startswith("^[^\\u0000-\\u001f")
    assert (order["file"]["maxLength"], order["file"]["minLength"]) == (255, 1)
    name, url = (row["schema"] for row in schema["paths"]["/"]["get"]["parameters"])
    assert (name["maxLength"], url["format"], url["maxLength"]) == (20, "uri", 2048)
    (path,) = schema["paths"]["/form"]["post"]["parameters"]
    assert (path["schema"]["maxLength"], path["in"]) == (4095, "query")


def test_django_bodies(world):
    made = RequestFactory()
    posted = [
        made.post("/", GOOD, content_type="application/json"),
        made.post("/", {**GOOD, "tags": ["x"]}),
    ]
    for request in posted:
        assert for_django.body(request, Order).model_dump() == GOOD
    assert for_django.query(made.get("/?name=a&tags=x&tags=y"), Order).tags == ["x", "y"]
    for request in (
        made.post("/", {"name": EVIL}, content_type="application/json"),
        made.post("/", {"name": EVIL}),
        made.post("/", "[" * 100, content_type="application/json"),
        made.post("/", "x", content_type="text/plain"),
        made.post("/", {"name": "x" * 2**20}),
    ):
        with pytest.raises(InputRefused) as caught:
            for_django.body(request, Order, hold=world.hold)
        assert "script" not in str(as_json(caught.value))
    assert len(world.events.refused) == 3


def test_django_fields_and_validators():
    class Upload(forms.Form):
        name = for_django.field(inputs.PlainText[20])
        file = for_django.field(inputs.Filename, required=False, label="File")

    assert Upload({"name": "O'Brien"}).is_valid()
    form = Upload({"name": "a", "file": "e\u0301.txt"})
    assert form.is_valid()
    assert form.cleaned_data["file"] == "é.txt"
    form = Upload({"name": "a\u202eb", "file": "<b>/x"})
    assert not form.is_valid()
    assert "one line of text" in str(form.errors["name"])
    assert "<b>" not in str(form.errors)
    assert not Upload({}).is_valid()

    check = for_django.Typed("PlainText", 5)
    check("O'B")
    with pytest.raises(ValidationError) as caught:
        check("too long")
    assert caught.value.code == "input_refused"
    for_django.Typed("Filename")("a.txt")
    written, imports = MigrationWriter.serialize(check)
    assert written == "safehold.inputs.django.Typed('PlainText', 5)"
    assert imports == {"import safehold.inputs.django"}
    assert check == for_django.Typed("PlainText", 5) != for_django.Typed("PlainText", 6)
    assert len({check, for_django.Typed("PlainText", 5)}) == 1
