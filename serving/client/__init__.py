"""The client of the service, for the shell and for Python programs."""

from serving.client.client import BadAnswerError, Client, ClientError, NoAnswerError
from serving.errors import Problem
from serving.prediction import Candidate, Prediction

__all__ = ["BadAnswerError", "Candidate", "Client", "ClientError", "NoAnswerError", "Prediction", "Problem"]
