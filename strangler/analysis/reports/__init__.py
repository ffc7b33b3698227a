"""The ledger for people and for other programs: JSON, Mermaid, a picture, one page of HTML. Pure: a ledger in, text out."""
