"""What users define, its tables, and the read model that services cache."""
