"""Identity: which identifiers are one customer, with stable ids, validity and a ledger."""
