"""Writes of users: register, change and reset a password."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode
from django.utils.translation import get_language

from monolith.users import selectors
from monolith.users.contract import EmailTaken, LinkNotValid, UserRecord, WeakPassword
from monolith.users.models import User


class LocalUsers(selectors.Selectors):
    def register(self, *, email: str, password: str) -> UserRecord:
        user = User(email=User.objects.normalize_email(email).lower())
        _set(user, password)
        try:
            with transaction.atomic():
                user.save(force_insert=True)
        except IntegrityError:
            raise EmailTaken("There is an account with this e-mail address. Log in, or reset its password.") from None
        return selectors.record(user)

    def change_password(self, *, user_id: int, password: str) -> None:
        user = User.objects.get(pk=user_id)
        _set(user, password)
        user.save(update_fields=["password", "session_stamp"])

    def request_reset(self, *, email: str) -> None:
        from monolith.users.tasks import send_password_reset

        found = User.objects.filter(email=email.strip().lower(), is_active=True).values_list("pk", flat=True).first()
        if found is not None:
            language = get_language() or settings.LANGUAGE_CODE
            transaction.on_commit(lambda: send_password_reset.delay(found, language), robust=True)

    def check_reset(self, *, uid: str, token: str) -> UserRecord:
        return selectors.record(_of_link(uid, token))

    def reset_password(self, *, uid: str, token: str, password: str) -> None:
        """In one transaction with the row locked, so that a link works once, however often it is sent."""
        with transaction.atomic():
            user = _of_link(uid, token, lock=True)
            _set(user, password)
            user.save(update_fields=["password", "session_stamp"])


def reset_link(user: User) -> tuple[str, str]:
    """``uid`` and ``token`` of a link that lasts until the password changes, the user logs in, or the time is over."""
    return urlsafe_base64_encode(force_bytes(user.pk)), default_token_generator.make_token(user)


def _of_link(uid: str, token: str, *, lock: bool = False) -> User:
    rows = User.objects.select_for_update() if lock else User.objects.all()
    try:
        pk = int(urlsafe_base64_decode(uid).decode("ascii"))
        user = rows.filter(pk=pk, is_active=True).first() if 0 < pk < 2**63 else None
    except (ValueError, OverflowError):
        user = None
    if user is None or not default_token_generator.check_token(user, token):
        raise LinkNotValid("This link is not valid, or not any more. Ask for a new one.")
    return user


def _set(user: User, password: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise WeakPassword(" ".join(error.messages)) from error
    user.set_password(password)
