"""Reports: a palette with its targets, verdict, evidence and the commands that reproduce it, as HTML, JSON and CSV.

contents        the data of a report
compute         computes that data
sentences       the results in sentences
evidence        finds the study of delivery for a table
sample_replies  replies to a few prompts, taken from the table
svg_charts      axes, lines and marks of a small chart, computed without a browser
figures         the charts of a report
commands        shell commands over several lines, and the command that adds values defined in the app to a table
snippets        the weights as commands, as JSON and for a server
trainer_snippet the weights as a program for a trainer
export          the report as JSON values and as CSV
document        the self-contained HTML document

Constraint: results in, documents out; nothing here is shown on a screen, and no model is called.
"""

from map_core.report.compute import compute_report
from map_core.report.contents import Report, ReportOptions, ReportSource
from map_core.report.document import html
from map_core.report.evidence import find_study, study_version
from map_core.report.export import as_dict, as_json, csv_files, zipped
from map_core.report.snippets import Snippet, snippets

__all__ = [
    "Report",
    "ReportOptions",
    "ReportSource",
    "Snippet",
    "as_dict",
    "as_json",
    "compute_report",
    "csv_files",
    "find_study",
    "html",
    "snippets",
    "study_version",
    "zipped",
]
