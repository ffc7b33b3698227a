from django.apps import AppConfig


class ShellConfig(AppConfig):
    name = "monolith.shell"
    label = "shell"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from monolith.shell import receivers

        receivers.connect()
