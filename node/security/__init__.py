"""Who the other side is: certificates, TLS and tokens."""
