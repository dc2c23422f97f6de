"""The node shown at work, with a stand-in PACS and a phantom whose truth is known."""
