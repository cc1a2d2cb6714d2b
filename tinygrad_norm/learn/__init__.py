"""The course: what can be run and asked. Claims are sentences about normalization, each with an experiment and a rule for its verdict."""

from .catalogue import claim, claim_names, claims_folder, stored
from .charts import Chart, Dots, Lines
from .claim import WORDS, Claim, Figures, Verdict
from .pages import overview, page, readme
from .result import Result, read
from .running import Agreement, agreement, run
from .showing import show

__all__ = [
    "WORDS",
    "Agreement",
    "Chart",
    "Claim",
    "Dots",
    "Figures",
    "Lines",
    "Result",
    "Verdict",
    "agreement",
    "claim",
    "claim_names",
    "claims_folder",
    "overview",
    "page",
    "read",
    "readme",
    "run",
    "show",
    "stored",
]
