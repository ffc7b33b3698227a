"""``manage.py send_webhook charge.captured --payment 7``"""

import json
import os
import uuid
from argparse import ArgumentParser
from typing import Any

import requests
from django.core.management.base import BaseCommand, CommandError

from monolith.payments import webhook


class Command(BaseCommand):
    help = "Be the provider: send a signed event to the shop's front door."

    def add_arguments(self, parser: ArgumentParser) -> None:
        here = os.environ.get("SHOP_URL", "http://127.0.0.1:8000")
        parser.add_argument("kind", choices=sorted(webhook.HANDLERS))
        parser.add_argument("--payment", type=int, help="for charge.*: which payment")
        parser.add_argument("--refund", type=int, help="for refund.*: which refund")
        parser.add_argument("--id", default=str(uuid.uuid4()), help="the event's id; the same one again changes nothing")
        parser.add_argument("--url", default=here, help=f"where the shop answers (default {here})")

    def handle(self, *_: Any, **options: Any) -> None:
        data = {name: options[name] for name in ("payment", "refund") if options[name]}
        if not data:
            raise CommandError("name it: --payment N or --refund N")
        body = json.dumps({"id": options["id"], "type": options["kind"], "data": {**data, "reference": "by hand"}}).encode()
        url = options["url"].rstrip("/") + "/api/payments/webhook/"
        headers = {"Provider-Signature": webhook.sign(body), "Content-Type": "application/json"}
        try:
            answer = requests.post(url, data=body, headers=headers, timeout=10)
        except requests.RequestException as error:
            raise CommandError(f"{url} does not answer; is the shop running (`make up`)? {error}") from error
        self.stdout.write(f"{answer.status_code} {answer.text}")
