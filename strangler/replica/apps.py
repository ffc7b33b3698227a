from django.apps import AppConfig


class ReplicaConfig(AppConfig):
    """What every lifted service serves below ``/_strangler/`` (DESIGN section 6)."""

    name = "strangler.replica"
    label = "strangler_replica"
    verbose_name = "Strangler replica"

    def ready(self) -> None:
        from strangler import conf
        from strangler.replica import quiet

        if conf.side() == "service":
            quiet.silence_celery()
