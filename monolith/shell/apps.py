from django.apps import AppConfig


class ShellConfig(AppConfig):
    name = "monolith.shell"
    label = "shell"
