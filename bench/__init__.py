"""The bench: securechat beside other servers, over TLS 1.3, in numbers."""
