"""django-cqrs: a signal sends each saved row to RabbitMQ after the commit; ``cqrs_consume`` writes it."""
