"""What was seen while it ran: tables by statement, joins and transactions across contexts, and on whose behalf."""
