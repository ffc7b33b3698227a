"""What an acknowledged round notes of itself."""

# Milliseconds from when the oldest change of the round was noted until now.
LAG = "CASE WHEN %(oldest)s IS NOT NULL THEN {greatest:0; {since:{moment:%(oldest)s}} * 1000} END"
