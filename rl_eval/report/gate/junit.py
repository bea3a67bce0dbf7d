"""The gate's findings as JUnit XML, which CI systems show."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from rl_eval.gate.result import Result
from rl_eval.report.gate.text import by_tier

# Characters that XML 1.0 cannot hold, escaped or not.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(result: Result) -> str:
    """A suite a tier and a case a finding; what is not a pass is a failure, by its kind."""
    root = ElementTree.Element("testsuites", name="rl-eval gate")
    for tier, findings in by_tier(result.findings).items():
        failures = [finding for finding in findings if finding.verdict != "pass"]
        counts = {"tests": str(len(findings)), "failures": str(len(failures)), "errors": "0"}
        suite = ElementTree.SubElement(root, "testsuite", {"name": tier, **counts})
        for finding in findings:
            name = {"classname": f"gate.{tier}", "name": _clean(finding.check)}
            case = ElementTree.SubElement(suite, "testcase", name)
            where = case
            if finding.verdict != "pass":
                about = {"type": finding.verdict, "message": _clean(finding.detail)}
                where = ElementTree.SubElement(case, "failure", about)
            else:
                where = ElementTree.SubElement(case, "system-out")
            where.text = _clean(finding.detail)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("?", text)
