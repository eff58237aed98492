"""A login where one is set up: the app behind a real OpenID Connect provider on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.browser.app import Server

WAIT = 120_000
oidc = pytest.importorskip("oidc_provider_mock", reason="needs the provider: pip install oidc-provider-mock")


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """A provider that knows one person; it speaks the protocol in full, with signed tokens."""
    person = oidc.User(sub="ward7", claims={"email": "ward7@hospital.example"})
    with oidc.run_server_in_thread(user_claims=[person]) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture(scope="module")
def guarded(small_models, provider, tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("login")
    secrets = folder / "secrets.toml"
    secrets.write_text(f"""
[auth]
redirect_uri = "http://localhost:{{port}}/oauth2callback"
cookie_secret = "{"fracture" * 8}"
client_id = "reader"
client_secret = "known to both"
server_metadata_url = "{provider}/.well-known/openid-configuration"
""")
    running = Server(
        folder / "log",
        *("--secrets.files", str(secrets)),
        FRACTURE_MODELS_DIR=str(small_models),
        FRACATLAS_DIR=str(small_models.parent / "data"),
        FRACTURE_AUDIT_LOG=str(folder / "audit.jsonl"),
    )
    running.wait()
    yield running
    running.stop()


def login_button(page):
    return page.get_by_role("button", name=re.compile("^Log in with"))


@pytest.mark.parametrize("where", ["", "/dataset", "/threshold", "/model_card"])
def test_nobody_gets_in_by_any_address(tab, guarded, where):
    tab.goto(f"http://localhost:{guarded.port}{where}")
    login_button(tab).wait_for(timeout=WAIT)
    assert tab.locator("input[type=file]").count() == 0
    assert tab.get_by_role("link", name="Diagnose").count() == 0


def test_who_logs_in_gets_in_is_named_in_the_audit_log_and_gets_out(browser, guarded, known):
    address = f"http://localhost:{guarded.port}"
    page = browser.new_context().new_page()
    page.goto(address)
    login_button(page).click(timeout=WAIT)
    page.locator("input[name=sub]").wait_for(timeout=WAIT)
    page.locator("input[name=sub]").fill("ward7")
    page.get_by_role("button", name="Authorize").click()
    page.locator("input[type=file]").wait_for(state="attached", timeout=WAIT)
    page.get_by_text("Logged in: ward7@hospital.example").wait_for(timeout=WAIT)
    page.locator("input[type=file]").set_input_files(str(known[0]))
    page.locator(".answer").wait_for(timeout=WAIT)
    (line,) = map(json.loads, (guarded.log.parent / "audit.jsonl").read_text().splitlines())
    assert line["who"] == "ward7@hospital.example"
    assert known[0].name not in json.dumps(line)
    assert any("user" in cookie["name"] for cookie in page.context.cookies(address))
    page.get_by_role("button", name="Log out").click()
    for _ in range(600):
        if not any("user" in cookie["name"] for cookie in page.context.cookies(address)):
            break
        page.wait_for_timeout(200)
    again = page.context.new_page()
    again.goto(address)
    login_button(again).wait_for(timeout=WAIT)
    page.context.close()


def test_settings_that_cannot_be_read_close_the_door(tab, small_models, tmp_path):
    secrets = tmp_path / "secrets.toml"
    secrets.write_text("[auth\nredirect_uri = ")
    running = Server(tmp_path / "log", "--secrets.files", str(secrets), FRACTURE_MODELS_DIR=str(small_models))
    try:
        running.wait()
        tab.goto(running.url)
        tab.get_by_text("cannot be read").wait_for(timeout=WAIT)
        assert tab.locator("input[type=file]").count() == 0
    finally:
        running.stop()
