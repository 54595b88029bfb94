"""One provider's table: what it needs, what the data adds, where its key may go."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.config.checking import CANARY, KNOWN, good, problem, problems

from holdfast.config import addresses
from holdfast.config.addresses import AddressError
from holdfast.facts.places import ModelFacts, Provider

OWN = '[providers.own]\ndialect = "openai"\n'
OAUTH = "sk-ant-oat01-" + "x" * 40


def provider(text: str, environ: dict[str, str] | None = None) -> Provider:
    (found,) = good(text, environ or {}).providers.values()
    return found


# ------------------------------------------------------------ what the data adds


def test_a_known_name_needs_nothing_but_its_key_in_the_environment() -> None:
    found = provider("[providers.anthropic]", {"ANTHROPIC_API_KEY": CANARY})
    data = KNOWN["anthropic"]
    assert found.key == "env:ANTHROPIC_API_KEY"
    assert (found.base_url, found.kind) == ("https://api.anthropic.com", "cloud")
    assert found.dialects == data.dialects
    assert found.serves == data.serves
    assert found.models == data.models
    assert found.status_page == data.status_page
    assert found.page == data.status
    assert found.page is not None


def test_the_second_usual_variable_counts_when_the_first_is_empty() -> None:
    assert provider("[providers.gemini]", {"GOOGLE_API_KEY": "k"}).key == "env:GOOGLE_API_KEY"
    both = {"GOOGLE_API_KEY": "k", "GEMINI_API_KEY": " "}
    assert provider("[providers.gemini]", both).key == "env:GOOGLE_API_KEY"


def test_what_the_table_says_comes_before_the_data() -> None:
    found = provider(
        """\
        [providers.openai]
        dialect = ["openai-responses", "openai"]
        key = "client"
        serves = ["only-*"]
        status_page = "https://status.example.com/x"
        [[providers.openai.models]]
        model = "gpt-*"
        context_tokens = 1000
        """
    )
    assert found.dialects == ("openai-responses", "openai")
    assert found.serves == ("only-*",)
    assert found.status_page == "https://status.example.com/x"
    assert found.page is None  # the data speaks of another page
    assert found.models[0] == ModelFacts(model="gpt-*", context_tokens=1000)
    assert found.models[1:] == KNOWN["openai"].models


def test_a_cloud_under_a_name_of_ones_own_is_known_by_its_address() -> None:
    found = provider(
        """\
        [providers.second]
        dialect = "anthropic"
        base_url = "https://api.anthropic.com/v1/"
        key = "env:SECOND"
        """,
        {"SECOND": "k", "ANTHROPIC_API_KEY": "other"},
    )
    assert found.key == "env:SECOND"
    assert found.models == KNOWN["anthropic"].models


def test_the_usual_key_does_not_follow_to_another_host() -> None:
    """A URL that was changed, or a typing mistake, must not send a key to a stranger."""
    found = problem(
        '[providers.openai]\nbase_url = "https://api.0penai.com"\n', {"OPENAI_API_KEY": CANARY}
    )
    assert found.key == "providers.openai.key"
    assert "sends no key to a host that was not named for it" in found.what


def test_an_engine_on_this_machine_needs_no_key() -> None:
    assert provider("[providers.ollama]").key == "none"
    own = provider(OWN + 'base_url = "http://127.0.0.1:9000/v1"')
    assert (own.key, own.kind, own.base_url) == ("none", "local", "http://127.0.0.1:9000")


def test_what_has_an_address_of_its_own_is_no_simulator() -> None:
    assert provider("[providers.sim]").kind == "sim"
    assert provider('[providers.sim]\nbase_url = "http://127.0.0.1:9"').kind == "local"


# ------------------------------------------------------------ what can be wrong

# Lines under [providers.own] with a dialect → (line, key, part of what is said).
FAULTS = {
    'base_url = "https://a.example"': (1, "key", "sends no key to a host"),
    'base_url = "https://a.example"\nkey = "env:ABSENT"': (4, "key", "ABSENT is not set"),
    'base_url = "https://a.example"\nkey = "file:/absent"': (4, "key", "does not exist"),
    f'base_url = "https://a.example"\nkey = "{CANARY}"': (4, "key", "not a reference"),
    'base_url = "https://a.example"\nkey = 1': (4, "key", "a text in quotes"),
    'key = "none"': (1, "base_url", "missing"),
    'key = "none"\nbase_url = "a.example"': (4, "base_url", "http:// or https://"),
    'key = "none"\nbase_url = "ftp://a"': (4, "base_url", "http:// or https://"),
    'key = "none"\nbase_url = "https://"': (4, "base_url", "names no host"),
    'key = "none"\nbase_url = "https://a b"': (4, "base_url", "not a URL"),
    'key = "none"\nbase_url = "https://a:99999"': (4, "base_url", "not a URL"),
    'key = "none"\nbase_url = "https://a:0"': (4, "base_url", "port 0"),
    'key = "none"\nbase_url = "https://[::1"': (4, "base_url", "not a URL"),
    f'key = "none"\nbase_url = "https://me:{CANARY}@a"': (4, "base_url", "user name or password"),
    f'key = "none"\nbase_url = "https://a/?k={CANARY}"': (4, "base_url", "query"),
    'key = "none"\nbase_url = "https://a/#x"': (4, "base_url", "fragment"),
    'key = "none"\nbase_url = "https://a/v1/messages"': (4, "base_url", "endpoint"),
    'key = "none"\nbase_url = "http://192.168.1.4:8000"': (4, "base_url", "unencrypted"),
    'key = "none"\nbase_url = "http://a"\nstatus_page = "x"': (5, "status_page", "http"),
    'key = "none"\nbase_url = "https://a"\nkind = "edge"': (5, "kind", "cloud, local"),
    'key = "none"\nbase_url = "https://a"\nserves = [1]': (5, "serves", "texts only"),
    'key = "none"\nbase_url = "https://a"\nmodels = "x"': (5, "models", "a list of tables"),
}


@pytest.mark.parametrize("lines", FAULTS)
def test_each_fault_of_a_provider_is_named_with_its_line(lines: str) -> None:
    line, key, what = FAULTS[lines]
    found = problems(OWN + lines, {})
    named = [each for each in found if each.key == f"providers.own.{key}"]
    assert len(named) == 1, [str(each) for each in found]
    assert named[0].line == line
    assert what in named[0].what


def test_an_unknown_name_is_told_what_it_lacks_and_which_are_known() -> None:
    found = problems("[providers.antropic]", {})
    assert [each.key for each in found] == [
        "providers.antropic.dialect",
        "providers.antropic.base_url",
    ]
    assert "anthropic, openai, gemini" in found[0].remedy


def test_a_known_cloud_without_its_key_says_which_variable() -> None:
    found = problem("[providers.gemini]", {})
    assert "GEMINI_API_KEY or GOOGLE_API_KEY is not set" in found.what
    assert "Set GEMINI_API_KEY" in found.remedy


def test_a_dialect_that_is_misspelt_is_suggested() -> None:
    found = problem('[providers.x]\ndialect = "antropic"\nbase_url = "http://127.0.0.1:1"', {})
    assert found.remedy == "Did you mean anthropic?"


def test_a_name_that_no_target_could_hold_is_refused() -> None:
    for name in ('"a b"', '"a/b"', '""', f'"{"x" * 65}"', '"-a"', '"é"'):
        text = f'[providers.{name}]\ndialect = "openai"\nbase_url = "http://127.0.0.1:1"'
        assert "not a name for a provider" in problem(text, {}).what


def test_facts_of_models_are_checked_one_by_one() -> None:
    found = problems(
        """\
        [providers.ollama]
        [[providers.ollama.models]]
        context_tokens = 4096
        [[providers.ollama.models]]
        model = "a"
        context_tokens = 0
        tools = "yes"
        window = 1
        """,
        {},
    )
    assert [(each.line, each.key.rpartition(".")[2]) for each in found] == [
        (2, "model"),
        (6, "context_tokens"),
        (7, "tools"),
        (8, "window"),
    ]


def test_what_a_model_takes_is_read_word_by_word() -> None:
    (found, *_) = (
        good(
            """\
        [providers.ollama]
        [[providers.ollama.models]]
        model = "a"
        output_tokens = 8192
        thinks = ["budget", "off"]
        efforts = []
        thinking_tokens = [1, 4096]
        refuses = ["stop"]
        dialect = "ollama"
        """,
            {},
        )
        .providers["ollama"]
        .models
    )
    assert found == ModelFacts(
        model="a",
        output_tokens=8192,
        thinks=("budget", "off"),
        efforts=(),
        thinking_tokens=(1, 4096),
        refuses=("stop",),
        dialect="ollama",
    )
    wrong = problems(
        """\
        [providers.ollama]
        [[providers.ollama.models]]
        model = "a"
        thinks = ["bugdet"]
        thinking_tokens = [4096, 1]
        refuses_thinking = "stop"
        dialect = "klingon"
        [[providers.ollama.models]]
        model = "b"
        thinking_tokens = [true, 2]
        """,
        {},
    )
    assert [(each.line, each.key.rpartition(".")[2]) for each in wrong] == [
        (4, "thinks"),
        (5, "thinking_tokens"),
        (6, "refuses_thinking"),
        (7, "dialect"),
        (10, "thinking_tokens"),
    ]


# ------------------------------------------------------------ what is said aside


def test_plain_http_to_another_machine_must_be_meant_and_is_remembered() -> None:
    config = good(
        OWN + 'base_url = "http://192.168.1.4:8000"\nkey = "none"\ninsecure_http = true', {}
    )
    assert config.providers["own"].base_url == "http://192.168.1.4:8000"
    assert len(config.notices) == 1
    assert "unencrypted" in config.notices[0]


def test_a_key_file_that_others_can_read_is_noted_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(CANARY)
    text = f'[providers.anthropic]\nkey = "file:{file}"\n'
    file.chmod(0o640)
    (notice,) = good(text, {}).notices
    assert notice.startswith("configuration:2: providers.anthropic.key: ")
    assert "0640" in notice
    assert "chmod 600" in notice
    assert CANARY not in notice
    file.chmod(0o600)
    assert good(text, {}).notices == ()


def test_a_subscription_s_token_passes_only_where_that_is_said_and_noted() -> None:
    environ = {"ANTHROPIC_API_KEY": OAUTH}
    found = problem("[providers.anthropic]", environ)
    assert "subscription" in found.what
    assert "terms" in found.remedy
    assert OAUTH not in str(found)
    config = good("[providers.anthropic]\nallow_subscription = true", environ)
    assert config.providers["anthropic"].allow_subscription
    assert "terms may forbid" in config.notices[0]
    assert OAUTH not in config.notices[0]


# ------------------------------------------------------------ addresses

SAME = {
    "https://api.example.com": "https://api.example.com",
    "https://api.example.com/": "https://api.example.com",
    "https://api.example.com/v1": "https://api.example.com",
    "https://api.example.com/v1/": "https://api.example.com",
    "https://api.example.com/v1beta": "https://api.example.com",
    "https://api.example.com/team/v1": "https://api.example.com/team",
    "https://api.example.com/v1/team": "https://api.example.com/v1/team",
    "HTTPS://API.Example.com:8443/v1": "https://api.example.com:8443",
    "http://[::1]:11434/v1": "http://[::1]:11434",
    "http://127.0.0.1:1234": "http://127.0.0.1:1234",
}


@pytest.mark.parametrize("url", SAME)
def test_a_base_url_may_end_in_its_version_or_not(url: str) -> None:
    assert addresses.base_url(url) == SAME[url]


@given(st.text(max_size=40), st.sampled_from(["", "http://", "https://", "http://[", "https://a:"]))
def test_any_address_is_taken_or_refused(text: str, head: str) -> None:
    url = head + text
    try:
        taken = addresses.base_url(url)
    except AddressError as refused:
        said = str(refused)
    else:
        assert not taken.endswith("/")
        assert taken.startswith(("http://", "https://"))
        assert addresses.host_of(taken)
        return
    assert said


@given(st.text("ab1/-.", max_size=12), st.sampled_from(["", "/v1", "/v1/", "/v1beta", "/"]))
def test_a_version_at_the_end_makes_no_difference(path: str, tail: str) -> None:
    bare = addresses.base_url(f"https://a.example/{path}")
    assert addresses.base_url(f"https://a.example/{path}{tail}") == bare
    assert addresses.base_url(bare) == bare


def test_what_stays_on_this_machine() -> None:
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        assert addresses.is_loopback(host)
    for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.example.com", "127.0.0.1.example.com", ""):
        assert not addresses.is_loopback(host)
