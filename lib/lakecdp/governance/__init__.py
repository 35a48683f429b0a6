"""Personal data: identifiers, their normal forms and keyed hashes."""
