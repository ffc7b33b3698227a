"""The coupling ledger: what crosses from one context to another, of which kind, and the evidence. Pure data and judgements."""
