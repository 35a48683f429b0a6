"""All input and output: session, settings, lake, ledger, quality gate, progress, errors."""
