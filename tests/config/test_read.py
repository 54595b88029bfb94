"""A configuration is read whole, or everything that is wrong with it is said at once."""

from __future__ import annotations

import os
import random
from fnmatch import fnmatchcase
from pathlib import Path

import platformdirs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.config.checking import CANARY, ENVIRON, GOOD, KNOWN, good, problem, problems

from holdfast.config import read as reading
from holdfast.config.problems import ConfigError, Problem
from holdfast.config.read import PORT, glance, locate, parse, read
from holdfast.facts.places import Limits, Route

SIM = "[providers.sim]\n"


def test_a_good_text_is_read_as_it_stands() -> None:
    config = good(GOOD)
    gateway = config.gateway
    assert (gateway.host, gateway.port, gateway.keys) == ("127.0.0.1", 4242, "off")
    assert gateway.data_dir == Path("/tmp/holdfast")
    assert config.limits == Limits(connect_s=2.0, idle_s=30.5)
    assert list(config.providers) == ["work", "openai", "ollama"]
    assert config.routes == (
        Route("claude-*", ("work/house-large", "openai/*", "ollama/qwen3-coder:30b")),
        Route("*", ("openai/*",)),
    )
    assert config.secrets["work"].reveal() == CANARY
    assert set(config.secrets) == {"work", "openai"}
    assert config.notices == ()


def test_who_only_looks_asks_nobody_for_a_key(tmp_path: Path) -> None:
    """Nor does a variable that is not set there keep him from looking, nor a wrong notice."""
    file, ran = tmp_path / "config.toml", tmp_path / "ran"
    file.write_text(
        f"""{SIM}
        [gateway]
        port = 4242
        [providers.anthropic]
        [providers.openai]
        key = "env:NOT_SET"
        [providers.mine]
        dialect = "openai"
        base_url = "https://models.example"
        key = "command:touch {ran}"
        [notify]
        webhooks = [{{url = "env:NOT_SET"}}]"""
    )
    config = glance(file, {})
    assert list(config.providers) == ["sim", "anthropic", "openai", "mine"]
    assert config.providers["mine"].key.startswith("command:")
    assert (config.gateway.port, config.secrets) == (4242, {})
    assert not ran.exists()
    with pytest.raises(ConfigError):
        read(file, {})


@pytest.mark.parametrize("wrong", ["[what]\n", "[providers.sim\n", "[providers.x]\nkey = 1\n"])
def test_who_only_looks_needs_the_gateways_own_table_alone(tmp_path: Path, wrong: str) -> None:
    """The one that runs goes on by what it read before, and tells of the mistake itself."""
    file = tmp_path / "config.toml"
    own = f'[gateway]\nport = 4242\n# a comment\ndata_dir = "{tmp_path}"\n'
    for text in (f"{own}{wrong}", f"{wrong}\n{own}", f"{wrong}\n{own}[[routes]]\n"):
        file.write_text(text)
        gateway = glance(file, {}).gateway
        assert (gateway.port, gateway.data_dir) == (4242, tmp_path)
    file.write_text(f"{own}port = 1\n{wrong}")
    with pytest.raises(ConfigError):
        glance(file, {})
    file.write_text(wrong)
    assert glance(file, {}).gateway.port == PORT


def test_what_is_left_out_has_its_default() -> None:
    config = good(SIM)
    gateway = config.gateway
    assert (gateway.host, gateway.port, gateway.keys) == ("127.0.0.1", 4141, "off")
    assert gateway.data_dir == Path(platformdirs.user_data_dir("holdfast", appauthor=False))
    assert config.limits == Limits()
    assert config.routes == ()


def test_engines_of_ones_own_have_time_to_load_and_to_read() -> None:
    """Unless something else is said, for one of them or for all; a mere address says nothing."""
    text = """
        [limits]
        content_s = 7
        [providers.ollama]
        [providers.mine]
        dialect = "openai"
        base_url = "http://127.0.0.1:9"
        kind = "local"
        limits = {headers_s = 9, idle_s = 8}
        [providers.address]
        dialect = "openai"
        base_url = "http://127.0.0.1:8"
        [providers.openai]
        limits.whole_s = 3
    """
    config = good(text)
    assert config.limits == Limits(content_s=7)
    assert {name: provider.limits for name, provider in config.providers.items()} == {
        "ollama": Limits(headers_s=300, content_s=7),
        "mine": Limits(headers_s=9, content_s=7, idle_s=8),
        "address": None,
        "openai": Limits(content_s=7, whole_s=3),
    }


