"""The course: what can be run and asked. Claims are sentences about normalization, each with an experiment and a rule for its verdict."""

from . import course
from .catalogue import claim, claim_names, claims_folder, stored
from .charts import Chart, Dots, Lines
from .claim import WORDS, Claim, Figures, Verdict
from .desk import Desk, open_desk
from .exercise import Exercise, Judged, Question, Wrong
from .judging import Backward, Facts, Formula, Predictions
from .pages import overview, page, readme
from .report import Row, junit
from .result import Result, read
from .running import Agreement, agreement, run
from .screen import listing
from .session import Session, begin
from .showing import show
from .trials import CHANCE, Digits, accuracy, last_loss, standardized, steps_to, trained
from .watch import Runner
from .worker import Worker

__all__ = [
    "CHANCE",
    "WORDS",
    "Agreement",
    "Backward",
    "Chart",
    "Claim",
    "Desk",
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
    "Row",
    "Runner",
    "Session",
    "Verdict",
    "Worker",
    "Wrong",
    "accuracy",
    "agreement",
    "begin",
    "claim",
    "claim_names",
    "claims_folder",
    "course",
    "junit",
    "last_loss",
    "listing",
    "open_desk",
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
