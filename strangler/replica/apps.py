from django.apps import AppConfig


class ReplicaConfig(AppConfig):
    """What every lifted service serves below ``/_strangler/`` (DESIGN section 6)."""

    name = "strangler.replica"
    label = "strangler_replica"
    verbose_name = "Strangler replica"
