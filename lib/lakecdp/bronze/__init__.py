"""Collection: landed files to raw records, each exactly once."""
