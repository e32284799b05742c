"""The server: gunicorn's worker, its connections, and the timeout of bodies."""
