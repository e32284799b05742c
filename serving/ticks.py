"""What the server owes the application: a call about once a second, and one before it ends."""

TICK = "thimble-tick"  # the extension of the Flask application that is to be called
