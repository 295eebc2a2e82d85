from __future__ import annotations

import json

import pytest

from safehold.scan import scan_bytes, scan_path

HARMLESS = {
    "chatml": (
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
        "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "checks": (
        "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != "
        "(loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate user/assistant') }}"
        "{% endif %}{{ '[INST] ' + message['content'].strip() + ' [/INST]' }}{% endfor %}"
    ),
    "tools": (
        "{%- if tools %}{{- '<tools>' }}{%- for tool in tools %}{{- tool | tojson(indent=4) }}"
        '{%- endfor %}{{- "</tools>\\n\\nReturn {\\"name\\": <function-name>}" }}{%- endif %}'
        "{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}"
        "{%- for message in messages[::-1] %}"
        "{%- set index = (messages|length - 1) - loop.index0 %}"
        '{%- if ns.multi_step_tool and message.role == "user" and message.content is string %}'
        "{%- set ns.multi_step_tool = false %}{%- endif %}{%- endfor %}"
    ),
    "reasoning": (
        "{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}"
        "{% endif %}{% set t = content.split('</think>')[0].rstrip('\\n').lstrip('\\n') %}"
        "{{- messages[loop.index0 - 1]['content'] }}{{ '_' ~ t ~ '_' }}"
    ),
    "dates": (
        "{%- if strftime_now is defined %}{%- set d = strftime_now('%d %b %Y') %}{%- endif %}"
        "{%- set names = tools | map(attribute='name') | join(', ') %}"
        "{%- set users = messages | selectattr('role', 'equalto', 'user') | list %}"
        "{%- for key, value in arguments.items() %}{{ key }}={{ value | string }}{% endfor %}"
    ),
    "macro": (
        "{%- macro render(spec, required=[]) -%}{%- if spec.type == 'array' -%}"
        "{{ render(spec['items']) + '[]' }}{%- elif 'null' in spec.type -%}{{ spec|attr('type') }}"
        "{%- endif -%}{%- endmacro -%}{{ render(tools[0].parameters) }}"
        "{% generation %}{{ messages[-1].content }}{% endgeneration %}"
    ),
    "words": "{{ 'Never import os or call system(x); class is a word.' }} {{ names['a'](x)[0] }}",
}  # fmt: skip

HOSTILE = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.popen('x').read() }}",
    "{{ self.__init__.__globals__.__builtins__.__import__('os').system('x') }}",
    "{{ lipsum.__globals__['os'].popen('x') }}",
    "{{ joiner['__init__'] }}",
    "{{ ()|attr('__class__') }}",
    "{{ ()|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
    "{{ ()['\\u005f\\u005fclass\\u005f\\u005f'] }}",
    "{{ ()['\\137\\137class\\137\\137'] }}",
    "{{ ()['\\N{LOW LINE}_class__'] }}",
    "{{ ()['__cla' ~ 'ss__'] }}",
    "{{ ()['__cla' + 'ss__'] }}",
    "{{ ()['__cla' 'ss__'] }}",
    "{{ ()['_'*2 ~ 'class' ~ '_'*2] }}",
    "{{ ()[\"__cla\" ~ 'ss__'] }}",
    "{{ '{0.__class__}'.format(x) }}",
    "{{ messages|map(attribute='__class__')|list }}",
    "{% set x = cycler.next %}",
    "{{ namespace['__init__'] }}",
    "{{ g.gi_frame.f_back }}",
    "{{ os.popen('id') }}",
]
SUSPICIOUS = [
    "{{ ()|attr(x) }}",
    "{{ ()|attr('a' ~ x) }}",
    "{{ messages|map('attr', x)|list }}",
    "{{ x['%c%cclass'|format(95, 95)] }}",
    "{{ x[['_', 'a']|join] }}",
    "{{ x[a ~ b] }}",
    "{% set u = '__' %}{% set n = u ~ x ~ u %}{{ messages[n] }}",
    "{% set n = u ~ 'globals' %}{{ messages[n] }}",
    "{{ ()[n] }}",
    "{% import 'other' as other %}",
    "{%- include name -%}",
]


def rules(report):
    return {finding.rule.id for finding in report.findings}


def places(template):
    """The files in which a template is found, by name."""
    listed = [{"name": "default", "template": "x"}, {"name": "tool_use", "template": template}]
    escaped = json.dumps({"chat_template": template}).replace("chat_t", "\\u0063hat\\u005ft")
    return {
        "chat_template.jinja": template,
        "chat_templates/rag.jinja": template,
        "tokenizer_config.json": json.dumps({"bos_token": "<s>", "chat_template": template}),
        "chat_template.json": json.dumps({"chat_template": template}),
        "processor_config.json": json.dumps({"x": {"chat_template": listed}}),
        "escaped.json": escaped,
    }


def scanned(tmp_path, template):
    for name, text in places(template).items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return {report.path: report for report in scan_path(tmp_path).files}


@pytest.mark.parametrize("name", HARMLESS)
def test_templates_of_real_models_are_clean(name, tmp_path):
    reports = scanned(tmp_path, HARMLESS[name])
    assert reports  # those in files of their own
    for report in reports.values():
        assert report.verdict == "clean", report.findings


@pytest.mark.parametrize("template", HOSTILE)
def test_templates_that_reach_objects_are_malicious(template, tmp_path):
    reports = scanned(tmp_path, template)
    assert len(reports) == len(places(template))
    for report in reports.values():
        assert (report.verdict, rules(report)) == ("malicious", {"SH122"}), report.path


@pytest.mark.parametrize("template", SUSPICIOUS)
def test_templates_that_compute_names_are_suspicious(template, tmp_path):
    reports = scanned(tmp_path, template)
    assert len(reports) == len(places(template))
    for report in reports.values():
        assert rules(report) == {"SH109"}, report.path


def test_other_templates_are_read_if_asked_for(tmp_path):
    path = tmp_path / "page.jinja"
    path.write_text("{{ ().__class__ }}")
    assert not scan_path(tmp_path).files
    assert scan_path(path).files[0].verdict == "malicious"
    path.write_bytes(b"\xff{{")
    assert scan_path(path).files[0].verdict == "suspicious"


def test_template_is_bounded():
    report = scan_bytes(b"{{" + b"x" * 2**20, "chat_template.jinja")
    assert rules(report) == {"SH105"}
    report = scan_bytes(b"{{" + b"x" * 2**23, "chat_template.jinja")
    assert rules(report) == {"SH105"}
