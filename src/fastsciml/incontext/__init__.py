"""Learning in context by attention.

Constructions, weights with which attention is a known algorithm, and the algorithms themselves; tasks, comparisons and
training of learners. von Oswald et al., "Transformers Learn In-Context by Gradient Descent", ICML 2023; Akyürek et al.,
"What learning algorithm is in-context learning?", ICLR 2023.
"""

from fastsciml.incontext import algorithms, comparison, primitives
from fastsciml.incontext.alternating_learner import AlternatingLearner
from fastsciml.incontext.constructions import gradient_descent_learner, gradient_descent_plus_plus_learner
from fastsciml.incontext.descent import DescentLearner
from fastsciml.incontext.experiment import Experiment
from fastsciml.incontext.layout import AlternatingLayout, Layout
from fastsciml.incontext.sgd import sgd_layout, sgd_learner, sgd_step
from fastsciml.incontext.sherman_morrison import ridge_learner, sherman_morrison_layout, sherman_morrison_step
from fastsciml.incontext.tasks import LinearTasks, SineTasks, TaskDistribution, Tasks, TeacherTasks
from fastsciml.incontext.token_construction import token_construction
from fastsciml.incontext.training import Trainer, load_learner

__all__ = [
    "AlternatingLayout",
    "AlternatingLearner",
    "DescentLearner",
    "Experiment",
    "Layout",
    "LinearTasks",
    "SineTasks",
    "TaskDistribution",
    "Tasks",
    "TeacherTasks",
    "Trainer",
    "algorithms",
    "comparison",
    "gradient_descent_learner",
    "gradient_descent_plus_plus_learner",
    "load_learner",
    "primitives",
    "ridge_learner",
    "sgd_layout",
    "sgd_learner",
    "sgd_step",
    "sherman_morrison_layout",
    "sherman_morrison_step",
    "token_construction",
]
