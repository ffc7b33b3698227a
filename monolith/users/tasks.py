"""What users does by itself."""

from __future__ import annotations

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.utils.translation import gettext as say
from django.utils.translation import override

from monolith.users import services
from monolith.users.models import User
from strangler.seams import owner_task


@owner_task("users", name="users.send_password_reset")
def send_password_reset(user_id: int, language: str = "en") -> int:
    """Mail the link, in the language of who asked; how many mails went out."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        return 0
    uid, token = services.reset_link(user)
    link = f"{settings.SITE_URL}/account/reset/{uid}/{token}/"
    with override(language):
        return send_mail(say("Your password"), render_to_string("users/reset.txt", {"link": link}), None, [user.email])
