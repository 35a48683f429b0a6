"""Features of customers and the tags computed from them."""
