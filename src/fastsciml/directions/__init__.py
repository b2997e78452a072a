"""Learned search directions: networks, their data, their training."""

from fastsciml.directions.dcdm import DCDM
from fastsciml.directions.multigrid_direction import MultigridDirection
from fastsciml.directions.problems import PROBLEMS, direction_problem
from fastsciml.directions.proposals import proposal_of
from fastsciml.directions.settings import Settings
from fastsciml.directions.training import Record, Trainer
from fastsciml.directions.training_data import training_data
from fastsciml.directions.weights import load_direction, save_direction

__all__ = [
    "DCDM",
    "PROBLEMS",
    "MultigridDirection",
    "Record",
    "Settings",
    "Trainer",
    "direction_problem",
    "load_direction",
    "proposal_of",
    "save_direction",
    "training_data",
]
