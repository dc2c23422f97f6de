"""What tests share: real peers the node as a process, helpers to wait and to compare."""
