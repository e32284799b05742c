"""Who may ask, and how much: keys, limits, origins and proxies. Knows WSGI's environ, and no web framework."""
