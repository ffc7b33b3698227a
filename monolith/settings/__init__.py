"""Settings of the shop. A service that was lifted out of it starts with ``from monolith.settings import *``."""

from monolith.settings.base import *  # noqa: F403
from monolith.settings.logs import *  # noqa: F403
from monolith.settings.rest import *  # noqa: F403
from monolith.settings.tasks import *  # noqa: F403