# Text → (line, key, part of what is said, part of the remedy).
ONE_PROBLEM: dict[str, tuple[int | None, str, str, str]] = {
    # unknown keys, with what may have been meant
    SIM + "[gateway]\nprot = 1": (3, "gateway.prot", "not a key", "mean port?"),
    SIM + "[gatway]": (2, "gatway", "not a key", "mean gateway?"),
    SIM + "[gateway]\nzzz = 1": (3, "gateway.zzz", "not a key", "data_dir, host, keys, port"),
    SIM + "[limits]\nconnect = 1": (3, "limits.connect", "not a key", "mean connect_s?"),
    "[providers.sim]\nkeys = 1": (2, "providers.sim.keys", "not a key", "mean key?"),
    SIM + '[[routes]]\nmodel = "a"\ntargets = ["sim/*"]\nweight = 1': (
        5,
        "routes[0].weight",
        "not a key",
        "losses, model, own_errors, targets",
    ),
    SIM + '[[routes]]\nmodel = "a"\ntargets = ["sim/*"]\nlosses = "forbid"': (
        5,
        "routes[0].losses",
        "one of allowed, forbidden",
        "mean forbidden?",
    ),
    SIM + '[[routes]]\nmodel = "a"\ntargets = ["sim/*"]\nlosses = false': (
        5,
        "routes[0].losses",
        "and is true or false",
        "a text",
    ),
    # missing
    "": (None, "providers", "there is none", "simulator"),
    "[gateway]": (None, "providers", "there is none", "simulator"),
    SIM + '[[routes]]\nmodel = "a"': (2, "routes[0].targets", "missing", "targets ="),
    SIM + '[[routes]]\ntargets = ["sim/*"]': (2, "routes[0].model", "missing", "model ="),
    # wrong types
    "gateway = 1\n" + SIM: (1, "gateway", "a table, and is a whole number", "a table"),
    "[[gateway]]\n" + SIM: (1, "gateway", "a table, and is a list", "a table"),
    SIM + '[gateway]\nport = "1"': (3, "gateway.port", "a whole number, and is a text", "number"),
    SIM + "[gateway]\nport = true": (3, "gateway.port", "and is true or false", "number"),
    SIM + "[gateway]\nport = 1.5": (3, "gateway.port", "and is a number", "whole number"),
    SIM + "[gateway]\nhost = 1979-05-27": (3, "gateway.host", "a date", "text"),
    SIM + "[limits]\nidle_s = [1]": (3, "limits.idle_s", "a number, and is a list", "number"),
    "providers = []": (1, "providers", "a table, and is a list", "a table"),
    "[providers]\nsim = 1": (2, "providers.sim", "a table, and is", "a table"),
    SIM + "[routes]": (2, "routes", "a list of tables, and is a table", "list of tables"),
    "routes = [1]\n" + SIM: (1, "routes[0]", "must be a table", "[[routes]]"),
    SIM + '[[routes]]\nmodel = "a"\ntargets = "sim/*"': (4, "routes[0].targets", "list", "["),
    SIM + '[[routes]]\nmodel = "a"\ntargets = [1]': (4, "routes[0].targets", "texts only", "["),
    # ranges
    SIM + "[gateway]\nport = 0": (3, "gateway.port", "between 1 and 65535", "range"),
    SIM + "[gateway]\nport = 65536": (3, "gateway.port", "between 1 and 65535", "range"),
    SIM + "limits.idle = 1": (2, "providers.sim.limits.idle", "not a key", "mean idle_s?"),
    SIM + "limits = 5": (2, "providers.sim.limits", "must be a table", "Write a table"),
    SIM + "[limits]\nidle_s = 0": (3, "limits.idle_s", "between", "range"),
    SIM + "[limits]\nidle_s = inf": (3, "limits.idle_s", "between", "range"),
    SIM + "[limits]\nidle_s = nan": (3, "limits.idle_s", "between", "range"),
    # what a text may be
    SIM + '[gateway]\nkeys = "on"': (3, "gateway.keys", "one of off, required", "Choose"),
    SIM + '[gateway]\nkeys = "required"': (3, "gateway.keys", "cannot be served yet", '"off"'),
    SIM + '[gateway]\nkeys = "Off"': (3, "gateway.keys", "one of off, required", "mean off?"),
    SIM + '[gateway]\nhost = ""': (3, "gateway.host", "is empty", "value"),
    SIM + '[gateway]\nhost = "a\\u0000b"': (3, "gateway.host", "printed", "out"),
    SIM + '[[routes]]\nmodel = "a"\ntargets = []': (4, "routes[0].targets", "empty list", "one"),
    SIM + '[[routes]]\nmodel = "a b"\ntargets = ["sim/*"]': (3, "routes[0].model", "blank", "out"),
    # the host that is listened on
    SIM + '[gateway]\nhost = "0.0.0.0"': (3, "gateway.host", "spend your keys", "SSH"),
    SIM + '[gateway]\nhost = "::"': (3, "gateway.host", "spend your keys", "SSH"),
    SIM + '[gateway]\nhost = "192.168.1.4"\nkeys = "off"': (3, "gateway.host", "spend", "SSH"),
    SIM + '[gateway]\nhost = "box.lan"': (3, "gateway.host", "spend your keys", "SSH"),
    SIM + '[gateway]\nhost = "127.0.0.1:80"': (3, "gateway.host", "host alone", "port"),
    SIM + '[gateway]\nhost = "http://a"': (3, "gateway.host", "host alone", "port"),
    SIM + '[gateway]\nhost = "a_b c"': (3, "gateway.host", "not a host name", "127.0.0.1"),
    # the data directory
    SIM + '[gateway]\ndata_dir = "data"': (3, "gateway.data_dir", "relative", "whole path"),
    SIM + '[gateway]\ndata_dir = "/dev/null/x"': (3, "gateway.data_dir", "cannot be made", "may"),
    SIM + '[gateway]\ndata_dir = "/dev/null"': (3, "gateway.data_dir", "written to", "may write"),
    SIM + '[gateway]\ndata_dir = "~nobody-here/x"': (3, "gateway.data_dir", "home", "whole path"),
    # targets
    SIM + '[[routes]]\nmodel = "a"\ntargets = ["sim"]': (
        4,
        "routes[0].targets",
        "sim is not provider/model",
        "provider/model",
    ),
    SIM + '[[routes]]\nmodel = "a"\ntargets = ["/x"]': (4, "routes[0].targets", "not prov", "like"),
    SIM + '[[routes]]\nmodel = "a"\ntargets = ["sim/"]': (4, "routes[0].targets", "not p", "like"),
    SIM + '[[routes]]\nmodel = "a"\ntargets = ["sim/a b"]': (4, "routes[0].targets", "not", "like"),
    SIM + '[[routes]]\nmodel = "a"\ntargets = ["sim/a*"]': (
        4,
        "routes[0].targets",
        "holds a pattern",
        "sim/*",
    ),
    SIM + '[providers.ollama]\n[[routes]]\nmodel = "a"\ntargets = ["olama/x"]': (
        5,
        "routes[0].targets",
        "olama/x names a provider that is not there",
        "sim, ollama",
    ),
}


