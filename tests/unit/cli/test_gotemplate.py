from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.cli.gotemplate import Template, format_rows, format_value
from builder.cli.gotemplate_syntax import TemplateError
from builder.cli.gotemplate_values import Fields, fields_of

VALUE = fields_of(
    {
        "Id": "sha256:abc",
        "Size": 7,
        "Ratio": 0.5,
        "Big": 2.0,
        "Ok": True,
        "Nothing": None,
        "Empty": [],
        "Config": {
            "Env": ["A=1", "B=2"],
            "Labels": {"k": "v", "a.b": "c"},
            "Volumes": {"/data": {}},
        },
        "Mounts": [{"Source": "/a", "RW": True}, {"Source": "/b", "RW": False}],
    },
    frozenset({"Labels", "Volumes"}),
)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Id}}", "sha256:abc"),
        ("{{ .Id }} and {{.Size}}", "sha256:abc and 7"),
        ("{{.Ratio}} {{.Big}} {{.Ok}} {{.Nothing}}", "0.5 2 true <no value>"),
        ("{{.Config.Env}}", "[A=1 B=2]"),
        ("{{.Config.Labels}}", "map[a.b:c k:v]"),
        ("{{.Config.Volumes}}", "map[/data:{}]"),
        ("{{.Mounts}}", "[{/a true} {/b false}]"),
        (
            "{{json .Config}}",
            '{"Env":["A=1","B=2"],"Labels":{"a.b":"c","k":"v"},"Volumes":{"/data":{}}}',
        ),
        ("{{json .Id}}{{json .Nothing}}", '"sha256:abc"null'),
        ('{{index .Config.Labels "a.b"}}', "c"),
        ('{{index .Config.Labels "missing"}}', ""),
        ("{{.Config.Labels.missing}}", "<no value>"),
        ("{{index .Config.Env 1}}", "B=2"),
        ("{{(index .Mounts 0).Source}}", "/a"),
        ("{{len .Config.Env}} {{len .Id}} {{len .Config.Labels}}", "2 10 2"),
        ("{{range .Mounts}}{{.Source}} {{end}}", "/a /b "),
        ("{{range $i, $m := .Mounts}}{{$i}}{{$m.Source}}{{end}}", "0/a1/b"),
        ("{{range $m := .Mounts}}{{$m.Source}}{{end}}", "/a/b"),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", "a.b=c;k=v;"),
        ("{{range .Empty}}x{{else}}none{{end}}", "none"),
        ("{{range .Nothing}}x{{else}}none{{end}}", "none"),
        ("{{range .Mounts}}{{if not .RW}}{{continue}}{{end}}{{.Source}}{{end}}", "/a"),
        ("{{range .Mounts}}{{.Source}}{{break}}{{end}}", "/a"),
        ("{{if .Ok}}yes{{else}}no{{end}}", "yes"),
        ("{{if .Empty}}yes{{end}}", ""),
        ("{{if eq .Size 1}}a{{else if eq .Size 7}}b{{else}}c{{end}}", "b"),
        ("{{with .Config}}{{index .Env 0}}{{end}}", "A=1"),
        ("{{with .Nothing}}x{{else}}{{.Id}}{{end}}", "sha256:abc"),
        ("{{with $c := .Config}}{{len $c.Env}}{{end}}", "2"),
        ("{{$x := 1}}{{if .Ok}}{{$x = 2}}{{end}}{{$x}}", "2"),
        ("{{range .Mounts}}{{$.Id}}{{end}}", "sha256:abcsha256:abc"),
        ('{{.Id | printf "%s!"}}', "sha256:abc!"),
        ("{{.Id | upper | lower}}", "sha256:abc"),
        (
            "{{eq .Size 1 7}} {{ne .Size 1}} {{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge 1 2}}",
            "true true true true false false",
        ),
        ("{{and .Ok .Size}} {{or .Nothing .Size}} {{not .Ok}}", "7 7 false"),
        ("{{or .Ok (index .Empty 3)}}", "true"),
        (
            '{{join .Config.Env ","}} {{split "a/b" "/"}} {{title "some words"}}',
            "A=1,B=2 [a b] Some Words",
        ),
        ('{{pad "x" 1 2}}|{{pad "" 1 2}}|{{truncate .Id 6}}', " x  ||sha256"),
        (
            '{{printf "%5d|%-5s|%q|%v|%05.1f|%x|%t|%%" 3 "a" "b" .Config.Env 2.55 255 true}}',
            '    3|a    |"b"|[A=1 B=2]|002.5|ff|true|%',
        ),
        ('{{printf "%d %s" "a"}}', "%!d(string=a) %!s(MISSING)"),
        ('{{print "a" 1 2 "b"}}|{{println "a" 1}}', "a1 2b|a 1\n"),
        ("{{slice .Id 7 9}}", "ab"),
        ("a {{- .Size -}} b", "a7b"),
        ("a {{- /* nothing */ -}} b", "ab"),
        ("{{/* nothing */}}x", "x"),
        ("{{\"tab\\there\"}} {{`raw\\t`}} {{'a'}}", "tab\there raw\\t 97"),
        ("{{0x10}} {{-3}} {{1.5}}", "16 -3 1.5"),
        ("no action at all }}", "no action at all }}"),
    ],
)
def test_a_template_gives_what_go_gives(template, text):
    assert Template(template).render(VALUE) == text


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{.Id", "not closed"),
        ("{{.Id}", "not closed"),
        ("{{if .Id}}x", "without its {{end}}"),
        ("{{range .Id}}x{{else}}y", "without its {{end}}"),
        ("x{{end}}", "unexpected {{end}}"),
        ("{{else}}", "unexpected {{else}}"),
        ("{{}}", "a value missing"),
        ("{{.Id | }}", "a value missing"),
        ("{{(.Id}}", "not closed"),
        ("{{.Id)}}", r"unexpected '\)'"),
        ("{{foo .Id}}", 'calls "foo"'),
        ('{{define "x"}}{{end}}', "define is not supported"),
        ("{{break}}", "break outside of a range"),
        ("{{.Id := 3}}", "unexpected ':='"),
        ('{{"\\UFFFFFFFF"}}', "beyond Unicode"),
        ("{{&}}", "unexpected '&'"),
        ("{{.Missing}}", r"no field \.Missing"),
        ("{{.Config.Missing}}", r"no field \.Missing"),
        ("{{.Nothing.X}}", "nil has no field X"),
        ("{{.Id.X}}", "has no field X"),
        ("{{$x}}", r"no variable \$x"),
        ("{{$x = 1}}", r"no variable \$x"),
        ("{{index .Config.Env 9}}", "out of range"),
        ("{{index .Nothing 1}}", "index of nil"),
        ('{{index .Config.Env "a"}}', "cannot be indexed"),
        ("{{eq .Id 3}}", "cannot be compared"),
        ("{{lt .Id 3}}", "have no order"),
        ("{{len 3}}", "len of 3"),
        ("{{len}}", "cannot take 0 values"),
        ("{{.Id 3}}", "takes no arguments"),
        ("{{3 4}}", "calls a constant"),
        ("{{range .Size | upper}}{{end}}", "is not a string"),
        ("{{range .Id}}{{end}}", "range cannot go over"),
    ],
)
def test_a_wrong_template_says_what_is_wrong(template, words):
    with pytest.raises(TemplateError, match=words):
        Template(template).render(VALUE)


