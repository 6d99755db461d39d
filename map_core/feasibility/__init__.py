"""What can be had and what cannot, each answer with its proof: linear programs over what replies can give.

levels      margin and certificate of a palette, reachable range of each value
conflict    the smallest set of targets that cannot be had together
corners     the linear programs, by cutting planes that stay warm
"""

from map_core.feasibility.conflict import Conflict, smallest_conflict
from map_core.feasibility.margin import MARGIN_TOLERANCE, AttainableLevels, Margin, checked, margin

__all__ = ["MARGIN_TOLERANCE", "AttainableLevels", "Conflict", "Margin", "checked", "margin", "smallest_conflict"]
