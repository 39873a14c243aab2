"""Bad-T in the words of the paper: the divergence of the student from each teacher, not of the teacher from it.

Source: arXiv 2506.00848 §4.3: L_f and L_r are KL(f'(D_f) ‖ f_d(D_f)) and KL(f'(D_r) ‖ f(D_r)), λ = 1.
Differs: as `methods/bad_teacher.py` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from methods.bad_teacher import BadTeacher
from methods.engine.setting_rules import added_later


@dataclass(frozen=True, kw_only=True)
class BadTeacherPaper(BadTeacher):
    """Bad-T with the divergence the other way round."""

    label: ClassVar[str] = "Bad-T (paper's words)"
    version: ClassVar[int] = 1

    divergence: Literal["from_teacher", "from_student"] = added_later("from_student")  # KL(student ‖ teacher)
