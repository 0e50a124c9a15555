"""Settings: file, environment, command line, in that order; what is wrong is named."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tungsten.process import config


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tungsten.toml"
    path.write_text(text)
    return path


def test_defaults_are_upstreams_ports() -> None:
    settings = config.load()
    assert settings.api.listen.endswith(":8082")
    assert settings.control.xmpp_listen.endswith(":5269")
    assert settings.agent.port_listen.endswith(":9091")


def test_later_sources_win(tmp_path: Path) -> None:
    path = write(tmp_path, '[store]\nurl = "sqlite:a"\n[log]\nlevel = "debug"\n')
    environment = {"TUNGSTEN_STORE__URL": "sqlite:b", "HOME": "/"}
    assert config.load(path).store.url == "sqlite:a"
    assert config.load(path, environment).store.url == "sqlite:b"
    settings = config.load(path, environment, ["store.url=sqlite:c"])
    assert settings.store.url == "sqlite:c"
    assert settings.log.level == "debug"


def test_values_are_read_as_toml_where_they_are() -> None:
    settings = config.load(None, {}, ['agent.controls=["10.0.0.1", "10.0.0.2:5270"]'])
    assert settings.agent.controls == ["10.0.0.1", "10.0.0.2:5270"]


def test_a_text_setting_may_look_like_a_number() -> None:
    assert config.load(None, {}, ["agent.hostname=123"]).agent.hostname == "123"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["api.lisen=x:1"],
            "--set api.lisen: api: object contains unknown field `lisen`; did you mean listen?",
        ),
        (["log.colour=x"], "unknown field `colour`; keys are level, format"),
        (["apis.listen=x:1"], "no section 'apis'"),
        (["api.listen"], "expected section.key=value"),
        (["listen=x"], "not of the form section.key"),
        (
            ["log.level=loud"],
            "--set log.level: log.level: invalid enum value 'loud'; accepted are debug, info",
        ),
    ],
)
def test_a_wrong_override_is_refused_with_its_reason(overrides: list[str], words: str) -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.load(None, {}, overrides)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[api", "not TOML"),
        ("[api]\nlistn = 1\n", "unknown field `listn`"),
        ("[api]\nmax_body = true\n", "api.max_body: expected `int`"),
        ("[other]\n", "unknown field `other`; sections are store, api, control"),
    ],
)
def test_a_wrong_file_is_refused_with_file_key_and_reason(
    tmp_path: Path, text: str, words: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(config.ConfigError) as caught:
        config.load(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="No such file"):
        config.load(tmp_path / "none.toml")


def test_the_example_names_every_section_and_its_defaults_load(tmp_path: Path) -> None:
    text = config.example()
    assert {"store", "api", "control", "agent", "log"} <= set(tomllib.loads(text))
    kept = [line for line in text.splitlines() if "# not set" not in line]
    live = [
        line[1:] if line.startswith("#") and not line.startswith("# ") else line for line in kept
    ]
    assert config.load(write(tmp_path, "\n".join(live))) == config.load()


def test_a_variable_that_nothing_reads_is_told_with_the_nearest() -> None:
    environment = {
        "TUNGSTEN_STORE_URL": "sqlite:a",
        "TUNGSTEN_ZZZZZZZZZZZZZZ": "1",
        "TUNGSTEN_STORE__URL": "sqlite:b",
        "HOME": "/",
        **dict.fromkeys(config.OTHER_VARIABLES, "x"),
    }
    assert config.unknown_variables(environment) == {
        "TUNGSTEN_STORE_URL": "TUNGSTEN_STORE__URL",
        "TUNGSTEN_ZZZZZZZZZZZZZZ": "",
    }
