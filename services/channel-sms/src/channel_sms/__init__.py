"""The SMS worker: its providers, receipts and segmentation."""
