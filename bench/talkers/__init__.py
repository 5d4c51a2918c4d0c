"""One small client a file: what it says and hears as bytes, without a socket."""
