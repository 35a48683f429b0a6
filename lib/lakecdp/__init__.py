"""lakecdp: a customer data platform in a company's own lakehouse."""

__version__ = "0.1.0"
