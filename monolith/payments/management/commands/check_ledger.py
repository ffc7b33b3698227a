"""``manage.py check_ledger``"""

from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monolith.payments import ledger


class Command(BaseCommand):
    help = "Show the balance of every account, and fail unless they add up and stand for what the payments say. It only reads."

    def handle(self, *_: Any, **options: Any) -> None:
        found = ledger.trial_balance()
        for currency, accounts in sorted(found.items()):
            shown = "  ".join(f"{account} {amount:,.2f}" for account, amount in accounts.items())
            self.stdout.write(f"{currency}  {shown}")
        uneven = sorted(currency for currency, accounts in found.items() if sum(accounts.values(), Decimal(0)))
        if uneven:
            raise CommandError(f"the balances of {', '.join(uneven)} don't add up to nothing")
        wrong = ledger.misbooked()
        if wrong:
            missing = ", ".join(map(str, wrong))
            raise CommandError(f"the ledger says other than payments {missing}; `manage.py post_ledger` books what is missing")
        self.stdout.write("the books balance")
