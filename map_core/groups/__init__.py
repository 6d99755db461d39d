"""A common palette for several groups of people who want different levels.

group      targets and satisfaction of one group
common     the max-min palette, best for the worst-off group
nash       the Nash bargaining palette
conflict   concessions of each group, and pairs that clash
cases      verdicts in each use case
agreement  all of it, in stages
"""

from map_core.groups.agreement import AgreementCache, GroupAgreement, JointPalette, Rule, agreement
from map_core.groups.cases import CaseVerdict, use_case_verdicts
from map_core.groups.common import BindingLimit, CommonPalette, max_min
from map_core.groups.conflict import Clash, Concession, Relation, clashes, concessions, satisfaction_alone
from map_core.groups.group import Group, joint_targets, satisfaction
from map_core.groups.nash import nash

__all__ = [
    "AgreementCache",
    "BindingLimit",
    "CaseVerdict",
    "Clash",
    "CommonPalette",
    "Concession",
    "Group",
    "GroupAgreement",
    "JointPalette",
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
