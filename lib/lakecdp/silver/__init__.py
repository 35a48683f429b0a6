"""Cleaning and conforming: raw records to one canonical meaning, in UTC, each key once."""
