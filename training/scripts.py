"""The console scripts: Ctrl-C ends them without a traceback while their packages are imported, too."""

from training.command import quit_on_ctrl_c


def export() -> int:
    """Run thimble-export, which is python -m training.export; returns the exit status."""
    quit_on_ctrl_c()
    from training.export import main  # here, since it imports packages for seconds

    return main()


def evaluate() -> int:
    """Run thimble-evaluate, which is python -m training.evaluate; returns the exit status."""
    quit_on_ctrl_c()
    from training.evaluate import main  # here, since it imports packages for seconds

    return main()
