"""The lifted payments service, with handlers below its routes that do what handlers should not."""

from payments_service.settings import *  # noqa: F403

ROOT_URLCONF = "tests.integration.seams.wild.urls"
EMAIL_BACKEND = "strangler.replica.quiet.EmailBackend"
