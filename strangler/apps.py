from django.apps import AppConfig


class StranglerConfig(AppConfig):
    name = "strangler"
    label = "strangler"
    verbose_name = "Strangler"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from strangler import checks  # noqa: F401  (registers the system checks)
        from strangler.seams import loose, receivers, staff
        from strangler.sync import checks as table_checks  # noqa: F401

        loose.loosen_deletes()
        receivers.dispose()
        staff.restrain()
