"""What a tuning came to, as data, as one JSON file and as one HTML page; loads without torch."""
