"""Input that is no file in the landing folder: Kafka, databases, HTTP, Delta tables of others."""
