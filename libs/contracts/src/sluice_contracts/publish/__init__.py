"""The contracts as documents for people and for programs in other languages, all generated from the models."""
