"""A common palette for several groups of people who want different levels.

``group`` says what a group wants and how satisfied it is; ``common`` finds the palette that serves the worst-off
best, ``nash`` the fair bargain; ``conflict`` shows who gives up what and which groups clash, ``cases`` how each use
case fares, ``agreement`` all of it in stages.
"""

from map_core.groups.agreement import Agreement, Joint, Memory, Rule, agreement
from map_core.groups.cases import CaseVerdict, by_use_case
from map_core.groups.common import Common, Limit, max_min
from map_core.groups.conflict import Clash, Concession, Relation, alone, clashes, concessions
from map_core.groups.group import Group, joined, satisfaction
from map_core.groups.nash import nash

__all__ = [
    "Agreement",
    "CaseVerdict",
    "Clash",
    "Common",
    "Concession",
    "Group",
    "Joint",
    "Limit",
    "Memory",
    "Relation",
    "Rule",
    "agreement",
    "alone",
    "by_use_case",
    "clashes",
    "concessions",
    "joined",
    "max_min",
    "nash",
    "satisfaction",
]