def test_an_unknown_field_is_answered_with_those_there_are():
    with pytest.raises(TemplateError) as caught:
        format_rows("{{.Foo}}", [Fields(ID="1", Size="2")], Fields())
    assert caught.value.hint == "there are .ID, .Size"


ROWS = [Fields(ID="1", Name="app"), Fields(ID="22", Name="longer-name")]
HEADINGS = Fields(ID="IMAGE ID", Name="NAME")


def test_each_row_is_a_line():
    assert format_rows("{{.ID}}: {{.Name}}", ROWS, HEADINGS) == "1: app\n22: longer-name\n"


def test_json_gives_an_object_a_line():
    assert format_rows("json", ROWS, HEADINGS).splitlines()[0] == '{"ID":"1","Name":"app"}'


def test_a_table_has_headings_and_columns():
    text = format_rows("table {{.Name}}\\t{{.ID}}", ROWS, HEADINGS)
    assert text == "NAME          IMAGE ID\napp           1\nlonger-name   22\n"


def test_a_method_takes_its_argument_from_the_template():
    row = Fields(Label=lambda name: f"<{name}>")
    assert format_rows('{{.Label "k"}}', [row], Fields()) == "<k>\n"


def test_one_value_ends_with_a_newline():
    assert format_value("{{.Id}}", VALUE) == "sha256:abc\n"
    assert format_value("json", Fields(a=1)) == '{"a":1}\n'


@given(st.text(alphabet="{}-./*\"`'$|()=: abIdSize\\0", max_size=40))
def test_any_text_is_rendered_or_refused(template):
    with suppress(TemplateError):
        Template("{{" + template + "}}").render(VALUE)


def test_a_character_constant_has_one_character():
    assert Template("{{print 'a'}}").render(VALUE) == "97"
    for wrong in ("'ab'", "'00'"):
        with pytest.raises(TemplateError, match="not one character"):
            Template("{{" + wrong + "}}")
