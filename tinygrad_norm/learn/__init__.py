"""The course: what can be run and asked. Claims are sentences about normalization, each with an experiment and a rule for its verdict."""

from .catalogue import claim, claim_names, claims_folder, stored
from .charts import Chart, Dots, Lines
from .claim import WORDS, Claim, Figures, Verdict
from .exercise import Exercise, Judged, Question, Wrong
from .judging import Backward, Facts, Formula, Predictions
from .pages import overview, page, readme
from .result import Result, read
from .running import Agreement, agreement, run
from .showing import show
from .trials import CHANCE, Digits, accuracy, last_loss, standardized, steps_to, trained

__all__ = [
    "CHANCE",
    "WORDS",
    "Agreement",
    "Backward",
    "Chart",
    "Claim",
    "Digits",
    "Dots",
    "Exercise",
    "Facts",
    "Figures",
    "Formula",
    "Judged",
    "Lines",
    "Predictions",
    "Question",
    "Result",
    "Verdict",
    "Wrong",
    "accuracy",
    "agreement",
    "claim",
    "claim_names",
    "claims_folder",
    "last_loss",
    "overview",
    "page",
    "read",
    "readme",
    "run",
    "show",
    "standardized",
    "steps_to",
    "stored",
    "trained",
]
