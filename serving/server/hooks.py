"""What the server asks of the application: extensions of the Flask application, to be called."""

TICK = "thimble-tick"  # about once a second
END = "thimble-end"  # once, before the process ends
REFUSE = "thimble-refuse"  # for the answer to what never became a request
