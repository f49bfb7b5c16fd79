"""Reading streams: as lists, one by one, and in numbers. They are made and changed in ingest."""
