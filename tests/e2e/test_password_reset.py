"""Who forgot their password gets a mail: page, queue, Celery worker, SMTP, and by its link a new password."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from deploy.local.supervisor import Estate
from tests.mailbox import Mailbox

pytestmark = [pytest.mark.estate, pytest.mark.timeout(180)]
NEW = "a long enough phrase"


def test_a_mail_leads_to_a_new_password(page: Page, estate: Estate, mailbox: Mailbox) -> None:
    page.goto(f"{estate.url}/login/")
    page.get_by_role("link", name="Forgotten your password?").click()
    page.get_by_label("E-mail").fill("user0500@example.com")
    page.get_by_role("button", name="Send me a link").click()
    expect(page.get_by_text("a mail with a link is on its way")).to_be_visible()
    recipients, mail = mailbox.mails.get(timeout=60)
    assert (recipients, mail["Subject"]) == (["user0500@example.com"], "Your password")
    link = re.search(r"http\S+", mail.get_content())
    assert link
    assert link[0].startswith(f"{estate.url}/account/reset/")
    page.goto(link[0])
    page.get_by_label("New password").fill(NEW)
    page.get_by_role("button", name="Set it").click()
    page.get_by_label("E-mail").fill("user0500@example.com")
    page.get_by_label("Password").fill(NEW)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    page.goto(link[0])
    expect(page.get_by_text("This link is not valid, or not any more")).to_be_visible()
    assert mailbox.mails.empty()
