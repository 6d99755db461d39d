"""A common palette for several groups of people who want different levels.

``group`` says what a group wants and how satisfied it is; ``common`` finds the palette that serves the worst-off
best, ``nash`` the fair bargain; ``conflict`` shows who gives up what and which groups clash, ``cases`` how each use
case fares, ``agreement`` all of it in stages.
"""

from map_core.groups.agreement import AgreementCache, GroupAgreement, JointPalette, Rule, agreement
from map_core.groups.cases import CaseVerdict, use_case_verdicts
from map_core.groups.common import CommonPalette, Limit, max_min
from map_core.groups.conflict import Clash, Concession, Relation, clashes, concessions, satisfaction_alone
from map_core.groups.group import Group, joint_targets, satisfaction
from map_core.groups.nash import nash

__all__ = [
    "AgreementCache",
    "CaseVerdict",
    "Clash",
    "CommonPalette",
    "Concession",
    "Group",
    "GroupAgreement",
    "JointPalette",
    "Limit",
    "Relation",
    "Rule",
    "agreement",
    "clashes",
    "concessions",
    "joint_targets",
    "max_min",
    "nash",
    "satisfaction",
    "satisfaction_alone",
    "use_case_verdicts",
]
