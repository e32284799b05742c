"""How requests arrive and answers leave: gunicorn's worker, its connections, and what it may use of the machine."""
