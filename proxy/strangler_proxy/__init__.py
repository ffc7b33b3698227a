"""The strangler proxy."""
