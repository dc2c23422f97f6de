"""What survives a power cut: bytes, rows and the account of both."""
