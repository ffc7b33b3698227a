"""Peers that mirror rows of a Django model into another service's database, set up as their documentation says.

One settings module and one app each; both sides' tables stand in both databases, as the models do in the code.
"""