@pytest.mark.parametrize("text", ONE_PROBLEM)
def test_each_fault_is_named_with_its_line_its_key_and_a_remedy(text: str) -> None:
    line, key, what, remedy = ONE_PROBLEM[text]
    found = problem(text)
    assert (found.line, found.key) == (line, key)
    assert what in found.what
    assert remedy in found.remedy


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    found = problems("""\
        [gateway]
        host = "0.0.0.0"
        port = 70000
        colour = "red"

        [limits]
        idle_s = "long"

        [providers.work]
        base_url = "ftp://x"

        [[routes]]
        model = "a"
        targets = ["nowhere/x", "work"]
        """)
    assert [(each.line, each.key) for each in found] == [
        (2, "gateway.host"),
        (3, "gateway.port"),
        (4, "gateway.colour"),
        (7, "limits.idle_s"),
        (9, "providers.work.dialect"),
        (10, "providers.work.base_url"),
        (14, "routes[0].targets"),
        (14, "routes[0].targets"),
    ]


def test_a_problem_reads_as_file_line_key_what_and_remedy(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(SIM + "[gateway]\nprot = 1\n")
    with pytest.raises(ConfigError) as caught:
        read(file, {})
    assert str(caught.value) == (
        f"{file}:3: gateway.prot: is not a key that holdfast knows here. Did you mean port?"
    )


def test_a_table_that_stands_twice_and_other_faults_of_syntax_name_their_line() -> None:
    for text, line, what in (
        (SIM + SIM, 2, "stands twice"),
        (SIM + "[gateway]\nport = 1\nport = 2\n", 4, "stands twice"),
        (SIM + "[gateway]\nport = 1\n[gateway.port]\n", 4, "stands twice"),
        (SIM + "limits = {idle_s = 1, idle_s = 2}\n", 2, "stands twice"),
        (SIM + "\n[gateway\n", 3, "TOML (Expected ']' at the end of a table"),
        (SIM + "\n[[routes]\n", 3, "TOML (Expected ']]' at the end of an array"),
        (SIM + "port 1\n", 2, "TOML (Expected '=' after a key"),
        (SIM + '[gateway]\nhost = "127.0.0.1\nport = 1\n', 3, "TOML"),
        (SIM + "[gateway]\nport = \n", 3, "TOML (Invalid value)"),
        (SIM + '[[routes]]\ntargets = [\n"sim/*",\n', 5, "TOML"),
        ("a = " + "[" * 100_000, None, "too deep"),
    ):
        found = problem(text)
        assert what in found.what
        assert found.line == line, text
        assert found.key == ""


def test_a_fault_of_syntax_does_not_repeat_what_stands_there() -> None:
    """Who pastes a key into the file by mistake does not find it in a terminal's history."""
    for text in (
        f"{CANARY}\n",
        f'key = "{CANARY}\n',
        f"[{CANARY}\n",
        f"[{CANARY}]\n[{CANARY}]\n",
        f"{CANARY} = 1\n{CANARY} = 2\n",
        f"a = {{{CANARY} = 1, {CANARY} = 2}}\n",
        f"a = {{b = 1}}\na.{CANARY} = 2\n",
        f"[a.{CANARY}.b]\n[a]\n{CANARY}.c = 1\n",
    ):
        assert problem(text).line is not None


def test_a_later_route_that_nothing_reaches_is_a_word_and_no_error() -> None:
    config = good(
        SIM
        + '[[routes]]\nmodel = "claude-*"\ntargets = ["sim/*"]\n'
        + '[[routes]]\nmodel = "claude-opus-*"\ntargets = ["sim/x"]\n'
        + '[[routes]]\nmodel = "claude-*"\ntargets = ["sim/y"]\n'
        + '[[routes]]\nmodel = "gpt-*"\ntargets = ["sim/z"]\n'
    )
    assert [route.model for route in config.routes] == [
        "claude-*",
        "claude-opus-*",
        "claude-*",
        "gpt-*",
    ]
    assert len(config.notices) == 2
    assert config.notices[0].startswith("configuration:6: routes[1].model: ")
    assert "claude-* stands before it" in config.notices[0]


@given(
    st.lists(st.sampled_from(["a", "b", "a*", "*", "?", "[ab]", "a?", "*b", "[*]", "a[b]*"])),
    st.text("ab*[]", max_size=4),
)
def test_a_route_that_is_called_unreachable_never_is_the_first_to_match(
    globs: list[str], name: str
) -> None:
    text = SIM + "".join(f'[[routes]]\nmodel = "{g}"\ntargets = ["sim/*"]\n' for g in globs)
    config = good(text)
    dead = {int(note.partition("routes[")[2].partition("]")[0]) for note in config.notices}
    first = next((n for n, glob in enumerate(globs) if fnmatchcase(name, glob)), None)
    assert first not in dead


def test_this_machine_has_several_names() -> None:
    for host in ("localhost", "127.0.0.1", "127.8.8.8", "::1"):
        assert good(SIM + f'[gateway]\nhost = "{host}"\n').gateway.host == host


def test_the_data_directory_is_not_made_by_reading(tmp_path: Path) -> None:
    wanted = tmp_path / "a" / "b"
    assert good(SIM + f'[gateway]\ndata_dir = "{wanted}"\n').gateway.data_dir == wanted
    assert not wanted.parent.exists()


def test_a_data_directory_may_be_written_from_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = good(SIM + '[gateway]\ndata_dir = "~/data"\n')
    assert config.gateway.data_dir == tmp_path / "data"


def test_the_description_names_providers_key_sources_and_routes_but_no_key() -> None:
    text = "\n".join(good(GOOD + SIM).describe())
    assert "https://llm.example.com/team (cloud, openai + anthropic), key from $WORK_KEY" in text
    assert "built in, simulated" in text
    assert "claude-*  work/house-large → openai/* → ollama/qwen3-coder:30b" in text
    assert CANARY not in text
    assert "none: a model goes to the provider" in "\n".join(good(SIM).describe())


# ---------------------------------------------------------------- which file


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's configuration directory of its own, and the file's place in it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(
        platformdirs, "user_config_dir", lambda name, **_: str(tmp_path / "config" / name)
    )
    file = tmp_path / "config" / "holdfast" / "config.toml"
    file.parent.mkdir(parents=True)
    return file


def test_the_named_file_comes_before_the_variable_and_that_before_the_users_own(
    home: Path, tmp_path: Path
) -> None:
    named, variable = tmp_path / "named.toml", tmp_path / "variable.toml"
    for port, file in enumerate((named, variable, home), start=1):
        file.write_text(f"{SIM}[gateway]\nport = {port}\n")
    environ = {"HOLDFAST_CONFIG": str(variable)}
    assert read(named, environ).gateway.port == 1
    assert read(None, environ).gateway.port == 2
    assert read(None, {}).gateway.port == 3
    assert read(None, {"HOLDFAST_CONFIG": "  "}).gateway.port == 3
    assert read(None, {}).source == home


def test_the_working_directory_is_never_looked_at(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cloned repository must not be able to bring a configuration along."""
    monkeypatch.chdir(tmp_path)
    for name in ("config.toml", "holdfast.toml", ".holdfast.toml", "holdfast/config.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(SIM)
    assert locate(None, {}) is None
    with pytest.raises(ConfigError, match="no configuration file") as caught:
        read(None, {})
    assert caught.value.problems[0].file == str(home)


def test_a_named_file_that_is_not_there_is_an_error_and_no_reason_to_look_elsewhere(
    home: Path, tmp_path: Path
) -> None:
    home.write_text(SIM)
    gone = tmp_path / "gone.toml"
    for path, environ in ((gone, {}), (None, {"HOLDFAST_CONFIG": str(gone)})):
        with pytest.raises(ConfigError, match="no such file") as caught:
            read(path, environ)
        assert caught.value.problems[0].file == str(gone)
        assert "HOLDFAST_CONFIG" in caught.value.problems[0].remedy


def broken_files(folder: Path) -> dict[Path, tuple[int | None, str]]:
    """File → the line that is named, and a part of what is said."""
    (folder / "latin.toml").write_bytes("[gateway]\nport = 1 # größer\n".encode("latin-1"))
    (folder / "utf16.toml").write_bytes(SIM.encode("utf-16"))
    (folder / "null.toml").write_bytes(b"[providers.sim]\n\0")
    (folder / "huge.toml").write_bytes(b"# " + b"x" * 2_000_000)
    (folder / "loop.toml").symlink_to(folder / "loop.toml")
    (folder / "folder.toml").mkdir()
    (folder / "plain").write_text("")
    return {
        folder / "latin.toml": (2, "not UTF-8"),
        folder / "utf16.toml": (1, "not UTF-8"),
        folder / "null.toml": (2, "not valid TOML"),
        folder / "huge.toml": (None, "larger than 1 MB"),
        folder / "loop.toml": (None, "cannot be read"),
        folder / "folder.toml": (None, "cannot be read (Is a directory)"),
        folder / "plain" / "below.toml": (None, "cannot be read (Not a directory)"),
        folder / ("x" * 300): (None, "cannot be read (File name too long)"),
        Path("a\0b"): (None, "cannot be read"),
    }


def test_a_file_that_cannot_be_read_as_text_says_so(tmp_path: Path) -> None:
    for file, (line, what) in broken_files(tmp_path).items():
        with pytest.raises(ConfigError) as caught:
            read(file, {})
        (found,) = caught.value.problems
        assert found.line == line, file
        assert what in found.what
        assert found.remedy


def test_a_file_without_the_right_to_read_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right is refused by hand: the superuser, as whom tests may run, is never refused."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, os.strerror(13))

    file = tmp_path / "config.toml"
    file.write_text(SIM)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError, match="Permission denied"):
        read(file, {})


def test_windows_line_ends_and_a_byte_order_mark_are_no_matter(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read(file, ENVIRON).providers == good(GOOD).providers
    file.write_bytes(
        b"\xef\xbb\xbf" + (SIM + "[gateway]\nprot = 1\n").replace("\n", "\r\n").encode()
    )
    with pytest.raises(ConfigError) as caught:
        read(file, ENVIRON)
    assert caught.value.problems[0].line == 3


# ---------------------------------------------------------------- whatever comes


def only_config_errors(text: str) -> None:
    """Read it; whatever is wrong is told as it should be, and no key is shown."""
    found: tuple[Problem, ...] = ()
    try:
        config = parse(text, ENVIRON, entries=KNOWN)
        said = f"{config} {config.describe()} {config.notices}"
    except ConfigError as error:
        found, said = error.problems, f"{error} {error!r}"
    assert CANARY not in said
    lines = text.count("\n") + 1
    for each in found:
        assert each.what
        assert each.remedy
        assert each.line is None or 1 <= each.line <= lines
        assert "\n" not in str(each)


PIECES = ["", "\n", '"', "[", "]", "[[", "=", ".", "1", "-1", "true", "{}", "''", "\0", "é", "*"]
PIECES += ["key", "none", "client", "env:", "file:", "x/y", "http://", "@", "?", "#", "\\", "~"]


@given(
    st.integers(0, 2**32),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4),
)
@settings(max_examples=200)
def test_a_good_text_that_was_spoilt_gives_problems_and_nothing_else(
    seed: int, pieces: list[str]
) -> None:
    """Cuts and pastes at random places; never a command, which would be run."""
    dice = random.Random(seed)
    text = GOOD
    for piece in pieces:
        start = dice.randrange(len(text))
        text = text[:start] + piece + text[start + dice.choice([0, 0, 1, 5, 40]) :]
    only_config_errors(text)


values = st.recursive(
    st.sampled_from(["1", "-1", "1e9", "nan", "true", '""', '"*"', '"x/y"', '"env:WORK_KEY"', "[]"])
    | st.sampled_from(['"http://[::1"', '"https://u:p@h"', "1979-05-27", '"\\u001b[2J"', "{}"]),
    lambda inner: st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]"),
    max_leaves=4,
)
KEYS = [
    "host",
    "port",
    "data_dir",
    "keys",
    "dialect",
    "base_url",
    "key",
    "kind",
    "serves",
    "models",
]
KEYS += ["status_page", "targets", "model", "context_tokens", "allow_subscription", "unknown"]
TABLES = ["[gateway]", "[limits]", "[providers.sim]", "[providers.work]", "[[routes]]", "[other]"]
TABLES += ["[[providers.work.models]]", '[providers."a b"]', "[providers]"]


@given(
    st.lists(
        st.tuples(st.sampled_from(TABLES), st.dictionaries(st.sampled_from(KEYS), values)),
        unique_by=lambda pair: pair[0],
        max_size=6,
    )
)
@settings(max_examples=200)
def test_any_value_at_any_key_gives_problems_and_nothing_else(
    tables: list[tuple[str, dict[str, str]]],
) -> None:
    lines = [
        "\n".join([table, *(f"{key} = {value}" for key, value in pairs.items())])
        for table, pairs in tables
    ]
    only_config_errors("\n".join(lines))


def test_the_file_s_place_is_the_users_configuration_directory(home: Path) -> None:
    assert reading.default_path() == home
