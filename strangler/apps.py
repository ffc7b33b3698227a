from django.apps import AppConfig
from django.db.models.signals import post_migrate


class StranglerConfig(AppConfig):
    name = "strangler"
    label = "strangler"
    verbose_name = "Strangler"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from strangler import checks  # noqa: F401  (registers the system checks)
        from strangler.analysis.usage import installing
        from strangler.seams import loose, receivers, staff
        from strangler.sync import checks as table_checks  # noqa: F401
        from strangler.sync import follow

        loose.loosen_deletes()
        receivers.dispose()
        staff.restrain()
        installing.install()
        post_migrate.connect(follow.after_migrate, sender=self)
