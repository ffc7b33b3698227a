"""django-outbox-pattern: ``save`` writes a message into a table, ``publish`` sends it by STOMP, ``subscribe`` calls us."""
