"""A regression of scikit-learn, fitted as far as its iterations go."""

import warnings
from typing import Any


def fitted(regression: Any, *data: Any) -> Any:
    """Fit a regression and return it, without a warning where it has not converged.

    Its penalty bounds the weights then, too; with the few images of a rehearsal that happens, and nobody can mend it.
    """
    from sklearn.exceptions import ConvergenceWarning  # here, since most trainings do without it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return regression.fit(*data)
